"""Peers: services that stand beside the alerted one, though nothing says that one calls the other. Pure.

Two containers of one Compose project that share a network can talk to each other, and often do; so may two that share
a label such as ``app.kubernetes.io/part-of``. That is a reason to look, and none to blame: of peers no calls are known,
they take no part in the ranking of suspects, and what ails them is told only where nothing else is found.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONEOFF_LABEL = "com.docker.compose.oneoff"
_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_ENGINE_OWN = frozenset({"bridge", "host", "none", "ingress", "docker_gwbridge"})
"""Networks that the engine makes by itself: everybody is in them, which says nothing."""
_SHOWN_CHARS = 60


@dataclass(frozen=True)
class ContainerPlace:
    """Where a container stands: its labels, and the networks that somebody has put it into."""

    labels: Mapping[str, str]
    networks: Sequence[str] = ()


def user_networks(names: Iterable[object]) -> tuple[str, ...]:
    """Return those of the engine's names of networks that a user has made, in order."""
    return tuple(
        sorted(name for name in names if isinstance(name, str) and _NETWORK.fullmatch(name) and name not in _ENGINE_OWN)
    )


def beside(own: ContainerPlace, other: ContainerPlace, labels: Sequence[str]) -> str:
    """Say by what two containers of different services are peers; nothing where they are none.

    By a network of their Compose project; by the project itself where one of them has no network of a user's (host
    networking, another's); by the first of ``labels`` that has the same value in both.
    """
    if _one_service(own.labels, other.labels) or other.labels.get(ONEOFF_LABEL, "False") != "False":
        return ""
    project = own.labels.get(PROJECT_LABEL)
    if project and project == other.labels.get(PROJECT_LABEL):
        shared = sorted(set(own.networks) & set(other.networks))
        if shared:
            return f"network {shared[0][:_SHOWN_CHARS]}"
        if not own.networks or not other.networks:
            return f"Compose project {project[:_SHOWN_CHARS]}"
    for label in labels:
        value = own.labels.get(label)
        if value and value == other.labels.get(label):
            return f"label {label[:_SHOWN_CHARS]}={value[:_SHOWN_CHARS]}"
    return ""


def _one_service(own: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether these are two containers of one Compose service: replicas, no neighbours."""
    service = own.get(SERVICE_LABEL)
    same_project = own.get(PROJECT_LABEL) == other.get(PROJECT_LABEL)
    return bool(service) and same_project and service == other.get(SERVICE_LABEL)
