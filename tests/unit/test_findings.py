import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.evidence.evidence import ContainerState, EvidenceKind, LogLine, LogLines, Series, SeriesSet
from sreops.domain.evidence.findings import alert, container, gap, history, logs, metric, number
from sreops.domain.evidence.golden_signals import Signal
from sreops.domain.evidence.scope import evidence_window
from sreops.domain.incidents.incident import Incident, IncidentStatus, Resolution
from sreops.domain.text.redaction import Redactor

T0 = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
MEMORY = Signal("memory", "memory working set", "bytes", "m", 5)


def event(service="payments", **labels: str) -> AlertEvent:
    return AlertEvent(
        event_id="1", source="grafana", fingerprint="f", status=AlertStatus.firing,
        labels={"alertname": "HighMemory", **labels}, annotations={"summary": "memory high"}, starts_at=T0,
        received_at=T0, tier=Tier.autonomous, severity=Severity.critical, service=service,
    )  # fmt: skip


def series(*values: float, start_s: float = -900, step_s: float = 60, **labels: str) -> Series:
    begin = T0.timestamp() + start_s
    return Series(labels=labels, points=tuple((begin + i * step_s, value) for i, value in enumerate(values)))


def one(found: Series | None, **more) -> SeriesSet:
    return SeriesSet(query="m", series=(found,) if found else (), **more)


def test_a_leak_is_told_with_its_limit():
    values = [210e6] * 9 + [210e6 + i * 24e6 for i in range(13)]
    found = metric(MEMORY, one(series(*values)), T0, limit=one(series(512e6)))
    assert found.finding == "memory working set rose from 210 MB to 498 MB (97 % of its limit 512 MB)"
    assert found.data["limit_ratio"] == pytest.approx(498 / 512)
    assert found.kind is EvidenceKind.metric
    assert not found.partial


def test_steady_fallen_and_recovered_series_are_told_as_such():
    assert metric(MEMORY, one(series(*[1e6] * 20)), T0).finding == "memory working set steady at 1 MB"
    rate = Signal("request_rate", "request rate", "req/s", "r", 40)
    assert metric(rate, one(series(*[50.0] * 14, *[0.0] * 6)), T0).finding == (
        "request rate fell from 50 req/s to 0 req/s"
    )
    spiked = metric(rate, one(series(*[10.0] * 16, 90.0, 40.0, 10.0)), T0).finding
    assert spiked == "request rate rose from 10 req/s to 90 req/s, now 10 req/s"


def test_of_several_series_the_one_that_changed_most_is_told():
    quiet, loud = series(*[5.0] * 20, pod="a"), series(*[5.0] * 12, *[50.0] * 8, pod="b")
    found = metric(MEMORY, SeriesSet(query="m", series=(quiet, loud)), T0)
    assert "rose from 5 B to 50 B" in found.finding
    assert "the most changed of 2 series" in found.finding


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, "no data"),
        (series(float("nan"), float("nan")), "no usable value"),
        (series(float("inf")), "no usable value"),
    ],
)
def test_no_data_is_said_and_never_a_number(found, told):
    evidence = metric(MEMORY, one(found), T0)
    assert told in evidence.finding
    assert evidence.partial
    assert "last" not in evidence.data


finite_or_not = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.lists(finite_or_not, max_size=20), max_size=3), finite_or_not)
def test_any_numbers_make_evidence_that_is_valid_json(many, ceiling):
    found = SeriesSet(query="m", series=tuple(series(*values) for values in many))
    evidence = metric(MEMORY, found, T0, limit=one(series(ceiling)))
    json.dumps(evidence.model_dump(), allow_nan=False)
    assert evidence.finding


def test_partial_answers_make_partial_evidence_with_the_notes():
    found = metric(MEMORY, one(series(1.0, 2.0), partial=True, notes=("warned",)), T0)
    assert found.partial
    assert found.data["notes"] == ["warned"]
    lines = LogLines(query="q", lines=(LogLine(at=T0, text="x"),), partial=True, notes=("cut",))
    assert logs(lines, "payments", T0, 1000, Redactor()).partial


def test_logs_are_told_by_count_kinds_and_the_most_telling_line_redacted():
    lines = [LogLine(at=T0 + timedelta(seconds=i), text=f"request {i} ok") for i in range(300)]
    lines.append(LogLine(at=T0 + timedelta(seconds=5), text="OutOfMemoryError: heap for bob@example.com \x1b[31m"))
    found = logs(LogLines(query='{a="b"}', lines=tuple(lines)), "payments", T0, 2000, Redactor())
    assert found.finding.startswith("payments: 301 lines, 2 templates; most telling: OutOfMemoryError")
    assert "bob@" not in found.finding + found.text
    assert "<email-1>" in found.text
    assert "\x1b" not in found.text
    assert logs(LogLines(query="q", lines=()), "payments", T0, 100, Redactor()).finding == (
        "payments: no log line in the window"
    )


