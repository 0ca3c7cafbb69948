"""Grafana Loki and Docker Compose: built from their modules, which the Go module proxy serves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from steps import Failed, run, say, servers_dir, staging


@dataclass(frozen=True)
class Built:
    """One server that `go build` makes."""

    version: str
    module: str  # with its major version
    command: str  # the package of its main function
    version_variable: str  # set by the linker, since a build outside its own repository knows no version
    binary: str
    takes: str  # what to expect, for the person who waits


SERVERS = {
    "compose": Built(
        version="2.40.3",
        module="github.com/docker/compose/v2",
        command="github.com/docker/compose/v2/cmd",
        version_variable="github.com/docker/compose/v2/internal.Version",
        binary="docker-compose",
        takes="3 minutes on 2 cores",
    ),
    "loki": Built(
        version="3.7.8",
        module="github.com/grafana/loki/v3",
        command="github.com/grafana/loki/v3/cmd/loki",
        version_variable="github.com/grafana/loki/v3/pkg/util/build.Version",
        binary="loki",
        takes="7 minutes on 2 cores",
    ),
}


def _target(name: str) -> Path:
    return servers_dir() / f"{name}-{SERVERS[name].version}"


def installed() -> dict[str, dict[str, str]]:
    found = {}
    for name, built in SERVERS.items():
        binary = _target(name) / built.binary
        if binary.exists():
            found[name] = {"version": built.version, "path": str(binary)}
    return found


def install(name: str) -> None:
    built = SERVERS[name]
    if not shutil.which("go"):
        raise Failed(f"{name} is built with Go, and there is no `go` on the PATH: install Go 1.26 or newer")
    say(f"{name} {built.version}: a build that takes about {built.takes}, once")
    directory = staging(name)
    if name == "loki":
        _wrap_loki(directory, built)
    else:
        (directory / "go.mod").write_text(f"module sreops.invalid/{name}\n\ngo 1.25\n")
        run(["go", "get", "-tool", f"{built.command}@v{built.version}"], log=name, cwd=directory)
    flags = f"-s -w -X {built.version_variable}=v{built.version}"
    run(
        ["go", "build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", built.binary, built.command],
        log=name,
        cwd=directory,
    )
    target = _target(name)
    shutil.rmtree(target, ignore_errors=True)  # without its binary, or we would not be here
    directory.rename(target)


def _wrap_loki(directory: Path, built: Built) -> None:
    """Write a module that builds Loki as Loki builds itself.

    `go install module@version` refuses a go.mod with `replace` lines, and without Loki's the build breaks
    (forks of memberlist, objstore and others). So Loki's go.mod becomes ours, and Loki a requirement of it.
    """
    downloaded = subprocess.run(
        ["go", "mod", "download", "-json", f"{built.module}@v{built.version}"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if downloaded.returncode:
        raise Failed(f"go mod download {built.module}@v{built.version}: {downloaded.stdout}{downloaded.stderr}".strip())
    source = Path(json.loads(downloaded.stdout)["Dir"])
    lines = (source / "go.mod").read_text()
    lines = re.sub(r"(?m)^module .*$", "module sreops.invalid/loki", lines)
    # a path inside Loki's repository; the proxy has that module on its own
    lines = re.sub(r"(?m)^replace github\.com/grafana/loki/pkg/push .*$", "", lines)
    lines = re.sub(r"(?m)^ignore .*$", "", lines)
    lines += f"\nrequire {built.module} v{built.version}\n\ntool {built.command}\n"
    (directory / "go.mod").write_text(lines)
    (directory / "go.sum").write_bytes((source / "go.sum").read_bytes())
