"""What a model may ask about one incident: structured arguments, checked; it never writes a query.

Labels come from scopes that the incident gave, metric names from those that exist, texts are quoted. Pure.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sreops.domain.evidence.evidence import Window
from sreops.domain.evidence.log_selection import LogSelector
from sreops.domain.evidence.metric_selection import MetricSelector
from sreops.domain.text.quoting import is_label_name, is_metric_name, is_quotable, promql_duration, promql_selector
from sreops.domain.text.redaction import one_line
from sreops.errors import QueryRefused

LONGEST_WINDOW_MIN = 360
MAX_METRIC_NAME = 120
_Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_METRIC_NAME)]
_Minutes = Annotated[float, Field(ge=-24 * 60, le=24 * 60, allow_inf_nan=False)]


class View(StrEnum):
    """How a metric is looked at."""

    value = "value"
    rate = "rate"
    increase = "increase"
    p95 = "p95"


class _Question(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LogQuestion(_Question):
    """Lines of one scope, from and to in minutes relative to the alert's start."""

    scope: _Name
    contains: Annotated[tuple[_Text, ...], Field(max_length=3, strict=False)]
    excludes: Annotated[tuple[_Text, ...], Field(max_length=3, strict=False)]
    from_minutes: _Minutes
    to_minutes: _Minutes


class MetricQuestion(_Question):
    """One metric of one scope; ``by`` is a label to group by."""

    scope: _Name
    metric: _Name
    view: Annotated[View, Field(strict=False)]
    by: _Name | None
    from_minutes: _Minutes
    to_minutes: _Minutes


class ContainerQuestion(_Question):
    """A container of one scope."""

    scope: _Name


class HistoryQuestion(_Question):
    """Earlier incidents of the service of one scope, of the last ``days``."""

    scope: _Name
    days: Annotated[int, Field(ge=1, le=365)]


Question = LogQuestion | MetricQuestion | ContainerQuestion | HistoryQuestion
KINDS: Mapping[str, type[Question]] = {
    "query_logs": LogQuestion,
    "query_metrics": MetricQuestion,
    "describe_container": ContainerQuestion,
    "past_incidents": HistoryQuestion,
}
ScopeKind = Literal["L", "M", "C", "H"]
_OF_SCOPE: Mapping[type[Question], ScopeKind] = {
    LogQuestion: "L",
    MetricQuestion: "M",
    ContainerQuestion: "C",
    HistoryQuestion: "H",
}


class Scopes(BaseModel):
    """What may be named: label sets (L1, … logs; M1, … metrics), containers (C1, …), services (H1, …).

    Of the alerted service first, then of its known neighbours; ``neighbours`` are (service, what it is to the alerted).
    """

    model_config = ConfigDict(frozen=True)
    logs: tuple[LogSelector, ...] = ()
    owners: tuple[str, ...] = ()  # of each log scope, the neighbour whose lines these are, or nothing
    metrics: tuple[MetricSelector, ...] = ()
    containers: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()  # of each metric scope, those that exist
    neighbours: tuple[tuple[str, str], ...] = ()

    def ids(self, kind: ScopeKind) -> list[str]:
        """Return the ids of one kind."""
        counts = {"L": len(self.logs), "M": len(self.metrics), "C": len(self.containers), "H": len(self.services)}
        return [f"{kind}{number}" for number in range(1, counts[kind] + 1)]

    def owner(self, scope: str) -> str:
        """Return the neighbour whose logs a scope (L1, …) is of; nothing where they are the alerted service's own."""
        place = int(scope[1:]) - 1
        return self.owners[place] if place < len(self.owners) else ""

    def told(self) -> str:
        """Return the scopes for the model; labels and names are what others wrote."""
        lines = []
        for place, logs in zip(self.ids("L"), self.logs, strict=True):
            lines.append(f"{place} logs of {_labels({**logs.labels, **logs.patterns})}")
        for place, metrics, names in zip(self.ids("M"), self.metrics, self.names, strict=True):
            shown = _labels({**metrics.labels, **metrics.patterns})
            lines.append(f"{place} metrics of {shown}: {', '.join(names) or 'none known'}")
        for place, name in zip(self.ids("C"), self.containers, strict=True):
            lines.append(f"{place} container {one_line(name, 120)}")
        for place, name in zip(self.ids("H"), self.services, strict=True):
            lines.append(f"{place} earlier incidents of {one_line(name, 120)}")
        if self.neighbours:
            told = ", ".join(f"{one_line(name, 120)} ({one_line(role, 40)})" for name, role in self.neighbours)
            lines.append(f"Neighbours of the alerted service are {told}.")
        return "\n".join(lines) or "Nothing."


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={one_line(value, 120)}" for name, value in labels.items())


def usable_names(names: Sequence[str], most: int = 200) -> tuple[str, ...]:
    """Return names that PromQL takes unquoted and people can read; a hostile name is no metric that is needed."""
    return tuple([name for name in names if len(name) <= MAX_METRIC_NAME and is_metric_name(name)][:most])


