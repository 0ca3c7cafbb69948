"""Recorded incidents as cases: what an analyst may see, and the labels, parsed apart. Pure.

The format is that of the development data (one JSON object a case); whatever tells the answer — ``id``, ``source``,
``expected_*``, ``label_origin``, the alert's origin, and ``extra`` but for its evidence, events and the times of other
faults — goes into ``Labels`` or nowhere.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sreops.domain.suspects.series_anomaly import Span

MASK_BEFORE_S, MASK_AFTER_S = 60.0, 240.0
"""What another fault's start blots out: it may be noted late, and lasts some minutes."""
MAX_LINE_CHARS = 1_000_000
TIMES_S = (-6e10, 2.5e11)
"""Epoch seconds that a calendar knows: from the year 68 to 9892."""
_OF_A_DEPLOYMENT = re.compile(r"deploy|roll(?:ed)?(?:out|back)|releas", re.I)
_OF_A_FLAG = re.compile(r"flag|config", re.I)
_SINCE = ("fault_start", "inject_time", "alert_time", "starts_at")

Series = tuple[tuple[float, float], ...]


class CaseBroken(ValueError):
    """A case that can't be read; the text says where."""


class CaseLine(BaseModel):
    """One log line; ``ts`` in epoch seconds, None where the recording has none."""

    model_config = ConfigDict(frozen=True)
    ts: float | None = None
    service: str = ""
    line: str


class CaseChange(BaseModel):
    """A change that the recording tells of: when (epoch seconds), of what, and in which words."""

    model_config = ConfigDict(frozen=True)
    at: float
    service: str
    text: str
    flag: bool = False


class Case(BaseModel):
    """What an analyst may see of one incident.

    ``window`` holds epoch seconds by name; ``evidence`` are state dumps and tool results by name; ``events`` are
    one line each; ``masked`` are the times of other faults; ``candidates`` is the closed list to rank.
    """

    model_config = ConfigDict(frozen=True)
    system: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    expr: str = ""
    service: str = ""
    logs: tuple[CaseLine, ...] = ()
    metrics: dict[str, Series] = {}
    candidates: tuple[str, ...] = ()
    window: dict[str, float] = {}
    evidence: dict[str, str] = {}
    events: tuple[str, ...] = ()
    changes: tuple[CaseChange, ...] = ()
    masked: tuple[Span, ...] = ()

    @property
    def since(self) -> float | None:
        """When the trouble was first known: the fault's start, else the alert's; None where neither is recorded."""
        return next((self.window[name] for name in _SINCE if name in self.window), None)

    @property
    def input_chars(self) -> int:
        """Count the characters of all that there is to read."""
        logs = sum(len(entry.line) for entry in self.logs)
        series = sum(len(name) + 24 * len(points) for name, points in self.metrics.items())
        rest = sum(len(name) + len(text) for name, text in {**self.evidence, **self.labels, **self.annotations}.items())
        return logs + series + rest + sum(map(len, self.events))


class Labels(BaseModel):
    """What is right, where the recording says so; an empty field is not judged.

    ``runbook`` is an id, "" where none exists (the right answer is to abstain), or None where nothing is known.
    """

    model_config = ConfigDict(frozen=True)
    components: tuple[str, ...] = ()
    category: str = ""
    actions: tuple[str, ...] | None = None
    lenient_actions: tuple[str, ...] = ()
    decisive: tuple[str, ...] = ()
    runbook: str | None = None


class Baseline(BaseModel):
    """A healthy recording of a system: series, log lines, and who calls whom."""

    model_config = ConfigDict(frozen=True)
    metrics: dict[str, Series] = {}
    logs: tuple[CaseLine, ...] = ()
    calls: frozenset[tuple[str, str]] = frozenset()


