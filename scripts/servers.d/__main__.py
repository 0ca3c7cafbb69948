"""Installs the real servers that the tests run against: once per machine and version.

    scripts/servers                  all of them
    scripts/servers kafka loki       only these
    scripts/servers --list           what is installed, with version and path
    scripts/servers --json           the same for programs (tests/servers/installed.py reads it)

Nothing goes into the repository: Debian packages go where Debian puts them, the rest into
~/.cache/sreops-servers/NAME-VERSION (SREOPS_SERVERS_DIR overrides it). What is there already is left
alone, so a second run takes a second. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import debian
import golang
import kafka
import node
from steps import Failed, say, servers_dir

ORDER = [*debian.PACKAGES, node.NAME, "kafka", "compose", "loki"]  # the slowest last: a mistake shows early


@contextmanager
def only_one_run() -> Iterator[None]:
    """Hold the lock file: two runs at once would fight over apt and over the same directories."""
    with (servers_dir() / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(f"another run (process {lock.read().strip() or '?'}) is installing; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def installed() -> dict[str, dict[str, str]]:
    """Name -> version and path of every server that is there; what is missing is left out."""
    found = {**debian.installed(), **kafka.installed(), **golang.installed(), **node.installed()}
    return {name: found[name] for name in ORDER if name in found}


def install(names: list[str]) -> None:
    missing = [name for name in names if name not in installed()]
    if not missing:
        return
    with only_one_run():
        missing = [name for name in names if name not in installed()]  # a run before us may have done it
        toolchains = kafka.packages_needed() if "kafka" in missing else []
        toolchains += node.packages_needed() if node.NAME in missing else []
        debian.install([name for name in missing if name in debian.PACKAGES], also=toolchains)
        for name in missing:
            if name == "kafka":
                kafka.install()
            elif name == node.NAME:
                node.install()
            elif name in golang.SERVERS:
                golang.install(name)


def show(found: dict[str, dict[str, str]], names: list[str]) -> None:
    for name in names:
        entry = found.get(name)
        print(f"{name:<13} {entry['version']:<28} {entry['path']}" if entry else f"{name:<13} not installed")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/servers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(ORDER)}")
    parser.add_argument("--list", action="store_true", help="print what is installed; install nothing")
    parser.add_argument("--json", action="store_true", help="the same as JSON, null for what is missing")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(ORDER))
    if unknown:
        print(
            f"scripts/servers: no such server: {', '.join(unknown)}; there are: {', '.join(ORDER)}",
            file=sys.stderr,
        )
        return 2
    names = [name for name in ORDER if name in given.names] or ORDER
    if given.json:
        there = installed()
        print(json.dumps({name: there.get(name) for name in ORDER}, indent=1))
        return 0
    if not given.list:
        began = time.monotonic()
        try:
            install(names)
        except Failed as failed:
            print(f"scripts/servers: {failed}", file=sys.stderr)
            return 1
        say(f"done in {time.monotonic() - began:.1f} s; under {servers_dir()}:")
    found = installed()
    show(found, names)
    return 0 if given.list or all(name in found for name in names) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    raise SystemExit(main())
