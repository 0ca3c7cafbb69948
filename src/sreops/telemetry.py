"""Logs (structlog; JSON where there is no terminal) and metrics (Prometheus client)."""

import logging
import re
import sys
from collections.abc import MutableMapping
from io import StringIO
from textwrap import indent
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sreops.domain.text.redaction import clean

log: Any = structlog.stdlib.get_logger("sreops")

REGISTRY = CollectorRegistry()

ALERTS = Counter("sreops_alerts_total", "Alerts received, by outcome.", ["outcome"], registry=REGISTRY)
"""outcome: queued, resolved, skipped, rejected (in an accepted request), refused (whole request)."""
ALERTS_TRUNCATED = Counter(
    "sreops_alerts_truncated_total", "Alerts that senders left out of their own groups.", registry=REGISTRY
)
ALERTS_RECORDED = Counter(
    "sreops_alerts_recorded_total", "Firing alerts recorded and not worked on, by reason.", ["reason"],
    registry=REGISTRY,
)  # fmt: skip
"""reason: severity (SREOPS_WORK_ON), tier (unknown)."""
REQUESTS_REFUSED = Counter(
    "sreops_webhook_refused_total", "Webhook requests refused, by HTTP status.", ["status"], registry=REGISTRY
)
CONNECTIONS_REFUSED = Counter(
    "sreops_connections_refused_total", "Connections that were cut off, by reason.", ["reason"], registry=REGISTRY
)
"""reason: too_many, too_many_of_address, head_timeout, head_too_large, body_timeout, malformed."""
CONNECTIONS_UNPROVEN = Gauge(
    "sreops_connections_unproven", "Open connections on which nothing was accepted so far.", registry=REGISTRY
)
CREDENTIALS_REFUSED = Counter(
    "sreops_credentials_refused_total", "Wrong credentials, by where they were shown.", ["where"], registry=REGISTRY
)
"""where: api, sign_in, alerts."""
INTAKE = Counter("sreops_intake_total", "Records read from the event log, by outcome.", ["outcome"], registry=REGISTRY)
"""outcome: taken, duplicate, unreadable, poisonous."""
CORRELATED = Counter(
    "sreops_correlated_total", "Events correlated, by disposition.", ["disposition"], registry=REGISTRY
)
INCIDENTS_ENDED = Counter(
    "sreops_incidents_ended_total",
    "Incidents ended, by end (resolved, escalated) and its resolution or reason.",
    ["end", "reason"],
    registry=REGISTRY,
)
INCIDENT_SECONDS = Histogram(
    "sreops_incident_seconds",
    "From an incident's opening to its end.",
    ["end"],
    buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400),
    registry=REGISTRY,
)
NODE_SECONDS = Histogram("sreops_node_seconds", "Time in one visit of a graph node.", ["node"], registry=REGISTRY)
EFFECTS = Counter("sreops_effects_total", "Effects, by action and outcome.", ["action", "outcome"], registry=REGISTRY)
MODEL_CALLS = Counter(
    "sreops_model_calls_total", "Analyst calls, by analyst and outcome.", ["analyst", "outcome"], registry=REGISTRY
)
MODEL_TOKENS = Counter("sreops_model_tokens_total", "Model tokens, by direction.", ["direction"], registry=REGISTRY)
"""direction: input (neither given nor taken by the cache), cache_write, cache_read, output."""
MODEL_REQUESTS = Counter(
    "sreops_model_requests_total",
    "Requests to the model, by model and outcome; an analysis takes several.",
    ["model", "outcome"],
    registry=REGISTRY,
)
"""outcome: answered, status_NNN, unreachable, lost (its answer; it may have cost), unspent (a ceiling: not made)."""
MODEL_COST = Counter("sreops_model_cost_usd_total", "US dollars, by model.", ["model"], registry=REGISTRY)
MODEL_SECONDS = Histogram(
    "sreops_model_request_seconds",
    "Latency of one request to the model.",
    buckets=(0.5, 1, 2, 5, 10, 20, 40, 60, 120),
    registry=REGISTRY,
)
MODEL_BREAKER = Gauge(
    "sreops_model_breaker_open", "1 while the model is not asked because it failed repeatedly.", registry=REGISTRY
)
MODEL_TOOL_CALLS = Counter(
    "sreops_model_tool_calls_total", "Questions that the model asked, by tool and outcome.", ["tool", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
"""outcome: answered, gap, refused."""
ADAPTER_ERRORS = Counter(
    "sreops_adapter_errors_total",
    "Errors of adapters, by adapter and error class.",
    ["adapter", "error"],
    registry=REGISTRY,
)
ADAPTER_SECONDS = Histogram("sreops_adapter_seconds", "Latency of adapter calls.", ["adapter"], registry=REGISTRY)
BACKLOG = Gauge(
    "sreops_backlog", "What waits: inbox, ready, running, waiting, open, outbox, tickets.", ["what"], registry=REGISTRY
)
BACKLOG_AGE = Gauge("sreops_backlog_age_seconds", "Age of the oldest waiting thing.", ["what"], registry=REGISTRY)
NOTICES = Counter(
    "sreops_notices_total", "What people are told, by kind and outcome.", ["kind", "outcome"], registry=REGISTRY
)
"""outcome: planned (for at least one channel), quiet (nobody is told)."""
DELIVERIES = Counter(
    "sreops_deliveries_total", "Messages to a channel, by service and outcome.", ["service", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
"""outcome: sent, failed (it comes again), given_up."""
DELIVERY_SECONDS = Histogram(
    "sreops_delivery_seconds",
    "From the state that is told to its message at the receiver; digests not counted.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
    registry=REGISTRY,
)
DELIVERIES_WAIT = Gauge("sreops_deliveries_waiting", "Messages that are due and not sent yet.", registry=REGISTRY)
NEEDS_PERSON = Gauge(
    "sreops_incidents_needing_person", "Incidents that need a person, by what they need.", ["needs"], registry=REGISTRY
)
PRUNED = Counter(
    "sreops_pruned_total", "Deleted because old or too much: incidents, inbox, threads, log_records.", ["what"],
    registry=REGISTRY,
)  # fmt: skip
STREAM_CLIENTS = Gauge("sreops_stream_clients", "Open event streams.", registry=REGISTRY)

_QUIET = {
    "aiokafka": logging.CRITICAL,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "httpcore": logging.WARNING,
    "uvicorn": logging.ERROR,  # its warnings are what strangers send; web/connections.py counts that
    "asyncio": logging.WARNING,
    "aiosqlite": logging.WARNING,
}
# aiokafka repeats an ERROR line many times a second while a broker is away: our own health and
# `event_log.*` events say so once.


_OBEYED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _shown_inert(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out of text what a terminal would obey, or show as a line of its own."""
    return {
        name: clean(value).replace("\n", "\\n") if isinstance(value, str) else value for name, value in event.items()
    }


def _inert_traceback(out: TextIO, exc_info: Any) -> None:
    """Write a traceback, indented: an error's text may hold what looks like a line of the log."""
    told = StringIO()
    structlog.dev.plain_traceback(told, exc_info)
    out.write(indent(clean(told.getvalue()), "    "))


def _escaped(logger: Any, method: str, line: Any) -> str:
    """Escape what JSON leaves as it is and a terminal obeys."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def configure_logging(level: str, fmt: str) -> None:
    """Set up structlog and the standard library's logging; ``fmt`` is ``auto``, ``json`` or ``text``."""
    as_json = fmt == "json" or (fmt == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=34, exception_formatter=_inert_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        # without local variables: they hold what alerts and models wrote, and take seconds to render
        told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        final.append(structlog.processors.ExceptionRenderer(told))
    else:
        final.append(_shown_inert)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[*final, renderer, *([_escaped] if as_json else [])]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(getattr(logging, level.upper()))
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(floor)
