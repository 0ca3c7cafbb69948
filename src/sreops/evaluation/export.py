"""An ended incident of our own as a case that ``eval`` reads: its evidence, and labels from how it ended. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.evidence.neighbours import NeighbourRole
from sreops.domain.incidents.incident import EffectOutcome, Incident, Resolution
from sreops.domain.suspects.live import ALERT_LAGS_S, ranked_name

_ACTION_CLASSES = {"restart_container": "restart", "start_container": "restart", "scale_container": "scale"}
_STATES = frozenset(
    {
        EvidenceKind.container,
        EvidenceKind.events,
        EvidenceKind.history,
        EvidenceKind.change,
        EvidenceKind.neighbour,
        EvidenceKind.tool,
    }
)
"""What is text: state dumps, and what tools of MCP servers answered."""
Metrics = dict[str, list[tuple[float, float]]]


def case_of(incident: Incident, events: Sequence[AlertEvent], evidence: Sequence[Evidence]) -> dict[str, Any]:
    """Return the case; ``events`` oldest first. What ``eval`` hides is all that says how the incident ended."""
    event = events[0] if events else None
    ranked = [item for item in evidence if not _of_a_peer(item)]
    metrics = dict(_metrics(incident.service, ranked))
    services = [
        incident.service,
        *(str(item.data["service"]) for item in ranked if item.kind is EvidenceKind.neighbour),
    ]
    alert_s = (event.starts_at if event is not None else incident.opened_at).timestamp()
    times = [at for points in metrics.values() for at, _ in points] or [alert_s]
    return {
        "id": incident.id,
        "source": {"kind": "sreops", "path": f"incidents/{incident.id}"},
        "system": "sreops",
        "alert": {"labels": event.labels, "annotations": event.annotations} if event is not None else None,
        "service": incident.service,
        "logs": [
            {"ts": None, "service": incident.service, "line": line}
            for item in evidence
            if item.kind is EvidenceKind.logs
            for line in item.text.splitlines()
        ],
        "metrics": metrics,
        "candidates": services if len(services) > 1 else [],
        # evidence is gathered right after an alert: what shows the trouble lies before it
        "window": {
            "start": min(times),
            "end": max(times),
            "alert_time": alert_s,
            "fault_start": alert_s - ALERT_LAGS_S,
        },
        **_labels(incident),
        "extra": {
            "evidence": {
                f"{item.id} {item.source}": f"{item.finding}\n{item.text}" for item in evidence if item.kind in _STATES
            },
            # for people: our own ranking of then is a conclusion, and `eval`, which makes its own, hides it
            "suspects": [
                {"finding": item.finding, "text": item.text, "scores": item.data.get("scores", {})}
                for item in evidence
                if item.kind is EvidenceKind.suspects
            ],
        },
    }


def _of_a_peer(item: Evidence) -> bool:
    """Whether it is about a peer: those are told of, and not ranked."""
    return item.kind is EvidenceKind.neighbour and item.data.get("role") == NeighbourRole.peer.value


def _metrics(service: str, evidence: Sequence[Evidence]) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    for item in evidence:
        signals: list[tuple[str, Mapping[str, Any]]] = []
        if item.kind is EvidenceKind.metric:
            signals = [(service, item.data)]
        elif item.kind is EvidenceKind.neighbour:
            signals = [(str(item.data["service"]), data) for data in item.data.get("signals", {}).values()]
        for owner, data in signals:
            name = ranked_name(str(data.get("signal", "")))
            if name is not None and data.get("points"):
                yield f"{owner}|{name}", [(float(at), float(value)) for at, value in data["points"]]


def _labels(incident: Incident) -> dict[str, Any]:
    """Say what is known by the end: only a verified fix proves a cause, and a false alarm that there was none."""
    component: list[str] | None = None
    fault_type: str | None = None
    actions: list[str] | None = None
    if incident.resolution is Resolution.fixed:
        component, fault_type = [incident.service], incident.category
        done = [effect.action for effect in incident.effects if effect.outcome is EffectOutcome.succeeded]
        actions = sorted({_ACTION_CLASSES[action] for action in done if action in _ACTION_CLASSES}) or None
    elif incident.resolution is Resolution.false_alarm:
        fault_type, actions = "false_alarm", []
    end = incident.resolution or incident.reason
    return {
        "expected_root_cause": incident.root_cause if component else None,
        "expected_component": component,
        "expected_fault_type": fault_type,
        "expected_action_class": actions,
        "label_origin": f"sreops: {incident.status.value}, {end.value if end else 'no reason'}",
        **_said_by_people(incident),
    }


def _said_by_people(incident: Incident) -> dict[str, Any]:
    """Return the labels that a person gave, by closing it or by judging the cause: they outweigh our own."""
    if told := incident.feedback:
        component = str(told.get("component") or (incident.service if told.get("right") else ""))
        return {
            "expected_root_cause": incident.root_cause if told.get("right") else told.get("cause") or None,
            "expected_component": [component] if component else None,
            "label_origin": "sreops: a person's feedback",
        }
    closed = incident.closed or {}
    if closed.get("was") == "false_alarm":
        return {"expected_fault_type": "false_alarm", "expected_action_class": []}
    return {"expected_root_cause": closed["cause"]} if closed.get("cause") else {}
