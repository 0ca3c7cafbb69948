"""A further container of a Compose service, as Compose itself would make it, out of one that is there. Pure.

What Compose looks at was tried with v2.40.3: its labels (copied as they are, the number apart), every network with the
aliases, every named volume, and that the image's tag still means what the others were made from. Its digest of the
configuration can't be computed from outside, and is the same for every replica.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sreops.domain.evidence.peers import PROJECT_LABEL, SERVICE_LABEL
from sreops.domain.remediation.target_identity import NUMBER_LABEL
from sreops.errors import EngineRefused

HASH_LABEL = "com.docker.compose.config-hash"
IMAGE_LABEL = "com.docker.compose.image"
_REPLACES_LABEL = "com.docker.compose.replace"
_SHORT_ID = 12
_NOT_NAMED = re.compile(r"(host|none|bridge|default|container:.*)")


class Copy(NamedTuple):
    """The name and body to create it with, and the networks that it is put into before it starts."""

    name: str
    body: dict[str, Any]
    networks: Sequence[tuple[str, dict[str, Any]]]


def number_of(shown: Mapping[str, Any]) -> int:
    """Return a replica's number; 0 where it has none."""
    number = str(_labels(shown).get(NUMBER_LABEL, ""))
    return int(number) if number.isascii() and number.isdigit() else 0


def why_not_copied(replicas: Sequence[Mapping[str, Any]]) -> str:
    """Say why these replicas of one service get no further one, or nothing."""
    first = replicas[0]
    for label in (HASH_LABEL, IMAGE_LABEL):
        if len({_labels(replica).get(label) for replica in replicas}) > 1:
            return f"its replicas differ in {label}: Compose would make some of them anew"
    if not _labels(first).get(HASH_LABEL):
        return f"it has no label {HASH_LABEL}: Compose would not know the new one as its own"
    if down := [_name(replica) for replica in replicas if _part(replica, "State").get("Running") is not True]:
        return f"{', '.join(down[:5])} is not running: start it first"
    if _joint(first) is None:
        return f"{_name(first)} has a name of its own (container_name), of which there can be one"
    host = _part(first, "HostConfig")
    for bindings in _part(host, "PortBindings").values():
        if any(isinstance(binding, dict) and binding.get("HostPort") for binding in bindings or ()):
            return "it publishes a fixed port of its host, which one container can have"
    if _part(first, "Config").get("MacAddress"):
        return "it has a fixed MAC address"
    for name, network in _networks(first):
        if any((_part(network, "IPAMConfig")).get(key) for key in ("IPv4Address", "IPv6Address")):
            return f"it has a fixed address in network {name}"
    return ""


def copy_of(shown: Mapping[str, Any], number: int) -> Copy:
    """Return the next replica after one that ``why_not_copied`` lets pass."""
    joint, labels = _joint(shown), _labels(shown)
    if joint is None:
        raise EngineRefused(f"docker: {_name(shown)} has a name of its own: there can be one of it")
    name = joint.join([labels[PROJECT_LABEL], labels[SERVICE_LABEL], str(number)])
    config = {key: value for key, value in _part(shown, "Config").items() if key != "Hostname"}
    if not str(shown.get("Id", "")).startswith(str(_part(shown, "Config").get("Hostname") or "\0")):
        config["Hostname"] = _part(shown, "Config").get("Hostname")  # one that the file names
    kept = {key: value for key, value in labels.items() if key != _REPLACES_LABEL}
    config["Labels"] = {**kept, NUMBER_LABEL: str(number)}
    host = dict(_part(shown, "HostConfig"))
    mode = str(host.get("NetworkMode") or "")
    endpoints = [(network, _endpoint(shown, settings, name)) for network, settings in _networks(shown)]
    first = [(network, endpoint) for network, endpoint in endpoints if network == mode]
    body = {**config, "HostConfig": host}
    if first:  # older engines take one network when a container is made
        body["NetworkingConfig"] = {"EndpointsConfig": dict(first)}
    if not endpoints or _NOT_NAMED.fullmatch(mode):
        return Copy(name, body, ())
    return Copy(name, body, [(network, endpoint) for network, endpoint in endpoints if network != mode])


def _endpoint(shown: Mapping[str, Any], network: Mapping[str, Any], name: str) -> dict[str, Any]:
    own = {_name(shown), str(shown.get("Id", ""))[:_SHORT_ID]}
    aliases = [alias for alias in network.get("Aliases") or () if isinstance(alias, str) and alias not in own]
    kept = {key: network[key] for key in ("DriverOpts", "GwPriority", "Links") if network.get(key)}
    return {**kept, "Aliases": [name, *aliases]}


def _joint(shown: Mapping[str, Any]) -> str | None:
    """Return what stands between project, service and number in its name; None where it is called otherwise."""
    labels = _labels(shown)
    parts = [labels.get(PROJECT_LABEL, ""), labels.get(SERVICE_LABEL, ""), labels.get(NUMBER_LABEL, "")]
    return next((joint for joint in "-_" if all(parts) and joint.join(parts) == _name(shown)), None)


def _networks(shown: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found = _part(_part(shown, "NetworkSettings"), "Networks")
    named = [(name, network) for name, network in found.items() if isinstance(network, dict)]
    return [(name, network) for name, network in named if not _NOT_NAMED.fullmatch(name)]


def _labels(shown: Mapping[str, Any]) -> Mapping[str, str]:
    return _part(_part(shown, "Config"), "Labels")


def _name(shown: Mapping[str, Any]) -> str:
    return str(shown.get("Name", "")).removeprefix("/")


def _part(shown: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = shown.get(name)
    return part if isinstance(part, dict) else {}