def read_case(raw: object) -> tuple[str, Case, Labels]:
    """Return the case's id, what may be seen, and its labels. Raises CaseBroken."""
    if not isinstance(raw, dict):
        raise CaseBroken("not a JSON object")
    if not isinstance(raw.get("id"), str):
        raise CaseBroken("it has no id")
    extra = _mapping(raw.get("extra"), "extra")
    alert = _mapping(raw.get("alert"), "alert")
    try:
        case = Case(
            system=_text(raw.get("system")),
            labels=_texts(alert.get("labels"), "alert.labels"),
            annotations=_titled(alert),
            expr=_text(alert.get("expr")),
            service=_text(raw.get("service")),
            logs=_lines(raw.get("logs")),
            metrics=_metrics(raw.get("metrics")),
            candidates=tuple(_text(item) for item in _sequence(raw.get("candidates"), "candidates")),
            window={
                k: _time(v, f"window.{k}") for k, v in _mapping(raw.get("window"), "window").items() if _is_number(v)
            },
            evidence=_texts(extra.get("evidence"), "extra.evidence"),
            events=tuple(_event(item) for item in _sequence(extra.get("events"), "extra.events")),
            changes=tuple(
                found for item in _sequence(extra.get("events"), "extra.events") if (found := _change(item)) is not None
            ),
            masked=tuple(_masked(item) for item in _sequence(extra.get("other_faults_in_window"), "other faults")),
        )
        actions = raw.get("expected_action_class")
        labels = Labels(
            components=tuple(_text(item) for item in _listed(raw.get("expected_component"))),
            category=_text(raw.get("expected_fault_type")),
            actions=None if actions is None else tuple(_text(item) for item in _listed(actions)),
            lenient_actions=tuple(_text(item) for item in _listed(extra.get("lenient_actions"))),
            decisive=tuple(_pattern(item) for item in _listed(extra.get("decisive_log_regex"))),
        )
    except ValidationError as exc:
        first = exc.errors()[0]
        raise CaseBroken(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from exc
    return _text(raw["id"]), case, labels


def read_baseline(raw: object) -> Baseline:
    """Return a healthy recording. Raises CaseBroken."""
    whole = _mapping(raw, "the baseline")
    pairs = _sequence(whole.get("edges_caller_callee"), "edges_caller_callee")
    calls = frozenset(
        (_text(pair[0]), _text(pair[1])) for pair in pairs if isinstance(pair, Sequence) and len(pair) == 2
    )
    try:
        return Baseline(metrics=_metrics(whole.get("metrics")), logs=_lines(whole.get("logs")), calls=calls)
    except ValidationError as exc:
        raise CaseBroken(str(exc.errors()[0]["msg"])) from exc


def fitting(case: Case, baselines: Sequence[Baseline]) -> Baseline:
    """Join what fits of the healthy recordings: by the names that they share with the case, never by its id."""
    names, parts = set(case.metrics), set(case.candidates)

    def share(of: Baseline) -> float:
        return len(names & set(of.metrics)) / max(1, len(names))

    with_metrics = max((baseline for baseline in baselines if baseline.metrics), key=share, default=None)
    metrics = with_metrics.metrics if with_metrics is not None and share(with_metrics) >= 0.3 else {}
    with_logs = {entry.service for entry in case.logs}
    logs = [
        entry
        for baseline in baselines
        if baseline.logs and len(with_logs & {entry.service for entry in baseline.logs}) >= 0.5 * len(with_logs) > 0
        for entry in baseline.logs
    ]
    graphs = [baseline.calls for baseline in baselines if baseline.calls]
    calls = max(
        graphs,
        key=lambda graph: len(parts & {end for pair in graph for end in pair}),
        default=frozenset[tuple[str, str]](),
    )
    if len(parts & {end for pair in calls for end in pair}) < 0.3 * max(1, len(parts)):
        calls = frozenset()
    return Baseline(metrics=metrics, logs=tuple(logs), calls=calls)


def _is_number(value: object) -> bool:
    return _number(value) is not None


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON's integers have no end
        return None


def _time(value: float, where: str) -> float:
    if not TIMES_S[0] <= value <= TIMES_S[1]:
        raise CaseBroken(f"{where} is no time in epoch seconds: {value:g}")
    return float(value)


def _pattern(item: object) -> str:
    text = _text(item[0] if isinstance(item, list) and item else item)
    try:
        re.compile(text)
    except re.error as exc:
        raise CaseBroken(f"extra.decisive_log_regex: {exc}") from exc
    return text


def _text(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()  # lone surrogates are no text


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CaseBroken(f"{where} is no object")
    return value


def _sequence(value: object, where: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise CaseBroken(f"{where} is no list")
    return value


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _texts(value: object, where: str) -> dict[str, str]:
    return {str(name): _text(text) for name, text in _mapping(value, where).items()}


def _titled(alert: Mapping[str, Any]) -> dict[str, str]:
    title = _text(alert.get("title"))
    found = _texts(alert.get("annotations"), "alert.annotations")
    return found if not title else {"title": title, **found}


def _lines(value: object) -> tuple[CaseLine, ...]:
    lines = []
    for number, raw in enumerate(_sequence(value, "logs")):
        if not isinstance(raw, dict) or not isinstance(raw.get("line"), str):
            raise CaseBroken(f"logs[{number}] has no line")
        at = _number(raw.get("ts"))
        lines.append(
            CaseLine(
                ts=at if at is None else _time(at, f"logs[{number}].ts"),
                service=_text(raw.get("service")),
                line=_text(raw["line"][:MAX_LINE_CHARS]),
            )
        )
    return tuple(lines)


def _metrics(value: object) -> dict[str, Series]:
    metrics: dict[str, Series] = {}
    for name, points in _mapping(value, "metrics").items():
        try:
            metrics[_text(name)] = tuple(
                (_time(at, f"metrics[{str(name)[:80]!r}]"), float(v)) for at, v in points or () if v is not None
            )
        except CaseBroken:
            raise
        except (TypeError, ValueError, OverflowError) as exc:
            raise CaseBroken(f"metrics[{str(name)[:80]!r}] is no list of [time, value]") from exc
    return metrics


def _event(raw: object) -> str:
    if not isinstance(raw, dict):
        return _text(raw)
    count = f" (x{raw['count']})" if _is_number(raw.get("count")) else ""
    what, kind, reason, message = (_text(raw.get(key)) for key in ("object", "type", "reason", "message"))
    return f"{what} {kind} {reason}: {message}{count}"


def _change(raw: object) -> CaseChange | None:
    """Read an event as a change, where its reason says that it is one and its time is known."""
    if not isinstance(raw, dict):
        return None
    reason, thing = _text(raw.get("reason")), _text(raw.get("object"))
    flag = bool(_OF_A_FLAG.search(reason))
    if not flag and not _OF_A_DEPLOYMENT.search(reason):
        return None
    try:
        at = datetime.fromisoformat(_text(raw.get("ts")))
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return CaseChange(at=at.timestamp(), service=thing.rpartition("/")[2], text=_text(raw.get("message")), flag=flag)


def _masked(raw: object) -> Span:
    if not isinstance(raw, dict) or not _is_number(raw.get("start")):
        raise CaseBroken("extra.other_faults_in_window: an entry has no start")
    return raw["start"] - MASK_BEFORE_S, raw["start"] + MASK_AFTER_S
