"""What the model may ask about an incident: scopes of the alerted service, and of the neighbours that are known."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence

from sreops.agent.visit import Visit
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import Evidence, Window
from sreops.domain.evidence.neighbours import NearService, near_labels, near_services
from sreops.domain.model.questions import Scopes, usable_names
from sreops.errors import SreopsError
from sreops.telemetry import log

_SCOPES = 4
_OF_A_NEIGHBOUR = 2
SCOPE_UNKNOWN = "inquiry.scope_unknown"
_Metrics = list[tuple[dict[str, str], tuple[str, ...]]]


async def find_scopes(visit: Visit, evidence: Sequence[Evidence]) -> Scopes:
    """Return the scopes; a neighbour is one that the incident's own evidence names, and nothing else is.

    It was found by ``depends_on``, the topology or as a peer; what a model or a log line calls a neighbour is none.
    """
    near = near_services(evidence)
    logs, metrics = await asyncio.gather(_log_scopes(visit, near), _metric_scopes(visit, near))
    service = visit.event.service
    containers: list[str] = []
    if visit.tools.containers is not None:
        containers = [name for name in (service, *(one.container for one in near)) if name]
    return Scopes(
        logs=tuple(labels for labels, _ in logs),
        owners=tuple(owner for _, owner in logs),
        metrics=tuple(labels for labels, _ in metrics),
        names=tuple(names for _, names in metrics),
        containers=tuple(containers),
        services=(visit.incident.service, *(one.service for one in near)),
        neighbours=tuple((one.service, one.relation) for one in near),
    )


def _window(visit: Visit) -> Window:
    settings = visit.tools.settings.evidence
    return findings.evidence_window(visit.event.starts_at, visit.now(), settings.lookback_s, settings.lookahead_s)


async def _log_scopes(visit: Visit, near: Sequence[NearService]) -> list[tuple[dict[str, str], str]]:
    """Return label sets, each with the neighbour that it is of (nothing for the service's own)."""
    logs, settings = visit.tools.logs, visit.tools.settings
    if logs is None:
        return []
    names = await _or_nothing(logs.label_names(_window(visit), timeout_s=settings.loki.timeout_s))
    own = findings.log_label_candidates(visit.event, names)[:_SCOPES] if names else []
    around = [(near_labels(own[0], one.service, one.container), one.service) for one in near if own]
    return [*((labels, "") for labels in own), *((labels, name) for labels, name in around if labels)]


async def _metric_scopes(visit: Visit, near: Sequence[NearService]) -> _Metrics:
    metrics = visit.tools.metrics
    if metrics is None:
        return []
    own = (await _known(visit, findings.metric_label_candidates(visit.event)))[:_SCOPES]
    around = [near_labels(labels, one.service, one.container) for one in near for labels, _ in own[:_OF_A_NEIGHBOUR]]
    return own + await _known(visit, [labels for labels in around if labels])


async def _known(visit: Visit, wanted: Sequence[dict[str, str]]) -> _Metrics:
    metrics, window = visit.tools.metrics, _window(visit)
    assert metrics is not None
    timeout_s = visit.tools.settings.prometheus.timeout_s
    asked = [_or_nothing(metrics.names(one, window, timeout_s=timeout_s)) for one in wanted]
    return [
        (one, usable_names(names)) for one, names in zip(wanted, await asyncio.gather(*asked), strict=True) if names
    ]


async def _or_nothing(asked: Awaitable[Iterable[str]]) -> list[str]:
    """Return the names, or none where the source fails: then there is a question less to ask."""
    try:
        return sorted(await asked)
    except SreopsError as exc:
        log.warning(SCOPE_UNKNOWN, error=str(exc))
        return []
