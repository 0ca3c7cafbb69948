"""What `scripts/servers` has installed, and what a test does when its server is not there."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDS_ROOT = {"docker"}


class Installed(TypedDict):
    """One installed server: its version, and the path of its binary or, for Kafka, its directory."""

    version: str
    path: str


class NotInstalled(RuntimeError):
    """A server was asked for that this machine does not have."""


@functools.cache
def all_servers() -> dict[str, Installed | None]:
    """Ask scripts/servers, which alone knows names, versions and places; None for what is missing."""
    told = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "servers.d"), "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if told.returncode:
        raise RuntimeError(f"scripts/servers --json ended with status {told.returncode}: {told.stderr}")
    found: dict[str, Installed | None] = json.loads(told.stdout)
    return found


def why_missing(name: str) -> str | None:
    """Return why a test that needs this server can't run here, with what to do about it; None if it can."""
    if name not in all_servers():
        raise ValueError(f"scripts/servers knows no {name!r}; it knows {', '.join(all_servers())}")
    if all_servers()[name] is None:
        return f"{name} is not installed: `scripts/servers {name}` installs it"
    if name in NEEDS_ROOT and os.geteuid() != 0:
        return f"{name} must be started by root: run the tests as root to have it"
    return None


def required() -> bool:
    """Tell whether a missing server fails a test (CI, or SREOPS_REQUIRE_SERVERS=1) or skips it."""
    return any(os.environ.get(name, "") not in ("", "0", "false") for name in ("CI", "SREOPS_REQUIRE_SERVERS"))


def path_of(name: str) -> Path:
    """Return where the server is, or raise NotInstalled."""
    reason = why_missing(name)
    there = all_servers()[name]
    if there is None or reason:
        raise NotInstalled(reason)
    return Path(there["path"])


def require(name: str) -> None:
    """Skip the test if this server can't be had here; fail it in CI or where SREOPS_REQUIRE_SERVERS=1."""
    reason = why_missing(name)
    if reason is None:
        return
    if required():
        pytest.fail(f"{reason} (and here, by CI or SREOPS_REQUIRE_SERVERS, every server must be)", pytrace=False)
    pytest.skip(reason)
