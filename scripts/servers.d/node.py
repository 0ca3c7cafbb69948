"""oidc-provider, a certified OpenID Connect provider: from npm, run with node."""

from __future__ import annotations

import shutil

from steps import run, say, servers_dir, staging

NAME = "oidc-provider"
VERSION = "9.13.3"
_TARGET = f"{NAME}-{VERSION}"


def installed() -> dict[str, dict[str, str]]:
    directory = servers_dir() / _TARGET
    there = (directory / "node_modules" / NAME / "package.json").exists() and shutil.which("node")
    return {NAME: {"version": VERSION, "path": str(directory)}} if there else {}


def packages_needed() -> list[str]:
    """Return the Debian packages that bring node and npm, where they are missing."""
    return [package for package, tool in (("nodejs", "node"), ("npm", "npm")) if shutil.which(tool) is None]


def install() -> None:
    say(f"{NAME} {VERSION} from npm: half a minute")
    made = staging(NAME)
    # without the packages' own scripts: nothing of them runs before a test starts it
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"]
    run(["npm", "install", "--prefix", str(made), *options, f"{NAME}@{VERSION}"], log=NAME)
    shutil.rmtree(servers_dir() / _TARGET, ignore_errors=True)
    made.rename(servers_dir() / _TARGET)