def state(**changes) -> ContainerState:
    return ContainerState(
        **({"id": "c1", "name": "payments", "image": "shop/payments:1", "status": "exited", "running": False} | changes)
    )


def test_a_dead_container_is_told_with_its_exit_and_the_kill():
    found = container(state(exit_code=137, oom_killed=True, restart_count=3, error="password=x1y2z3"), T0, Redactor())
    assert found.finding == (
        "container payments is exited, was OOM killed, exit code 137 (SIGKILL), restarted 3 times by the engine, "
        "engine error: password=<secret-1>"
    )
    assert found.data["oom_killed"] is True


def test_a_running_container_is_told_with_its_health_and_not_its_last_exit():
    running = state(
        status="running", running=True, exit_code=0, health="unhealthy", health_log=("connection refused",),
        started_at=T0 - timedelta(hours=3),
    )  # fmt: skip
    found = container(running, T0, Redactor())
    assert found.finding == "container payments is running, health unhealthy, up for 3.0 h"
    assert "health check: connection refused" in found.text


def test_history_says_how_often_and_how_the_last_one_ended():
    earlier = Incident(
        id="i1", status=IncidentStatus.resolved, resolution=Resolution.fixed, service="payments",
        alertname="HighMemory",
        severity=Severity.critical, tier=Tier.autonomous, fingerprints=("f",), opened_at=T0 - timedelta(hours=2),
        episode_at=T0 - timedelta(hours=2), root_cause="leak",
    )  # fmt: skip
    older = earlier.model_copy(update={"id": "i0", "opened_at": T0 - timedelta(days=3)})
    found = history([older, earlier], T0)
    assert found.finding.startswith(
        "2 earlier incidents of this service, 1 within a day; last: 2026-01-15 10:00:00 UTC"
    )
    assert "resolved (fixed), cause: leak" in found.finding
    assert found.data["ids"] == ["i0", "i1"]
    assert history([], T0).finding == "no earlier incident of this service is known"


def test_what_fell_and_is_still_all_that_it_may_be_is_told_as_full():
    pool = Signal("pool", "db pool in use", "count", "p", 18)
    found = metric(pool, one(series(*[50.0] * 12, *[10.0] * 8)), T0, limit=one(series(10.0)))
    assert found.finding.startswith("db pool in use at 10, was 50 (")
    half = metric(pool, one(series(*[50.0] * 12, *[10.0] * 8)), T0, limit=one(series(20.0)))
    assert half.finding.startswith("db pool in use fell from 50 to 10")


def test_the_most_telling_lines_are_kept_by_themselves_too():
    lines = LogLines(lines=(LogLine(at=T0, text="ERROR no such token"),), query="q")
    assert logs(lines, "web", T0, 1000, Redactor()).data["top"] == ["ERROR no such token"]


def test_the_alert_is_evidence_and_its_hostile_text_is_clean_and_redacted():
    found = alert(event(token_hint="x\u202e", password="hunter2"), Redactor())
    assert "hunter2" not in found.text
    assert "\u202e" not in found.text
    assert "HighMemory firing for payments since 2026-01-15 12:00:00 UTC: memory high" in found.finding


def test_a_gap_names_source_reason_and_cure_and_ids_are_given_in_order():
    missing = gap("loki", "no answer within 5 s", "start Loki")
    assert (missing.kind, missing.finding) == (EvidenceKind.gap, "loki: no answer within 5 s")
    assert missing.data["cure"] == "start Loki"
    assert [item.id for item in number([missing, missing], start=4)] == ["E4", "E5"]


def test_the_window_is_the_alerts_and_not_nows():
    later = T0 + timedelta(hours=2)
    window = evidence_window(T0, later, 900, 300)
    assert (window.start, window.end) == (T0 - timedelta(seconds=900), T0 + timedelta(seconds=300))


def test_the_window_ends_now_at_the_latest_and_survives_wrong_clocks():
    now = T0 + timedelta(seconds=20)
    assert evidence_window(T0, now, 900, 300).end == now
    assert evidence_window(T0 + timedelta(hours=1), T0, 900, 300).end == T0
    zero = evidence_window(datetime(1, 1, 1, tzinfo=UTC), T0, 900, 300)
    assert (zero.start, zero.end) == (T0 - timedelta(seconds=900), T0)
    assert evidence_window(T0, T0, 0, 0).span_s() == 1
