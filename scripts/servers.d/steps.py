"""How a step of the installation is run: announced, logged, with a sign of life, and explained when it fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SIGN_OF_LIFE_S = 30  # CI ends a silent step; a person wonders whether it hangs
TAIL_LINES = 25


class Failed(Exception):
    """A step did not work; the message says what was tried, what came back and what to do."""


def say(text: str) -> None:
    print(f"[servers] {text}", flush=True)


def servers_dir() -> Path:
    """Where servers that are no Debian packages go; made where missing."""
    given = os.environ.get("SREOPS_SERVERS_DIR")
    directory = Path(given).expanduser() if given else Path.home() / ".cache" / "sreops-servers"
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


def run(command: Sequence[str], *, log: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run one command, its output appended to logs/LOG.log; raise Failed with the log's end."""
    path = servers_dir() / "logs" / f"{log}.log"
    path.parent.mkdir(exist_ok=True)
    say(f"$ {' '.join(command)}")
    began = said = time.monotonic()
    with path.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    if time.monotonic() - said >= SIGN_OF_LIFE_S:
                        said = time.monotonic()
                        say(f"  {log}: still running after {said - began:.0f} s (output: {path})")
        except BaseException:
            process.terminate()  # interrupted: don't leave a compiler behind
            process.wait()
            raise
    if status:
        lines = path.read_bytes()[start:].decode(errors="replace").splitlines()[-TAIL_LINES:]
        raise Failed(
            f"`{' '.join(command)}` ended with status {status}; the end of {path}:\n  "
            + "\n  ".join(lines)
            + "\nOnce the reason is removed, run it again: what is installed already is kept."
        )
    say(f"  done in {time.monotonic() - began:.0f} s")


def staging(name: str) -> Path:
    """An empty directory to build in, beside the final one so that one rename finishes it."""
    directory = servers_dir() / f".{name}.partial"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory
