"""What is never acted upon, whatever policy says: sreops itself, and what it stands on. Pure.

A restart of its own database, broker or socket proxy would take away the ledger in the middle of an effect. Which
containers these are, nobody declares: it follows from the addresses in sreops' own settings, by the names, the
addresses and the published ports that the engine knows.
"""

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.evidence.reach import Reach
from sreops.domain.remediation.target_identity import standing_identity

PROTECT_LABEL = "sreops.protect"
_SHORT_ID = 12


class OwnAddress(BaseModel):
    """An address that sreops itself depends on; ``ips`` is what its name means here, nothing where it is not known."""

    model_config = ConfigDict(frozen=True)
    what: str
    setting: str
    host: str
    port: int
    ips: frozenset[str] = frozenset()


class Ourselves(BaseModel):
    """What sreops knows of its own place, as seen from one engine.

    ``ids`` and ``hostname`` are those of the container it runs in, if it runs in one; ``container`` is that container
    where this engine holds it. ``host_ips`` are known addresses of the engine's host; ``engine_is_local`` says that
    the host is the one that sreops runs on.
    """

    model_config = ConfigDict(frozen=True)
    ids: frozenset[str] = frozenset()
    hostname: str = ""
    container: ContainerState | None = None
    addresses: tuple[OwnAddress, ...] = ()
    host_ips: frozenset[str] = frozenset()
    engine_is_local: bool = True


def why_protected(target: ContainerState | ServiceState, us: Ourselves) -> str:
    """Say why nothing may ever be done to this target, or nothing."""
    if target.labels.get(PROTECT_LABEL, "").strip().lower() == "true":
        return f"its label {PROTECT_LABEL}=true"
    if _is_us(target, us):
        return "it is sreops' own container"
    for address in us.addresses:
        if how := _leads_to(address, target.reach, us):
            return f"it is {address.what} of sreops ({address.setting} leads to it: {how})"
    return ""


def _is_us(target: ContainerState | ServiceState, us: Ourselves) -> bool:
    if us.container is not None and standing_identity(target) == standing_identity(us.container):
        return True  # sreops' other replicas too
    if isinstance(target, ServiceState):
        return False
    short_id = len(us.hostname) == _SHORT_ID and target.id.startswith(us.hostname)
    # on the host's network every container is called like the host
    own_name = bool(us.hostname) and target.reach.hostname == us.hostname and not target.reach.on_host_network
    return target.id in us.ids or short_id or own_name


def _leads_to(address: OwnAddress, reach: Reach, us: Ourselves) -> str:
    """Say by what an address leads to this container, or nothing."""
    host = address.host.lower().removesuffix(".")
    # names are the engine's where sreops shares a network with it, and where nobody else could resolve them
    shared = None if us.container is None else {attachment.network for attachment in us.container.reach.attachments}
    for one in reach.attachments:
        known = not address.ips if shared is None else one.network in shared
        if known and host in {name.lower() for name in one.names}:
            return f"{address.host} is its name in network {one.network}"
        if found := sorted(address.ips & one.addresses):
            return f"{found[0]} is its address in network {one.network}"
    return _by_port(address, reach, us)


def _by_port(address: OwnAddress, reach: Reach, us: Ourselves) -> str:
    where = _meant_by(address, reach, us)
    for one in reach.published:
        if one.port == address.port and where.this_host and _listens(one.host_ip, address.ips):
            return f"it publishes port {one.port} of its host{where.doubt}"
    return ""


class _Where(NamedTuple):
    """Whether an address means the engine's host, and what is uncertain about that."""

    this_host: bool
    doubt: str = ""


def _meant_by(address: OwnAddress, reach: Reach, us: Ourselves) -> _Where:
    if not address.ips:
        return _Where(this_host=True, doubt=", and what its name means can't be found out")
    own = us.container.reach if us.container is not None else Reach(on_host_network=True)
    in_own_network = not own.on_host_network
    gateways = {attachment.gateway for attachment in (*reach.attachments, *own.attachments)}
    if address.ips & (gateways | us.host_ips):
        return _Where(this_host=True)
    loopback = [ip for ip in address.ips if ipaddress.ip_address(ip).is_loopback]
    if loopback:
        return _Where(this_host=us.engine_is_local and not in_own_network)
    if in_own_network and any(_may_be_the_host(ip, own) for ip in address.ips):
        # from inside a container its host's address in the local network looks like any other machine's
        return _Where(this_host=True, doubt=", and that may be the host that is meant")
    return _Where(this_host=False)


def _may_be_the_host(ip: str, own: Reach) -> bool:
    address = ipaddress.ip_address(ip)
    subnets = [ipaddress.ip_network(subnet, strict=False) for one in own.attachments for subnet in one.subnets]
    return address.is_private and not any(address in subnet for subnet in subnets)


def _listens(host_ip: str, ips: Iterable[str]) -> bool:
    meant = set(ips)
    return host_ip in ("", "0.0.0.0", "::") or not meant or host_ip in meant  # noqa: S104 - read, not bound to
