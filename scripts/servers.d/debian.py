"""Servers and tools that are Debian packages, installed without letting them start and take ports."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from steps import Failed, run, say

# server -> Debian packages, the binaries that prove it is there (first one found), the package of the version
PACKAGES: dict[str, tuple[list[str], list[str]]] = {
    "prometheus": (["prometheus"], ["/usr/bin/prometheus"]),
    "alertmanager": (["prometheus-alertmanager"], ["/usr/bin/prometheus-alertmanager"]),
    "postgres": (["postgresql"], ["/usr/lib/postgresql/*/bin/postgres"]),
    "docker": (["docker.io", "iproute2"], ["/usr/sbin/dockerd", "/usr/bin/dockerd"]),
    "haproxy": (["haproxy"], ["/usr/sbin/haproxy"]),
    "busybox": (["busybox-static"], ["/bin/busybox"]),
    "chromium": (["chromium"], ["/usr/bin/chromium"]),
    "wrk": (["wrk"], ["/usr/bin/wrk"]),
    "kcat": (["kcat"], ["/usr/bin/kcat"]),
    "strace": (["strace"], ["/usr/bin/strace"]),
    "tmux": (["tmux"], ["/usr/bin/tmux"]),
}
POLICY = Path("/usr/sbin/policy-rc.d")
SAVED_POLICY = POLICY.with_name("policy-rc.d.before-sreops")
OUR_POLICY = (
    "#!/bin/sh\n# sreops scripts/servers: packages must not start their services; gone when it ends\nexit 101\n"
)


def _binary(patterns: Sequence[str]) -> str | None:
    for pattern in patterns:
        found = sorted(Path("/").glob(pattern.lstrip("/")))
        if found:
            return str(found[-1])
    return None


def _versions(packages: Sequence[str]) -> dict[str, str]:
    """Package -> version, of those that are fully installed."""
    if not shutil.which("dpkg-query"):
        return {}
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n", *packages],
        capture_output=True,
        text=True,
        check=False,  # it fails where one of them is unknown, and still prints the others
    ).stdout
    rows = [line.split() for line in shown.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def installed() -> dict[str, dict[str, str]]:
    versions = _versions([package for packages, _ in PACKAGES.values() for package in packages])
    found = {}
    for name, (packages, binaries) in PACKAGES.items():
        path = _binary(binaries)
        if path and all(package in versions for package in packages):
            found[name] = {"version": versions[packages[0]], "path": path}
    return found


@contextmanager
def _services_stay_down() -> Iterator[None]:
    """Debian starts a service as soon as it is installed, unless policy-rc.d says 101; put back what was there."""
    _restore_policy()  # a run that was killed may have left ours
    if POLICY.exists():
        POLICY.rename(SAVED_POLICY)
    POLICY.write_text(OUR_POLICY)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        _restore_policy()


def _restore_policy() -> None:
    if POLICY.exists() and POLICY.read_text() == OUR_POLICY:
        POLICY.unlink()
    if SAVED_POLICY.exists():
        SAVED_POLICY.rename(POLICY)


def install(names: Sequence[str], also: Sequence[str] = ()) -> None:
    """Install the packages of these servers that are missing, and the packages named in `also`."""
    wanted = [*also, *(package for name in names for package in PACKAGES[name][0])]
    missing = [package for package in wanted if package not in _versions(wanted)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Failed(f"this is no Debian (no apt-get): install by hand what Debian calls {' '.join(missing)}")
    if os.geteuid() != 0:
        raise Failed(f"apt-get needs root: run it as root, or `apt-get install {' '.join(missing)}` before")
    say(f"Debian packages: {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with _services_stay_down():
        run(["apt-get", "update"], log="debian", env=quiet)
        # no recommended packages: they bring node-exporter and other services that nobody asked for
        run(["apt-get", "install", "-y", "--no-install-recommends", *missing], log="debian", env=quiet)