def read_question(name: str, arguments: object, scopes: Scopes) -> Question:
    """Check a question; raises QueryRefused that says what is wrong, in our words only."""
    kind = KINDS.get(name)
    if kind is None:
        raise QueryRefused(f"there is no such tool; there are {', '.join(KINDS)}")
    try:
        question: Question = kind.model_validate(arguments)
    except (ValidationError, RecursionError) as exc:
        told = _told(exc, set(kind.model_fields)) if isinstance(exc, ValidationError) else ["too deeply nested"]
        raise QueryRefused(f"{name}: {'; '.join(dict.fromkeys(told))}") from exc
    allowed = scopes.ids(_OF_SCOPE[type(question)])
    if question.scope not in allowed:
        raise QueryRefused(f"{name}: scope must be one of {', '.join(allowed) or 'none: there is nothing to ask'}")
    _check_texts(name, question, scopes)
    return question


def _told(exc: ValidationError, known: set[str]) -> list[str]:
    """Say what is wrong without a word of what was given: that may be somebody else's."""
    problems = []
    for error in exc.errors()[:5]:
        if not error["loc"]:
            problems.append("the arguments are no object")
        else:
            name = error["loc"][0]
            problems.append(f"{name}: {error['msg']}" if name in known else "an unknown argument")
    return problems


def _check_texts(name: str, question: Question, scopes: Scopes) -> None:
    if isinstance(question, LogQuestion):
        if not all(is_quotable(text) for text in (*question.contains, *question.excludes)):
            raise QueryRefused(f"{name}: a text with NUL or half a surrogate pair cannot stand in a query")
    elif isinstance(question, MetricQuestion):
        names = scopes.names[int(question.scope[1:]) - 1]
        if question.metric not in names:
            raise QueryRefused(f"{name}: metric must be one of those listed for {question.scope}")
        if question.by is not None and not is_label_name(question.by):
            raise QueryRefused(f"{name}: by must be a label name, or null")
        if question.view is View.p95 and not question.metric.endswith("_bucket"):
            raise QueryRefused(f"{name}: p95 needs a metric whose name ends in _bucket")


def window_of(question: LogQuestion | MetricQuestion, alert_at: datetime, now: datetime) -> Window:
    """Return the window that is asked for: at least a minute, at most six hours, never beyond now."""
    begin, end = sorted((question.from_minutes, question.to_minutes))
    until = min(now, alert_at + timedelta(minutes=end))
    start = max(alert_at + timedelta(minutes=begin), until - timedelta(minutes=LONGEST_WINDOW_MIN))
    return Window(start=min(start, until - timedelta(minutes=1)), end=until)


def promql_of(question: MetricQuestion, scope: MetricSelector, window: Window) -> str:
    """Return the query; every name and value in it has gone through quoting."""
    selector = promql_selector(question.metric, scope.labels, patterns=scope.patterns, utf8=True)
    by = f" by ({question.by})" if question.by else ""
    rates = promql_duration(300)
    match question.view:
        case View.value:
            return f"max{by}({selector})"
        case View.rate:
            return f"sum{by}(rate({selector}[{rates}]))"
        case View.increase:
            return f"sum{by}(increase({selector}[{promql_duration(max(60, math.ceil(window.span_s() / 4)))}]))"
        case View.p95:
            groups = f"le, {question.by}" if question.by and question.by != "le" else "le"
            return f"histogram_quantile(0.95, sum by ({groups}) (rate({selector}[{rates}])))"


_MINUTES: dict[str, Any] = {"type": "number", "description": "Minutes relative to the alert's start; -15: before it."}
_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}


def _schema(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


# The same for every incident, for tools come first in the cached prefix: what may be named stands in the message.
TOOLS: Sequence[tuple[str, str, dict[str, Any]]] = (
    (
        "query_logs",
        "Read the log lines of a scope (L1, …), mined for what is rare and new. Every text of `contains` must stand in "
        "the line, none of `excludes`; both are plain text, case matters, three each at most, and may be empty.",
        _schema(
            scope={"type": "string", "description": "L1, L2, …"},
            contains={**_TEXTS, "description": "Plain texts that the line holds."},
            excludes={**_TEXTS, "description": "Plain texts that the line does not hold."},
            from_minutes=_MINUTES,
            to_minutes=_MINUTES,
        ),
    ),
    (
        "query_metrics",
        "Follow one metric of a scope (M1, …) over time. view: value as it is, rate per second or increase of a "
        "counter, p95 of a histogram's _bucket. by: a label to group by, or null.",
        _schema(
            scope={"type": "string", "description": "M1, M2, …"},
            metric={"type": "string", "description": "A name that is listed for the scope."},
            view={"type": "string", "enum": [view.value for view in View]},
            by={"anyOf": [{"type": "string"}, {"type": "null"}]},
            from_minutes=_MINUTES,
            to_minutes=_MINUTES,
        ),
    ),
    (
        "describe_container",
        "Ask the engine how a container (C1, …) is now: state, exit code, OOM kill, restarts, health log.",
        _schema(scope={"type": "string", "description": "C1, C2, …"}),
    ),
    (
        "past_incidents",
        "Read earlier incidents of a service (H1, …), the alerted one or a neighbour: what the cause was, what was "
        "done, and whether it helped.",
        _schema(
            scope={"type": "string", "description": "H1, H2, …"},
            days={"type": "integer", "description": "1 to 365 days back."},
        ),
    ),
)
