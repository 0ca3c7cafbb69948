"""Neighbours: what the alerted service calls, what calls it, and its peers; what is told of each. Pure.

Known from the labels that Compose writes on containers, from ``SREOPS_TOPOLOGY``, and of peers from ``peers``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sreops.domain.evidence.evidence import ContainerState, Evidence, EvidenceKind
from sreops.domain.evidence.peers import ONEOFF_LABEL, PROJECT_LABEL, SERVICE_LABEL, ContainerPlace, beside
from sreops.domain.text.quoting import is_quotable
from sreops.domain.text.redaction import Redactor, one_line

_DEPENDS_ON_LABEL = "com.docker.compose.depends_on"
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}")
_ONE_SHOT = "service_completed_successfully"
_OF_CONTAINER = ("container", "container_name")
_OF_ONE = ("job", "instance", "pod")  # labels that narrow to what only the alerted service has
_BY_LABEL, _BY_TOPOLOGY = "depends_on", "the topology"
MAX_CALLS = 6
"""How many callers and called services are looked at."""
MAX_NEIGHBOURS = 8
"""How many neighbours are looked at, peers included."""

Topology = Mapping[str, Sequence[str]]
"""Who calls whom: a service, and the services that it calls."""


class NeighbourRole(StrEnum):
    """What a neighbour is to the alerted service."""

    called = "called"
    caller = "caller"
    peer = "peer"


@dataclass(frozen=True)
class Neighbour:
    """A service next to the alerted one; ``state`` is its container's, where the engine knows one.

    ``by`` says how it is known to be one.
    """

    service: str
    role: NeighbourRole
    state: ContainerState | None = None
    by: str = ""

    @property
    def relation(self) -> str:
        """What it is to the alerted service, and by what that is known, in words."""
        return relation_of(self.role.value, self.by)


def compose_service(labels: Mapping[str, str]) -> str:
    """Return the Compose service that these labels name, or nothing."""
    return labels.get(SERVICE_LABEL, "")


def compose_calls(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the Compose services that these labels depend on, less those that only run once (migrations)."""
    return tuple(name for name, condition in _needs(labels).items() if condition != _ONE_SHOT)


def run_once(labels: Mapping[str, str]) -> frozenset[str]:
    """Return the Compose services that these labels wait for to be done: that those do not run is as it should be."""
    return frozenset(name for name, condition in _needs(labels).items() if condition == _ONE_SHOT)


