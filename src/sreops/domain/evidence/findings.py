"""Findings: evidence built from what the sources gave. Pure; ids are given last, by ``number``."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import ContainerState, Evidence, EvidenceKind, LogLines, Series, SeriesSet
from sreops.domain.evidence.golden_signals import Signal
from sreops.domain.evidence.log_mining import Excerpt, excerpt
from sreops.domain.evidence.log_selection import TriedSelector
from sreops.domain.evidence.scope import evidence_window
from sreops.domain.evidence.series_trend import course, in_words
from sreops.domain.incidents.incident import Incident
from sreops.domain.text.quantity import quantity
from sreops.domain.text.redaction import Redactor, clean, one_line

__all__ = [
    "alert", "container", "evidence_window", "gap", "history", "in_braces", "logs", "logs_told", "metric", "number",
    "tool", "tried",
]  # fmt: skip

_NEARLY_FULL = 0.85
"""Of its limit: what is this full is told as full, whichever way it went."""
_STEADY = 0.10  # a change below a tenth is none
_MAX_POINTS = 60  # of a series, as the page draws it


def number(items: Iterable[Evidence], *, start: int = 1) -> tuple[Evidence, ...]:
    """Give the pieces their ids: E1, E2, … in this order."""
    return tuple(item.model_copy(update={"id": f"E{place}"}) for place, item in enumerate(items, start))


def gap(source: str, why: str, cure: str = "", *, query: str = "", tried: Sequence[str] = ()) -> Evidence:
    """Say what could not be found out, why, and what would help; ``tried``: what was asked in vain."""
    finding = one_line(f"{source}: {why}", 400)
    return Evidence(
        id="", kind=EvidenceKind.gap, source=source, query=query, finding=finding, partial=True,
        data={"why": one_line(why, 1000), "cure": one_line(cure, 500)} | ({"tried": list(tried)} if tried else {}),
    )  # fmt: skip


def tool(name: str, asked: str, text: str, budget_chars: int) -> Evidence:
    """Return what a tool from elsewhere said; all of it is text that others wrote, masked by the caller."""
    first = one_line(text, 200) or "nothing"
    return Evidence(
        id="", kind=EvidenceKind.tool, source=name, query=asked, finding=f"{name} says: {first}",
        text=text[:budget_chars], partial=len(text) > budget_chars,
    )  # fmt: skip


def alert(event: AlertEvent, redactor: Redactor) -> Evidence:
    """Return the alert itself as evidence: its labels, annotations and values."""
    lines = [f"{name}={value}" for name, value in sorted(event.labels.items())]
    lines += [f"{name}: {value}" for name, value in sorted(event.annotations.items())]
    lines += [f"value {name} = {value:g}" for name, value in (event.values or {}).items()]
    text = "\n".join(redactor.redact(clean(line))[:2000] for line in lines)[:8000]  # a cut before would halve secrets
    summary = event.annotations.get("summary") or event.annotations.get("description") or "no summary"
    finding = f"{event.alertname} {event.status.value} for {event.service} since {_time(event.starts_at)}: {summary}"
    return Evidence(
        id="", kind=EvidenceKind.alert, source="alert", url=event.generator_url[:2000],
        finding=redactor.redact(one_line(finding, 400)), text=text,
        data={"values": _finite(event.values or {}), "warnings": list(event.warnings)},
    )  # fmt: skip


def logs(
    found: LogLines, service: str, alert_at: datetime, budget_chars: int, redactor: Redactor, *, source: str = "loki"
) -> Evidence:
    """Return the lines' excerpt as evidence; no lines are an answer too, and say so."""
    return logs_told(found, excerpt(found.lines, alert_at, budget_chars), service, redactor, source=source)


def logs_told(
    found: LogLines,
    chosen: Excerpt,
    service: str,
    redactor: Redactor,
    *,
    source: str = "loki",
    asked: Sequence[TriedSelector] = (),
) -> Evidence:
    """Return lines and their excerpt as evidence; ``asked``: which selectors were tried, and why this one was taken."""
    name = one_line(service, 80)
    data: dict[str, Any] = {
        "lines": chosen.total, "kept": chosen.kept, "templates": chosen.templates, "notes": list(found.notes)
    }  # fmt: skip
    if asked:
        data["tried"] = tried(asked, redactor)
    if not found.lines:
        finding = f"{name}: no log line in the window"
    else:
        data["top"] = [redactor.redact(one_line(line, 160)) for line in chosen.top]
        counted = f"{_count(chosen.total, 'line')}, {_count(chosen.templates, 'template')}"
        finding = f"{name}: {counted}; most telling: {'; '.join(data['top'])}"
    return Evidence(
        id="", kind=EvidenceKind.logs, source=source, query=found.query, finding=finding[:700],
        text=redactor.redact(chosen.text), data=data, partial=found.partial,
    )  # fmt: skip


