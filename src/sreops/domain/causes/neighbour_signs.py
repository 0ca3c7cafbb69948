"""Signs in the neighbours: a service that the alerted one calls is down, so that a restart of the messenger is no help.

Callers' troubles are no signs: they suffer from the alerted service. The strengths are judgement, not measured: the
development data has no incident with the state of neighbours in it. None of them leads to an effect.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sreops.domain.causes.analysis import Category
from sreops.domain.causes.state_signs import StateSign
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.evidence.neighbours import NeighbourRole
from sreops.domain.text.redaction import one_line

A_PEER = 0.22
"""A hair more than knowing nothing: who stands beside it and is down may have nothing to do with it."""
FAILING = 0.05
"""The share of requests above which a neighbour fails."""
_ORDERLY = (0, 130, 143)


def neighbour_signs(evidence: Sequence[Evidence]) -> list[StateSign]:
    """Return what the called neighbours' states say, and the ranking where its first is one of those."""
    ranking = next((item for item in evidence if item.kind is EvidenceKind.suspects), None)
    first = ranking.data.get("first") if ranking is not None and ranking.data.get("abstained") is False else None
    signs: list[StateSign] = list(_of_events(evidence))
    for item in evidence:
        if item.kind is not EvidenceKind.neighbour or item.data.get("role") != NeighbourRole.called.value:
            continue
        service = str(item.data.get("service", ""))
        leads = ranking is not None and service == first
        found = [
            StateSign(
                Category.dependency_down,
                f"{one_line(service, 80)}, which it calls, {what}",
                strength,
                item.id,
                "neighbour",
            )
            for what, strength in _of(item.data, leads=leads)
        ]
        signs += found
        if found and leads and ranking is not None:
            told = f"of all services {one_line(service, 80)} changed most"
            signs.append(StateSign(Category.dependency_down, told, 0.5, ranking.id, "suspects"))
    return signs


def peer_signs(evidence: Sequence[Evidence]) -> list[StateSign]:
    """Return which peers did not end in an orderly way or are not well; for where nothing else says anything."""
    signs: list[StateSign] = []
    for item in evidence:
        if item.kind is not EvidenceKind.neighbour or item.data.get("role") != NeighbourRole.peer.value:
            continue
        container = item.data.get("container")
        orderly = isinstance(container, dict) and container.get("exit_code") in _ORDERLY
        ill = [what for what, _ in _of(item.data, leads=False)]
        if ill and not (orderly and isinstance(container, dict) and container.get("running") is False):
            beside = f"same {item.data.get('by')}" if item.data.get("by") else "no calls known"
            told = f"{one_line(str(item.data.get('service', '')), 80)}, beside it ({one_line(beside, 150)}), {ill[0]}"
            signs.append(StateSign(Category.dependency_down, told, A_PEER, item.id, "peer"))
    return signs


def _of_events(evidence: Sequence[Evidence]) -> Iterator[StateSign]:
    """Yield deaths of called neighbours; one that runs again may have been the trouble all the same."""
    for item in evidence:
        if item.kind is not EvidenceKind.events or item.data.get("role") != NeighbourRole.called.value:
            continue
        service, crashes = one_line(str(item.data.get("service", "")), 80), item.data.get("crashes")
        if isinstance(crashes, int) and crashes > 0:
            times = "once" if crashes == 1 else f"{crashes} times"
            told = f"{service}, which it calls, died by itself {times} lately"
            yield StateSign(Category.dependency_down, told, 0.55 if crashes == 1 else 0.65, item.id, "neighbour")


def _of(data: Mapping[str, Any], *, leads: bool) -> Iterator[tuple[str, float]]:
    container = data.get("container")
    if isinstance(container, dict):
        if container.get("running") is False:
            code = container.get("exit_code")
            # one that was stopped in an orderly way may be meant to be
            yield f"is not running (exit code {code})", 0.65 if code in _ORDERLY and not leads else 0.75
        elif container.get("status") == "restarting":
            yield "is being restarted again and again", 0.75
        elif container.get("health") == "unhealthy":
            yield "is not healthy", 0.72 if leads else 0.55
    failing = _failing(data)
    if leads and failing is not None and failing >= FAILING:
        yield f"fails {failing:.0%} of its requests", 0.6


def _failing(data: Mapping[str, Any]) -> float | None:
    signals = data.get("signals")
    errors = signals.get("error_ratio") if isinstance(signals, dict) else None
    last = errors.get("last") if isinstance(errors, dict) else None
    return float(last) if isinstance(last, int | float) and not isinstance(last, bool) else None
