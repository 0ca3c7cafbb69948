"""How a container or service is reached, out of what the engine says of it. Pure.

Source: MB:api/swagger.yaml (NetworkSettings, EndpointSettings, PortMap; Service.Endpoint). Every field may be missing.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from sreops.domain.evidence.reach import Attachment, Published, Reach

_SHORT_ID = 12


def container_reach(shown: Mapping[str, Any]) -> Reach:
    """Read an inspect answer."""
    settings, config, host = _part(shown, "NetworkSettings"), _part(shown, "Config"), _part(shown, "HostConfig")
    own = {str(shown.get("Name", "")).removeprefix("/"), str(shown.get("Id", ""))[:_SHORT_ID]}
    on_host = host.get("NetworkMode") == "host"
    published = list(_published(_part(settings, "Ports")))
    if not published:  # one that does not run has no ports; what it would publish stands in how it was made
        published = list(_published(_part(host, "PortBindings")))
    if on_host:
        exposed = _part(config, "ExposedPorts")
        published += [Published(port=port) for name in exposed if (port := _port(str(name).partition("/")[0]))]
    return Reach(
        attachments=tuple(
            _attachment(name, network, own)
            for name, network in sorted(_part(settings, "Networks").items())
            if isinstance(network, dict) and name != "host"
        ),
        published=tuple(published),
        hostname=str(config.get("Hostname") or ""),
        on_host_network=on_host,
    )


def service_reach(shown: Mapping[str, Any]) -> Reach:
    """Read a Swarm service: its name and aliases in its networks, its virtual addresses, its published ports."""
    spec, endpoint = _part(shown, "Spec"), _part(shown, "Endpoint")
    name = str(spec.get("Name", ""))
    names: dict[str, set[str]] = {}
    for network in _parts(_part(spec, "TaskTemplate").get("Networks")):
        aliases = [alias for alias in network.get("Aliases") or () if isinstance(alias, str)]
        names.setdefault(str(network.get("Target")), {name, f"tasks.{name}"}).update(aliases)
    addresses = {str(part.get("NetworkID")): str(part.get("Addr", "")) for part in _parts(endpoint.get("VirtualIPs"))}
    ports = [_port(str(part.get("PublishedPort"))) for part in _parts(endpoint.get("Ports"))]
    return Reach(
        attachments=tuple(
            Attachment(
                network=network,
                names=frozenset(names.get(network, {name, f"tasks.{name}"})),
                addresses=frozenset(_ips(addresses.get(network, "").partition("/")[0])),
            )
            for network in sorted(names.keys() | addresses.keys())
        ),
        published=tuple(Published(port=port) for port in ports if port),
    )


def _attachment(name: str, network: Mapping[str, Any], own: set[str]) -> Attachment:
    names = {text for key in ("Aliases", "DNSNames") for text in network.get(key) or () if isinstance(text, str)}
    found, subnets = set(), set()
    for key, length in (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen")):
        for ip in _ips(network.get(key)):
            found.add(ip)
            if isinstance(network.get(length), int) and network[length]:
                subnets.add(str(ipaddress.ip_network(f"{ip}/{network[length]}", strict=False)))
    return Attachment(
        # a service names its networks by id, so a container does too
        network=str(network.get("NetworkID") or name),
        names=frozenset((names | own) - {""}),
        addresses=frozenset(found),
        subnets=frozenset(subnets),
        gateway=next(_ips(network.get("Gateway")), ""),
    )


def _published(ports: Mapping[str, Any]) -> Iterator[Published]:
    for bindings in ports.values():
        for part in _parts(bindings):
            if port := _port(str(part.get("HostPort"))):
                yield Published(port=port, host_ip=str(part.get("HostIp") or ""))


def _ips(text: Any) -> Iterator[str]:
    try:
        yield str(ipaddress.ip_address(text))
    except ValueError:
        return


def _port(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 65536 else 0


def _part(shown: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = shown.get(name)
    return part if isinstance(part, dict) else {}


def _parts(shown: Any) -> list[Mapping[str, Any]]:
    return [part for part in shown if isinstance(part, dict)] if isinstance(shown, list) else []