def tried(asked: Sequence[TriedSelector], redactor: Redactor) -> list[str]:
    """Say what was asked, in order, and why one was taken and the others were not."""
    return [
        f"{redactor.redact(one_line(selector.query, 300))}: "
        f"{'taken, ' if selector.taken else ''}{one_line(selector.why, 200)}"
        for selector in asked
    ]


def metric(signal: Signal, found: SeriesSet, alert_at: datetime, *, limit: SeriesSet | None = None) -> Evidence:
    """Compare the series before the alert with since: the median of the earlier half before it, and the last value.

    Of several series the one that changed most is told. No usable value is an answer that says so.
    """
    title = one_line(signal.title, 120)
    judged = [(series, numbers) for series in found.series if (numbers := _compare(series, alert_at)) is not None]
    if not judged:
        what = "no data" if not found.series else "no usable value (NaN or infinite only)"
        return Evidence(
            id="", kind=EvidenceKind.metric, source="prometheus", query=found.query, finding=f"{title}: {what}",
            data={"signal": signal.id, "unit": signal.unit, "series": len(found.series), "notes": list(found.notes)},
            partial=True,
        )  # fmt: skip
    series, numbers = max(judged, key=lambda item: item[1]["last"] if signal.by else abs(item[1]["change"]))
    ceiling = _last_value(limit)
    data: dict[str, Any] = {
        "signal": signal.id, "unit": signal.unit, **numbers, "series": len(judged), "labels": dict(signal.labels),
    }  # fmt: skip
    if ceiling is not None and ceiling > 0:
        shares = {"limit_ratio": numbers["last"] / ceiling, "peak_ratio": numbers["max"] / ceiling}
        if all(map(math.isfinite, shares.values())):
            data |= {"limit": ceiling, **shares}
    if found.notes:
        data["notes"] = list(found.notes)
    data["points"] = _thinned(series)
    if signal.by and (of := series.labels.get(signal.by)):
        title, data["of"] = f"{title} {one_line(of, 80)}", one_line(of, 80)
    data |= course(signal, _usable(series))
    return Evidence(
        id="", kind=EvidenceKind.metric, source="prometheus", query=found.query,
        finding=_told(title, signal, data, len(judged)), data=data, partial=found.partial,
    )  # fmt: skip


def _usable(series: Series) -> list[tuple[float, float]]:
    return [(at, value) for at, value in series.points if math.isfinite(at) and math.isfinite(value)]


