"""Where and when to look for evidence: the alert's window, and the label sets that may select its service."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import Window
from sreops.domain.text.quoting import is_label_name, is_quotable

_LOG_LABELS = (
    "container", "container_name", "service_name", "service", "compose_service", "pod", "app", "name", "job",
    "instance",
)  # fmt: skip
_METRIC_LABELS = (
    "service", "container", "name", "app", "pod", "service_name", "job", "instance",
    "container_label_com_docker_compose_service",
)  # fmt: skip
_NARROWING = ("namespace", "cluster", "compose_project", "project", "env", "environment")
_OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
MAX_CANDIDATES = 8


def evidence_window(starts_at: datetime, now: datetime, lookback_s: float, lookahead_s: float) -> Window:
    """Return the window around the alert's start, not around now; it never reaches beyond now.

    A start in the future (a clock that is wrong) or before 2000 (Go's zero time) is read as now.
    """
    anchor = starts_at if _OLDEST <= starts_at <= now else now
    start = anchor - timedelta(seconds=lookback_s)
    end = min(now, anchor + timedelta(seconds=lookahead_s))
    return Window(start=start, end=max(end, start + timedelta(seconds=1)))


def _unique(candidates: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    kept: list[dict[str, str]] = []
    for candidate in candidates:
        if candidate and candidate not in kept:
            kept.append(candidate)
    return kept[:MAX_CANDIDATES]


def _usable(labels: Mapping[str, str], names: Iterable[str], existing: Collection[str] | None) -> dict[str, str]:
    return {
        name: labels[name]
        for name in names
        if labels.get(name)
        and is_label_name(name)
        and is_quotable(labels[name])
        and (existing is None or name in existing)
    }


def _ordered(event: AlertEvent, names: tuple[str, ...], existing: Collection[str] | None) -> Iterable[dict[str, str]]:
    own = _usable(event.labels, names, existing)
    narrowing = _usable(event.labels, _NARROWING, existing)
    service = event.service if event.service and is_quotable(event.service) else ""
    ranked = sorted(own, key=lambda name: (name in ("job", "instance"), names.index(name)))
    fallback = {
        name: {name: service}
        for name in names
        if service and name != "instance" and (existing is None or name in existing)
    }
    telling = [name for name in ranked if name not in ("job", "instance")]
    for name in telling:
        if narrowing:
            yield {name: own[name], **narrowing}
        yield {name: own[name]}
    yield from (fallback[name] for name in names if name in fallback and name != "job")
    if "job" in own and "instance" in own:
        yield {"job": own["job"], "instance": own["instance"]}
    for name in ("job", "instance"):
        if name in own:
            yield {str(name): own[name]}
    if "job" in fallback:
        yield fallback["job"]


def log_label_candidates(event: AlertEvent, existing_labels: Collection[str] | None) -> list[dict[str, str]]:
    """Return selector label sets to try in Loki, most promising first.

    The alert's own labels where Loki has labels of that name, else the service's name under what usually holds
    it. None for ``existing_labels`` says that they are not known; then all are tried.
    """
    return _unique(_ordered(event, _LOG_LABELS, existing_labels))


def metric_label_candidates(event: AlertEvent, existing_labels: Collection[str] | None = None) -> list[dict[str, str]]:
    """Return label sets to ask Prometheus for metrics of, most promising first (cAdvisor's ``name`` among them)."""
    return _unique(_ordered(event, _METRIC_LABELS, existing_labels))
