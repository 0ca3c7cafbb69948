"""What the model may ask about an incident: scopes of the alerted service, and of the neighbours that are known.

They are found by the selectors that find the evidence: the model reaches no stranger, and misses
nothing of the subject.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

from sreops.agent.evidence.logs import select_own
from sreops.agent.evidence.metrics import select_series
from sreops.agent.patient import subject_of, subjects_patient
from sreops.agent.visit import Visit
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import ContainerState, Evidence, Window
from sreops.domain.evidence.identity import Identity, engine_name, identity_of, identity_of_neighbour
from sreops.domain.evidence.log_selection import LogSelector
from sreops.domain.evidence.metric_selection import OwnSeries
from sreops.domain.evidence.neighbours import NearService, near_services
from sreops.domain.model.questions import Scopes, usable_names
from sreops.errors import SreopsError
from sreops.telemetry import log

_SCOPES = 4
_OF_A_NEIGHBOUR = 2
SCOPE_UNKNOWN: Final = "inquiry.scope_unknown"
T = TypeVar("T")


async def find_scopes(visit: Visit, evidence: Sequence[Evidence]) -> Scopes:
    """Return the scopes; a neighbour is one that the incident's own evidence names, and nothing else is.

    It was found by ``depends_on``, the topology or as a peer; what a model or a log line calls a neighbour is none.
    """
    near = near_services(evidence)
    state = await _state(visit)
    own = identity_of(visit.event, state)
    logs, metrics = await asyncio.gather(_log_scopes(visit, own, near), _metric_scopes(visit, own, near))
    containers: list[str] = []
    if visit.tools.containers is not None:
        mine = state.name if state is not None else engine_name(visit.event)
        containers = [name for name in (mine, *(neighbour.container for neighbour in near)) if name]
    return Scopes(
        logs=tuple(selector for selector, _ in logs),
        owners=tuple(owner for _, owner in logs),
        metrics=tuple(metric.selector for metric in metrics),
        names=tuple(metric.names for metric in metrics),
        containers=tuple(containers),
        services=(visit.incident.service, *(neighbour.service for neighbour in near)),
        neighbours=tuple((neighbour.service, neighbour.relation) for neighbour in near),
    )


def _window(visit: Visit) -> Window:
    settings = visit.tools.settings.evidence
    return findings.evidence_window(visit.event.starts_at, visit.now(), settings.lookback_s, settings.lookahead_s)


async def _log_scopes(visit: Visit, own: Identity, near: Sequence[NearService]) -> list[tuple[LogSelector, str]]:
    """Return selectors, each with the neighbour that it is of (nothing for the subject's own)."""
    logs, settings = visit.tools.logs, visit.tools.settings.loki
    if logs is None:
        return []
    asked: list[tuple[Identity, dict[str, str], str]] = [(own, visit.event.labels, "")]
    asked += [
        (identity_of_neighbour(neighbour.service, None, neighbour.container), {}, neighbour.service)
        for neighbour in near
    ]
    found = await asyncio.gather(
        *(_or_none(select_own(logs, who, said, _window(visit), 1, settings.timeout_s)) for who, said, _ in asked)
    )
    return [
        (verdict.selector, whose)
        for verdict, (_, _, whose) in zip(found, asked, strict=True)
        if verdict is not None and verdict.selector is not None
    ]


async def _metric_scopes(visit: Visit, own: Identity, near: Sequence[NearService]) -> list[OwnSeries]:
    metrics, settings = visit.tools.metrics, visit.tools.settings.prometheus
    if metrics is None:
        return []
    asked: list[tuple[Identity, dict[str, str], int]] = [(own, visit.event.labels, _SCOPES)]
    asked += [
        (identity_of_neighbour(neighbour.service, None, neighbour.container), {}, _OF_A_NEIGHBOUR) for neighbour in near
    ]
    found = await asyncio.gather(
        *(_or_none(select_series(metrics, who, said, _window(visit), settings.timeout_s)) for who, said, _ in asked)
    )
    return [
        OwnSeries(series.selector, usable_names(series.names))
        for selected, (_, _, most) in zip(found, asked, strict=True)
        for series in (_richest(selected.own)[:most] if selected is not None else ())
    ]


def _richest(own: Sequence[OwnSeries]) -> Sequence[OwnSeries]:
    """Return the selectors of most metrics first, without those that add no metric to the others."""
    kept: list[OwnSeries] = []
    known: set[str] = set()
    for series in sorted(own, key=lambda series: -len(series.names)):
        if not known.issuperset(series.names):
            kept.append(series)
            known.update(series.names)
    return kept


async def _state(visit: Visit) -> ContainerState | None:
    """Return the subject's container, if the engine knows the one."""
    name = engine_name(visit.event)
    if visit.tools.containers is None or not name:
        return None
    subject = subject_of(visit.event, visit.incident).model_copy(update={"name": name})
    patient = await _or_none(subjects_patient(visit.tools, subject, visit.now()))
    return (patient.one or patient.states[0]) if patient is not None and len(patient.targets) == 1 else None


async def _or_none(asked: Awaitable[T]) -> T | None:
    """Return what was found, or None where the source fails: then there is a question less to ask."""
    try:
        return await asked
    except SreopsError as exc:
        log.warning(SCOPE_UNKNOWN, error=str(exc))
        return None
