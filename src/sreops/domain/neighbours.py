"""Neighbours: the services that the alerted one calls, and those that call it; what is told of each. Pure.

Known from the labels that Compose writes on containers, and from ``SREOPS_TOPOLOGY``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sreops.domain.evidence import ContainerState, Evidence, EvidenceKind
from sreops.domain.quoting import is_quotable
from sreops.domain.redaction import Redactor, one_line

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONEOFF_LABEL = "com.docker.compose.oneoff"
_DEPENDS_ON_LABEL = "com.docker.compose.depends_on"
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}")
_ONE_SHOT = "service_completed_successfully"
_METRIC_LABELS = ("service", "container", "name", "app", "container_label_com_docker_compose_service")
_OF_CONTAINER = ("container", "container_name")
_OF_ONE = ("job", "instance", "pod")  # labels that narrow to what only the alerted service has
MAX_NEIGHBOURS = 6

Topology = Mapping[str, Sequence[str]]
"""Who calls whom: a service, and the services that it calls."""


class Role(StrEnum):
    """What a neighbour is to the alerted service."""

    called = "called"
    caller = "caller"


@dataclass(frozen=True)
class Neighbour:
    """A service next to the alerted one; ``state`` is its container's, where the engine knows one."""

    service: str
    role: Role
    state: ContainerState | None = None

    @property
    def metric_labels(self) -> tuple[dict[str, str], ...]:
        """The label sets that may select its metrics."""
        return tuple({label: self.service} for label in _METRIC_LABELS) if is_quotable(self.service) else ()


def compose_service(labels: Mapping[str, str]) -> str:
    """Return the Compose service that these labels name, or nothing."""
    return labels.get(SERVICE_LABEL, "")


def compose_calls(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the Compose services that these labels depend on, less those that only run once (migrations)."""
    found = []
    for entry in labels.get(_DEPENDS_ON_LABEL, "")[:10_000].split(","):
        name, _, rest = entry.strip().partition(":")
        if _NAME.fullmatch(name) and rest.partition(":")[0] != _ONE_SHOT:
            found.append(name)
    return tuple(dict.fromkeys(found))


def adjoin(own: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether these are the labels of two services of one Compose project of which one depends on the other."""
    mine, theirs = compose_service(own), compose_service(other)
    if not mine or not theirs or mine == theirs or own.get(PROJECT_LABEL) != other.get(PROJECT_LABEL):
        return False
    if other.get(ONEOFF_LABEL, "False") != "False":
        return False
    return theirs in compose_calls(own) or mine in compose_calls(other)


def neighbours_of(
    service: str, own: ContainerState | None, around: Sequence[ContainerState], topology: Topology
) -> tuple[Neighbour, ...]:
    """Return the neighbours, each once: those that are called first, at most ``MAX_NEIGHBOURS``.

    ``around`` are containers that adjoin ``own``; of a service with several containers the one that is worst off.
    """
    names = {service, compose_service(own.labels) if own is not None else service}
    called = [name for mine in sorted(names) for name in topology.get(mine, ())]
    callers = [name for name, calls in topology.items() if names & set(calls)]
    called += [name for name in (compose_calls(own.labels) if own is not None else ())]
    states: dict[str, ContainerState] = {}
    for state in around:
        name = compose_service(state.labels) or state.name
        if name not in states or _badness(state) > _badness(states[name]):
            states[name] = state
        if names & set(compose_calls(state.labels)):
            callers.append(name)
    ordered = [(name, Role.called) for name in called] + [(name, Role.caller) for name in callers]
    found: dict[str, Neighbour] = {}
    for name, role in ordered:
        if name and name not in names:
            found.setdefault(name, Neighbour(name, role, states.get(name)))
    return tuple(found.values())[:MAX_NEIGHBOURS]


def _badness(state: ContainerState) -> int:
    return 2 * (not state.running) + (state.health == "unhealthy")


def calls_of(service: str, neighbours: Sequence[Neighbour]) -> frozenset[tuple[str, str]]:
    """Return (caller, callee) between the service and its neighbours."""
    return frozenset((service, n.service) if n.role is Role.called else (n.service, service) for n in neighbours)


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
    relation = "which it calls" if neighbour.role is Role.called else "which calls it"
    finding = f"neighbour {one_line(neighbour.service, 80)} ({relation}): {'; '.join(parts)}"
    container = {
        "name": state.name, "running": state.running, "health": state.health, "exit_code": state.exit_code,
        "oom_killed": state.oom_killed, "status": state.status,
    } if state is not None else None  # fmt: skip
    return Evidence(
        id="", kind=EvidenceKind.neighbour, source="neighbour", query="\n".join(item.query for item in signals),
        finding=redactor.redact(one_line(finding, 600)), partial=any(item.partial for item in signals),
        data={
            "service": neighbour.service, "role": neighbour.role.value, "container": container,
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
        relation = "which it calls" if item.data.get("role") == Role.called.value else "which calls it"
        found.setdefault(service, NearService(service, relation, name))
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
