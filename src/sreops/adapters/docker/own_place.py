"""What sreops knows of its own place: the container it runs in, and what the addresses in its settings mean here."""

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sreops.domain.remediation.protection import OwnAddress
from sreops.telemetry import log

OWN_ADDRESS_UNRESOLVED: Final = "docker.own_address_unresolved"

_RESOLVED_FOR_S = 60.0
_RESOLVE_WITHIN_S = 2.0
_MOUNTINFO = Path("/proc/self/mountinfo")
_OWN_FILE = re.compile(r"/containers/([0-9a-f]{64})/(?:hostname|hosts|resolv\.conf) ")
"""The engine mounts these three files of each container from its own folder for it (run: Engine 20.10, 28)."""

Resolve = Callable[[str], Awaitable[frozenset[str]]]


async def look_up(host: str) -> frozenset[str]:
    """Return the addresses of a name, as this process would connect to it; nothing where there are none."""
    try:
        return frozenset({str(ipaddress.ip_address(host))})
    except ValueError:
        pass
    try:
        async with asyncio.timeout(_RESOLVE_WITHIN_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as exc:
        log.info(OWN_ADDRESS_UNRESOLVED, host=host, error=str(exc))
        return frozenset()
    return frozenset(str(entry[4][0]).partition("%")[0] for entry in found)


def own_ids(mountinfo: str) -> frozenset[str]:
    """Return the id of the container that this process runs in, out of its mounts; nothing outside of one."""
    return frozenset(_OWN_FILE.findall(mountinfo))


def is_of_this_machine(ip: str) -> bool:
    """Say whether an address is one of this machine's: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((ip, 0))
    except OSError:
        return False
    return True


def _ids_here() -> frozenset[str]:
    try:
        return own_ids(_MOUNTINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return frozenset()  # no Linux: then it is no container either


@dataclass
class OwnPlace:
    """This process's host name, its container's id, and its addresses, whose names are resolved for a minute."""

    addresses: tuple[OwnAddress, ...] = ()
    hostname: str = field(default_factory=socket.gethostname)
    ids: frozenset[str] | None = None
    """None: read when first asked for, since a file can't be read on the loop."""
    resolve: Resolve = look_up
    _known: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)

    async def resolved(self) -> tuple[OwnAddress, ...]:
        """Return the addresses with what their names mean now."""
        hosts = sorted({address.host for address in self.addresses})
        found = dict(zip(hosts, await asyncio.gather(*map(self.ips_of, hosts)), strict=True))
        return tuple(address.model_copy(update={"ips": found[address.host]}) for address in self.addresses)

    async def container_ids(self) -> frozenset[str]:
        """Return the id of the container that this process runs in, if it runs in one."""
        if self.ids is None:
            self.ids = await asyncio.to_thread(_ids_here)
        return self.ids

    async def ips_of(self, host: str) -> frozenset[str]:
        """Return what a name means, asked for at most once a minute."""
        at, ips = self._known.get(host, (float("-inf"), frozenset()))
        if time.monotonic() - at > _RESOLVED_FOR_S or not ips:
            ips = await self.resolve(host)
            self._known[host] = (time.monotonic(), ips)
        return ips

    def of_this_machine(self, ips: Iterable[str]) -> frozenset[str]:
        """Return those of these addresses that are this machine's."""
        return frozenset(ip for ip in ips if is_of_this_machine(ip))