def _needs(labels: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in labels.get(_DEPENDS_ON_LABEL, "")[:10_000].split(","):
        name, _, rest = entry.strip().partition(":")
        if _NAME.fullmatch(name):
            found.setdefault(name, rest.partition(":")[0])
    return found


def adjoin(own: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether these are the labels of two services of one Compose project of which one depends on the other."""
    mine, theirs = compose_service(own), compose_service(other)
    if not mine or not theirs or mine == theirs or own.get(PROJECT_LABEL) != other.get(PROJECT_LABEL):
        return False
    if other.get(ONEOFF_LABEL, "False") != "False":
        return False
    return theirs in compose_calls(own) or mine in compose_calls(other)


def neighbours_of(
    service: str,
    own: ContainerState | None,
    around: Sequence[ContainerState],
    topology: Topology,
    peer_labels: Sequence[str] = (),
) -> tuple[Neighbour, ...]:
    """Return the neighbours, each once: those that are called first, peers last, at most ``MAX_NEIGHBOURS``.

    ``around`` are containers that adjoin ``own`` or are beside it; of a service with several containers the one that
    is worst off. Of peers, too, those that are worst off come first: of the others there is little to tell.
    """
    names = {service, compose_service(own.labels) if own is not None else service}
    called = [(name, _BY_TOPOLOGY) for mine in sorted(names) for name in topology.get(mine, ())]
    callers = [(name, _BY_TOPOLOGY) for name, calls in topology.items() if names & set(calls)]
    called += [(name, _BY_LABEL) for name in (compose_calls(own.labels) if own is not None else ())]
    states: dict[str, ContainerState] = {}
    for state in around:
        name = compose_service(state.labels) or state.name
        if name not in states or _badness(state) > _badness(states[name]):
            states[name] = state
        if names & set(compose_calls(state.labels)):
            callers.append((name, _BY_LABEL))
    ordered = [(name, NeighbourRole.called, by) for name, by in called] + [
        (name, NeighbourRole.caller, by) for name, by in callers
    ]
    found: dict[str, Neighbour] = {}
    for name, role, by in ordered:
        if name and name not in names and len(found) < MAX_CALLS:
            found.setdefault(name, Neighbour(name, role, states.get(name), by))
    known = {name for name, _, _ in ordered} | names
    peers = [peer for peer in _peers(own, states, peer_labels) if peer.service not in known]
    return (*found.values(), *peers)[:MAX_NEIGHBOURS]


def _peers(own: ContainerState | None, states: Mapping[str, ContainerState], labels: Sequence[str]) -> list[Neighbour]:
    if own is None:
        return []
    place = ContainerPlace(own.labels, own.networks)
    found = [
        (name, beside(place, ContainerPlace(state.labels, state.networks), labels)) for name, state in states.items()
    ]
    peers = [Neighbour(name, NeighbourRole.peer, states[name], by) for name, by in found if by]
    return sorted(peers, key=lambda peer: (-_badness(states[peer.service]), peer.service))


def _badness(state: ContainerState) -> int:
    return 2 * (not state.running) + (state.health == "unhealthy")


def calls_of(service: str, neighbours: Sequence[Neighbour]) -> frozenset[tuple[str, str]]:
    """Return (caller, callee) between the service and its neighbours; of peers no calls are known."""
    return frozenset(
        (service, neighbour.service) if neighbour.role is NeighbourRole.called else (neighbour.service, service)
        for neighbour in neighbours
        if neighbour.role is not NeighbourRole.peer
    )


def relation_of(role: str, by: str = "") -> str:
    """Say what a neighbour is to the alerted service, and by what that is known."""
    shown = one_line(by, 200)
    if role == NeighbourRole.peer.value:
        return f"beside it, no calls known: same {shown}" if shown else "beside it, no calls known"
    return ("which it calls" if role == NeighbourRole.called.value else "which calls it") + (
        f", by {shown}" if shown else ""
    )


def neighbour_evidence(
    neighbour: Neighbour, signals: Sequence[Evidence], redactor: Redactor, *, why_unseen: str = ""
) -> Evidence:
    """Tell of one neighbour: its signals, the changed ones first, and how its container is."""
    state = neighbour.state
    ordered = sorted(signals, key=lambda item: -abs(float(item.data.get("change", 0.0))))
    parts = [item.finding for item in ordered] or ["no metric is known by its name"]
    parts.append(
        f"container {_word(state)}" if state is not None else why_unseen or "no container is known by its name"
    )
    finding = f"neighbour {one_line(neighbour.service, 80)} ({neighbour.relation}): {'; '.join(parts)}"
    container = {
        "name": state.name, "running": state.running, "health": state.health, "exit_code": state.exit_code,
        "oom_killed": state.oom_killed, "status": state.status,
    } if state is not None else None  # fmt: skip
    return Evidence(
        id="", kind=EvidenceKind.neighbour, source="neighbour", query="\n".join(item.query for item in signals),
        finding=redactor.redact(one_line(finding, 600)), partial=any(item.partial for item in signals),
        data={
            "service": neighbour.service, "role": neighbour.role.value, "by": neighbour.by, "container": container,
            "signals": {str(item.data["signal"]): item.data for item in signals if "signal" in item.data},
        },
    )  # fmt: skip


@dataclass(frozen=True)
class NearService:
    """A neighbour as the evidence names it; ``container`` is empty where the engine knows none."""

    service: str
    relation: str
    container: str = ""


def near_services(evidence: Sequence[Evidence]) -> tuple[NearService, ...]:
    """Return the neighbours that an incident's evidence is about, at most ``MAX_NEIGHBOURS``."""
    found: dict[str, NearService] = {}
    for item in evidence:
        service, container = item.data.get("service"), item.data.get("container")
        if item.kind is not EvidenceKind.neighbour or not isinstance(service, str) or not is_quotable(service):
            continue
        name = str(container.get("name", "")) if isinstance(container, dict) else ""
        found.setdefault(service, NearService(service, relation_of(str(item.data.get("role"))), name))
    return tuple(found.values())[:MAX_NEIGHBOURS]


def near_labels(own: Mapping[str, str], service: str, container: str = "") -> dict[str, str]:
    """Return the labels that select a neighbour's logs or metrics: those of the alerted service, its name replaced.

    The first label names the service, those behind it narrow (``evidence_scope``). ``container`` is the name of the
    neighbour's container, where it is known.
    """
    if not own or not is_quotable(service):
        return {}
    first, *rest = own
    if first == "instance":
        return {}  # an address of the alerted service: of the neighbour's nothing is known
    name = container if container and first in _OF_CONTAINER and is_quotable(container) else service
    return {first: name, **{label: own[label] for label in rest if label not in _OF_ONE}}


def _word(state: ContainerState) -> str:
    if not state.running:
        killed = ", OOM-killed" if state.oom_killed else ""
        return f"{state.status} (exit code {state.exit_code}{killed})"
    return state.health or state.status