def _compare(series: Series, alert_at: datetime) -> dict[str, float] | None:
    points = _usable(series)
    if not points:
        return None
    start, alert_s = points[0][0], alert_at.timestamp()
    # The trouble began some time before the alert (its `for`): only the earlier half is taken for normal.
    middle = start + (min(max(alert_s, start), points[-1][0]) - start) / 2
    before = [value for at, value in points if at <= middle]
    since = [value for at, value in points if at >= alert_s] or [
        value for _, value in points[-max(1, len(points) // 4) :]
    ]
    base, last = statistics.median_low(before), points[-1][1]
    extreme = max([*since, last], key=lambda value: abs(value - base))
    return {
        "before": base, "last": last, "max": max(since), "min": min(since), "extreme": extreme,
        "change": _relative(base, extreme), "samples": float(len(points)),
        "silent_s": max(0.0, series.points[-1][0] - points[-1][0]),
    }  # fmt: skip


def _relative(base: float, value: float) -> float:
    """Return the change relative to the larger of both, from -2 to 2: a start from zero is no division."""
    size = max(abs(base), abs(value))
    return value / size - base / size if size else 0.0


def _told(title: str, signal: Signal, data: Mapping[str, Any], count: int) -> str:
    before, last, extreme = data["before"], data["last"], data["extreme"]
    shown_last = quantity(last, signal.unit)
    if abs(data["change"]) < _STEADY:
        text = f"{title} steady at {shown_last}"
    elif extreme < before and data.get("limit_ratio", 0) >= _NEARLY_FULL:
        # less than before, and still all that it may: that it fell is not the news
        text = f"{title} at {shown_last}, was {quantity(before, signal.unit)}"
    else:
        verb = "rose" if extreme > before else "fell"
        text = f"{title} {verb} from {quantity(before, signal.unit)} to {quantity(extreme, signal.unit)}"
        if abs(_relative(extreme, last)) >= _STEADY:
            text += f", now {shown_last}"
    if "limit_ratio" in data:
        share = max(data["peak_ratio"], data["limit_ratio"]) * 100
        text += f" ({share:.0f} % of its limit {quantity(data['limit'], signal.unit)})"
    if count > 1:
        text += f"; the {'worst' if signal.by else 'most changed'} of {count} series"
    return text + in_words(data)


def _last_value(found: SeriesSet | None) -> float | None:
    values = [points[-1][1] for series in (found.series if found else ()) if (points := _usable(series))]
    return max(values) if values else None


def _thinned(series: Series) -> list[list[float]]:
    points = _usable(series)
    stride = max(1, math.ceil(len(points) / _MAX_POINTS))
    kept = points[::-1][::stride][::-1]  # the newest point is always there
    return [[at, value] for at, value in kept]


def container(state: ContainerState, now: datetime, redactor: Redactor) -> Evidence:
    """Tell how the engine sees the container: state, health, exit code, OOM, restarts, health log."""
    parts = [f"container {one_line(state.name, 80)} is {one_line(state.status, 20)}"]
    if state.health:
        parts.append(f"health {one_line(state.health, 20)}")
    if state.oom_killed:
        parts.append("was OOM killed")
    if state.exit_code is not None and not state.running:
        parts.append(f"exit code {state.exit_code}{_signal_of(state.exit_code)}")
    if state.restart_count:
        parts.append(f"restarted {_count(state.restart_count, 'time')} by the engine")
    if state.running and state.started_at is not None:
        parts.append(f"up for {quantity(max(0.0, (now - state.started_at).total_seconds()), 's')}")
    if state.error:
        parts.append(f"engine error: {redactor.redact(one_line(state.error, 200))}")
    details = [f"image: {state.image}", f"restart policy: {state.restart_policy or 'none'}"]
    details += [
        f"{name}: {_time(at)}" for name, at in (("started", state.started_at), ("finished", state.finished_at)) if at
    ]
    details += [f"health check: {line}" for line in state.health_log[-5:]]
    return Evidence(
        id="", kind=EvidenceKind.container, source="docker", query=state.name, finding=", ".join(parts),
        text=redactor.redact(clean("\n".join(line[:1000] for line in details))),
        data={
            "status": state.status, "running": state.running, "health": state.health, "exit_code": state.exit_code,
            "oom_killed": state.oom_killed, "restart_count": state.restart_count,
            "memory_limit_bytes": state.memory_limit_bytes, "error": redactor.redact(one_line(state.error, 500)),
        },
    )  # fmt: skip


def _signal_of(code: int) -> str:
    names = {137: " (SIGKILL)", 139: " (SIGSEGV)", 143: " (SIGTERM)", 134: " (SIGABRT)", 126: " (not executable)"}
    return names.get(code, " (command not found)" if code == 127 else "")


def history(incidents: Sequence[Incident], now: datetime, *, of: str = "this service") -> Evidence:
    """Tell of a service's earlier incidents: how often, how the last one ended, what was done."""
    if not incidents:
        finding, lines = f"no earlier incident of {of} is known", []
    else:
        ordered = sorted(incidents, key=lambda incident: incident.opened_at, reverse=True)
        day = sum((now - incident.opened_at).total_seconds() <= 86_400 for incident in ordered)
        finding = f"{_count(len(ordered), 'earlier incident')} of {of}, {day} within a day; last: {_past(ordered[0])}"
        lines = [_past(incident) for incident in ordered[:10]]
    return Evidence(
        id="", kind=EvidenceKind.history, source="sreops", finding=finding[:500], text="\n".join(lines),
        data={"count": len(incidents), "ids": [incident.id for incident in incidents[:10]]},
    )  # fmt: skip


def _past(incident: Incident) -> str:
    end = (incident.resolution or incident.reason) if incident.status.ended else None
    done = [f"{effect.action} {effect.outcome.value if effect.outcome else 'unknown'}" for effect in incident.effects]
    cause = f", cause: {one_line(incident.root_cause, 160)}" if incident.root_cause else ""
    if told := (incident.feedback or incident.closed or {}).get("cause"):
        cause = f", cause, says {one_line(str((incident.feedback or incident.closed or {})['by']), 60)}: "
        cause += one_line(str(told), 160)
    actions = f", done: {', '.join(done[:3])}" if done else ""
    return (
        f"{_time(incident.opened_at)} {one_line(incident.alertname, 80)} {incident.status.value}"
        + (f" ({end.value})" if end else "") + cause + actions
    )  # fmt: skip


def in_braces(labels: Mapping[str, str]) -> str:
    """Return labels as people know them from queries; not to be queried with."""
    return "{" + ",".join(f'{name}="{one_line(value, 80)}"' for name, value in sorted(labels.items())) + "}"


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _count(number_of: int, noun: str) -> str:
    return f"{number_of} {noun}" if number_of == 1 else f"{number_of} {noun}s"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
