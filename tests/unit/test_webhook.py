"""Payloads of every kind become events, and every alert is accounted for."""

import contextlib
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from development_cases import ABSENT, CASES
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.entry import AlertReader
from sreops.domain.alerts.event_record import event_json, read_event
from sreops.domain.alerts.payload import ReadingRules
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.alerts.webhook import ParsedWebhook, Webhook, parse_webhook
from sreops.errors import PayloadRejected, RecordUnreadable
from sreops.ports import MAX_RECORD_BYTES

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WEBHOOKS = CASES / "webhooks"
INDEX = json.loads((WEBHOOKS / "index.json").read_text()) if WEBHOOKS.is_dir() else []


def minting() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"event-{next(numbers)}"


def parse(payload: object, **options: Any) -> ParsedWebhook:
    return parse_webhook(payload, received_at=NOW, mint=minting(), rules=ReadingRules(**options))


def alert(**fields: Any) -> dict[str, Any]:
    base = {
        "status": "firing",
        "labels": {"alertname": "HighMemory", "service": "payments", "severity": "critical", "tier": "0"},
        "annotations": {"summary": "memory is high"},
        "startsAt": "2026-11-22T11:58:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://grafana/alerting/abc/view?orgId=1",
        "fingerprint": "c6eadffa33fcdf37",
        "silenceURL": "http://grafana/silence",
        "dashboardURL": "",
        "panelURL": "",
        "values": {"A": 1.5, "C": 1},
    }
    return {name: value for name, value in (base | fields).items() if value is not ...}


def grafana(*alerts: Any, **fields: Any) -> dict[str, Any]:
    frame = {"receiver": "sreops", "status": "firing", "orgId": 1, "version": "1", "groupKey": "{}:{}", "title": "x"}
    return frame | {"alerts": list(alerts)} | fields


def only(payload: object, **options: Any) -> AlertEvent:
    parsed = parse(payload, **options)
    assert len(parsed.events) == 1, parsed
    return parsed.events[0]


def event_of(labels: dict[str, Any] | None = None, **fields: Any) -> AlertEvent:
    if labels is not None:
        fields["labels"] = labels
    return only(grafana(alert(**fields)))


def warned(event: AlertEvent, field: str) -> bool:
    return any(line.startswith(f"{field}:") for line in event.warnings)


def test_a_full_grafana_alert_keeps_every_field_and_needs_no_warning():
    event = only(grafana(alert()))
    assert event.model_dump(by_alias=True) == {
        "schema": 1,
        "event_id": "event-1",
        "source": "grafana",
        "fingerprint": "c6eadffa33fcdf37",
        "status": AlertStatus.firing,
        "labels": {"alertname": "HighMemory", "service": "payments", "severity": "critical", "tier": "0"},
        "annotations": {"summary": "memory is high"},
        "startsAt": datetime(2026, 11, 22, 11, 58, 0, 123456, tzinfo=UTC),
        "endsAt": None,
        "generatorURL": "http://grafana/alerting/abc/view?orgId=1",
        "received_at": NOW,
        "agent_action": "investigate",
        "runbook_id": None,
        "escalate_threshold": 0.7,
        "tier": Tier.autonomous,
        "severity": Severity.critical,
        "service": "payments",
        "subject": {"name": "payments", "kind": SubjectKind.workload, "scope": {}, "from": "label service"},
        "values": {"A": 1.5, "C": 1.0},
        "group_key": "{}:{}",
        "dashboardURL": "",
        "panelURL": "",
        "silenceURL": "http://grafana/silence",
        "warnings": (),
    }


def test_firing_and_resolved_are_told_apart_within_one_payload():
    parsed = parse(grafana(alert(), alert(status="resolved", endsAt="2026-11-22T11:59:00Z")))
    assert (parsed.queued, parsed.resolved, parsed.skipped, parsed.rejected) == (1, 1, 0, ())
    assert parsed.events[1].ends_at == datetime(2026, 11, 22, 11, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"version": "1"}, "grafana"),
        ({"version": "4"}, "alertmanager"),
        ({}, "alertmanager"),
        ({"version": "4", "title": "x"}, "alertmanager"),
        ({"orgId": 1}, "grafana"),
        ({"state": "alerting"}, "grafana"),
    ],
)
def test_the_sender_is_told_by_version_and_by_fields_that_only_grafana_has(fields, source):
    assert only({"alerts": [alert()], **fields}).source == source


@pytest.mark.parametrize("payload", [None, [], "text", 3, True, {}, {"alerts": None}, {"alerts": {}}, {"alerts": "x"}])
def test_what_is_no_webhook_is_a_422_that_names_the_field(payload):
    with pytest.raises(PayloadRejected) as caught:
        parse(payload)
    assert caught.value.status == 422
    assert str(caught.value).startswith(("body:", "alerts:"))


@pytest.mark.parametrize("field", ["ruleName", "evalMatches"])
def test_a_body_of_the_legacy_dashboards_is_called_so(field):
    with pytest.raises(PayloadRejected, match="legacy dashboard") as caught:
        parse({field: "x", "state": "alerting", "title": "t"})
    assert caught.value.status == 422


def test_an_empty_list_of_alerts_is_a_payload_with_nothing_in_it():
    assert parse({"alerts": []}) == ParsedWebhook((), 0, ())


def test_a_broken_alert_does_not_sink_its_neighbours():
    parsed = parse(grafana(alert(), 7, {"labels": 3, "status": "firing"}, alert(startsAt="yesterday", values="no")))
    assert [one.index for one in parsed.rejected] == [1, 2]
    assert parsed.queued == 2
    assert parsed.events[1].starts_at == NOW
    assert warned(parsed.events[1], "startsAt")
    assert warned(parsed.events[1], "values")


@pytest.mark.parametrize(
    ("own", "payloads", "expected", "with_warning"),
    [
        ("firing", "resolved", AlertStatus.firing, False),
        ("RESOLVED ", "firing", AlertStatus.resolved, False),
        ("alerting", None, AlertStatus.firing, False),
        ("ok", None, AlertStatus.resolved, False),
        (..., "resolved", AlertStatus.resolved, True),
        ("suppressed", "firing", AlertStatus.firing, True),
        (3, "firing", AlertStatus.firing, True),
    ],
)
def test_the_status_is_the_alerts_own_else_the_payloads(own, payloads, expected, with_warning):
    event = only(grafana(alert(status=own), status=payloads))
    assert event.status is expected
    assert warned(event, "status") is with_warning


def test_the_state_that_mirrors_the_status_serves_where_the_status_is_missing():
    assert only({"alerts": [alert(status=...)], "state": "ok"}).status is AlertStatus.resolved


@pytest.mark.parametrize("own", [..., None, "", "suppressed"])
def test_without_any_status_an_alert_is_rejected(own):
    parsed = parse(grafana(alert(status=own), status=None))
    assert parsed.events == ()
    assert parsed.rejected[0].reason.startswith("status:")


def test_a_missing_fingerprint_comes_from_the_labels_and_is_the_same_for_the_same_labels():
    labels = {"alertname": "A", "service": "s"}
    one, two = event_of(labels, fingerprint=...), event_of(dict(reversed(labels.items())), fingerprint="")
    other = event_of(labels | {"instance": "b"}, fingerprint=None)
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert warned(one, "fingerprint")


def test_labels_too_long_to_keep_still_tell_two_alerts_apart():
    one, two = (event_of({"alertname": "x" * 9000 + end}, fingerprint=...) for end in "ab")
    assert one.labels == two.labels
    assert one.fingerprint != two.fingerprint


def test_fingerprints_of_odd_kinds_are_read_as_text_or_hashed():
    assert event_of(fingerprint=42).fingerprint == "42"
    long = event_of(fingerprint="f" * 1000)
    assert len(long.fingerprint) == 32
    assert warned(long, "fingerprint")
    assert long.fingerprint == event_of(fingerprint="f" * 1000).fingerprint


def test_an_alert_that_nothing_identifies_is_rejected():
    parsed = parse(grafana(alert(labels={}, fingerprint=...)))
    assert parsed.rejected[0].reason.startswith("fingerprint and labels:")


def test_a_missing_start_is_the_end_where_there_is_one_else_the_reception():
    resolved = event_of(status="resolved", startsAt=..., endsAt="2026-11-22T11:00:00Z")
    assert resolved.starts_at == resolved.ends_at == datetime(2026, 11, 22, 11, tzinfo=UTC)
    firing = event_of(startsAt="0001-01-01T00:00:00Z")
    assert firing.starts_at == firing.received_at
    assert warned(firing, "startsAt")
    assert warned(resolved, "startsAt")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T11:00:00Z", datetime(2026, 11, 22, 11, tzinfo=UTC)),
        ("2026-11-22T13:00:00.5+02:00", datetime(2026, 11, 22, 11, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-22T11:00:00.123456999Z", datetime(2026, 11, 22, 11, 0, 0, 123456, tzinfo=UTC)),
        ("2026-11-22T11:00:00", datetime(2026, 11, 22, 11, tzinfo=UTC)),
        (1795345200, datetime(2026, 11, 22, 11, tzinfo=UTC)),
        (1795345200000, datetime(2026, 11, 22, 11, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_the_spellings_of_the_field(text, expected):
    assert event_of(startsAt=text).starts_at == expected


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0000-00-00", "1969-12-31T23:59:59Z",
        "2026-11-24T00:00:00Z", "\ud800", "x" * 10_000, True, [], {}, 1e308, float("nan"), float("inf"), 10**400, -1,
    ],
)  # fmt: skip
def test_times_outside_reason_are_left_out(text):
    assert event_of(startsAt=text).starts_at == NOW


def test_the_end_of_a_firing_alert_is_none_whatever_it_says():
    assert event_of(endsAt="2026-11-22T11:59:00Z").ends_at is None
    assert event_of(status="resolved", endsAt="0001-01-01T00:00:00Z").ends_at is None


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"container": "c", "service": "s"}, "c"),
        ({"container": " ", "service": "s", "job": "j"}, "s"),
        ({"instance": "i", "job": "j"}, "j"),
        ({"compose_service": "p", "app": "a"}, "p"),
        ({"service_name": " n ", "app": "p"}, "n"),
        ({"instance": "host:9100", "alertname": "A"}, "host"),
        ({"alertname": "A"}, "A"),
    ],
)
def test_the_service_is_the_first_label_that_names_it_else_the_alertname(labels, service):
    assert event_of(labels).service == service


def test_without_any_name_the_group_names_the_service_else_the_fingerprint():
    named = only(grafana(alert(labels={"x": "y"}), commonLabels={}, groupLabels={"alertname": "Grouped"}))
    assert named.service == "Grouped"
    assert warned(named, "service")
    nameless = only(grafana(alert(labels={}), commonLabels={"alertname": 3}, groupLabels=[]))
    assert nameless.service == nameless.fingerprint == "c6eadffa33fcdf37"


@pytest.mark.parametrize(
    ("label", "severity", "with_warning"),
    [("P1", Severity.critical, False), ("warn", Severity.warning, False), ("purple", Severity.warning, True),
     (None, Severity.warning, True)],
)  # fmt: skip
def test_severities_are_normalised_and_unknown_ones_said(label, severity, with_warning):
    event = event_of({"alertname": "A", "severity": label} if label else {"alertname": "A"})
    assert event.severity is severity
    assert warned(event, "labels.severity") is with_warning


def test_an_annotated_severity_serves_where_no_label_has_one():
    event = event_of({"alertname": "A"}, annotations={"severity": "crit"})
    assert event.severity is Severity.critical
    assert warned(event, "labels.severity")


def test_the_default_tier_stands_in_for_a_missing_or_unknown_one():
    payload = grafana(alert(labels={"alertname": "A"}), alert(labels={"alertname": "A", "tier": "gold"}))
    for default in (Tier.supervised, Tier.unknown, Tier.autonomous):
        one, two = parse(payload, default_tier=default).events
        assert one.tier is two.tier is default
        assert not warned(one, "labels.tier")
        assert warned(two, "labels.tier")


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_human_only_never_enters(status):
    parsed = parse(grafana(alert(labels={"alertname": "A", "tier": "tier-2"}, status=status), alert()))
    assert (parsed.skipped, parsed.queued, parsed.rejected) == (1, 1, ())


def test_grafanas_test_alert_is_skipped_unless_it_is_wanted():
    by_labels = grafana(alert(labels={"alertname": "TestAlert", "instance": "Grafana"}))
    by_group = grafana(alert(labels={}), groupKey='{alertname="TestAlert", instance="Grafana"}2022-08-31 05:54:04')
    for payload in (by_labels, by_group):
        assert parse(payload).skipped == 1
        assert parse(payload, take_test_alerts=True).queued == 1


def test_the_control_labels_are_read():
    event = event_of(
        {"alertname": "A", "agent_action": " Remediate", "runbook_id": " rb-1 ", "escalate_threshold": "0.9"}
    )
    assert (event.agent_action, event.runbook_id, event.escalate_threshold) == ("remediate", "rb-1", 0.9)


@pytest.mark.parametrize("text", ["high", "1.5", "-0.1", "nan", "inf", "80%"])
def test_a_bad_threshold_is_the_default_and_a_warning(text):
    event = event_of({"alertname": "A", "escalate_threshold": text})
    assert event.escalate_threshold == 0.7
    assert warned(event, "labels.escalate_threshold")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (None, None),
        (..., None),
        ([1], None),
        ({"A": 1, "B": "2.5"}, {"A": 1.0, "B": 2.5}),
        ({"A": float("nan"), "B": float("inf"), "C": True, "D": None, "E": 10**400, "F": "x", "G": 3}, {"G": 3.0}),
        ({"x" * 100: 1}, {}),
    ],
)
def test_values_keep_finite_numbers_only(values, expected):
    assert event_of(values=values).values == expected


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "my.prometheus.url", "ftp://x/y", "http://", "http://[::1", "http://a b", 'http://a"b',
        "http://x/" + "y" * 5000, "http:///path", 5, ["http://x"], "//x",
    ],
)  # fmt: skip
def test_only_web_addresses_are_kept(address):
    event = event_of(generatorURL=address)
    assert event.generator_url == ""
    assert warned(event, "generatorURL")


def test_labels_that_are_not_text_become_text_or_are_left_out_with_a_warning():
    event = event_of({"alertname": "A", "n": 5, "f": 0.5, "b": True, "null": None, "list": [1], "big": 10**5000})
    assert event.labels == {"alertname": "A", "n": "5", "f": "0.5", "b": "true"}
    for name in ("n", "f", "b", "null", "list", "big"):
        assert warned(event, f"labels.{name}")


def test_text_that_utf8_cannot_hold_is_cleaned():
    event = event_of({"alertname": "a\x00b", "half\ud800": "\udc00", "pair": "\ud83d\ude00"}, groupKey=5)
    assert event.labels == {"alertname": "a\ufffdb", "half\ufffd": "\ufffd", "pair": "\U0001f600"}
    assert read_event(event_json(event)) == event


def test_labels_and_annotations_are_bounded_and_the_ones_that_matter_come_first():
    labels = {f"l{number}": "x" * 5000 for number in range(500)} | {"y" * 300: "z", "alertname": "A", "service": "s"}
    event = event_of(labels, annotations={f"a{number}": '"' * 20_000 for number in range(100)})
    assert event.alertname == "A"
    assert event.service == "s"
    assert len(event.labels) <= 128
    assert all(len(value) <= 4096 for value in event.labels.values())
    assert len(event_json(event)) < MAX_RECORD_BYTES * 0.9
    assert len(event.warnings) == 21
    assert event.warnings[-1].endswith("more")


def test_an_absurd_number_of_labels_is_not_even_read():
    event = event_of({"alertname": "A"} | {f"l{number}": "x" for number in range(5000)})
    assert len(event.labels) == 128
    assert event.warnings[0] == "labels: has 5001 entries, only 1024 read"


def test_the_worst_texts_still_fit_a_record():
    worst = {f"{number}\x01": "\x01\u20ac" * 8000 for number in range(200)}
    address = "http://x/" + "\u20ac" * 4000
    event = only(
        grafana(
            alert(labels=worst, annotations=worst, generatorURL=address, silenceURL=address, panelURL=address),
            groupKey="\x01" * 100_000,
        )
    )
    assert 200_000 < len(event_json(event)) < MAX_RECORD_BYTES * 0.9  # headers and what a dead letter adds need room


def test_however_many_alerts_a_body_holds_none_is_left_behind():
    payload = grafana(*(alert(fingerprint=f"{number:016x}") for number in range(2500)))
    parsed = parse(payload)
    assert (parsed.queued, parsed.rejected) == (2500, ())


def test_a_body_of_entries_that_are_no_alerts_is_refused_in_a_bounded_answer():
    parsed = parse({"alerts": [1] * 5000})
    assert len(parsed.rejected) == 1000
    assert "4000 further alerts were rejected and are not listed" in parsed.notes


def test_a_payload_is_read_a_few_alerts_at_a_time_and_comes_to_the_same():
    payload = grafana(*(alert(fingerprint=f"{number:016x}") for number in range(5)), 7)
    webhook = Webhook(payload, received_at=NOW, mint=minting(), reader=AlertReader(ReadingRules()))
    pieces = []
    while not webhook.done:
        pieces.append(webhook.read(2))
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert tuple(read_event(event.json()) for piece in pieces for event in piece) == parse(payload).events
    assert [one.index for one in webhook.rejected] == [5]


def test_what_the_sender_cut_off_is_told_on_each_event_and_to_the_sender():
    parsed = parse(grafana(alert(), truncatedAlerts=12))
    assert warned(parsed.events[0], "truncatedAlerts")
    assert any(note.startswith("truncatedAlerts: the sender left out 12 alerts") for note in parsed.notes)
    assert not warned(only(grafana(alert(), truncatedAlerts=0)), "truncatedAlerts")
    for odd in (True, -1, 10**400):
        assert not warned(only(grafana(alert(), truncatedAlerts=odd)), "truncatedAlerts")


@pytest.mark.parametrize(
    "payload",
    [
        grafana(alert(labels={"alertname": "TestAlert", "instance": "Grafana", "service": "payments"})),
        grafana(alert(), groupKey='{alertname="TestAlert", instance="Grafana"}2026-11-30'),
        grafana(alert(labels={"alertname": "HighErrorRate"}), groupKey="test-51515151-1796083200"),
        grafana(alert(), groupKey="the {web} hook-5151515151515151-1796083200"),
    ],
)
def test_grafanas_test_button_opens_nothing_and_is_told_to_have_arrived(payload):
    parsed = parse(payload)
    assert (parsed.events, parsed.skipped) == ((), 1)
    assert "has arrived and opens no incident" in parsed.notes[0]
    assert parse(payload, take_test_alerts=True).queued == 1


@pytest.mark.parametrize("key", ['{}:{alertname="X-12345678-1796083200"}', '{}/{a="b"}:{}', "ours-1-2"])
def test_what_is_no_test_is_no_test(key):
    assert parse(grafana(alert(), groupKey=key)).queued == 1


def test_alertmanagers_alert_that_is_called_as_grafanas_test_is_taken():
    payload = {
        "version": "4",
        "status": "firing",
        "groupKey": "{}:{}",
        "alerts": [alert(labels={"alertname": "TestAlert"})],
    }
    assert parse(payload).queued == 1


def test_the_sender_is_told_what_is_skipped_recorded_or_read_otherwise():
    labels = {"alertname": "A", "service": "s"}
    parsed = parse(
        grafana(
            alert(labels=labels | {"tier": "2"}),
            alert(labels=labels | {"severity": "info"}),
            alert(labels=labels | {"severity": "info"}, status="resolved"),
            alert(labels=labels),
        )
    )
    assert (parsed.queued, parsed.resolved, parsed.skipped) == (2, 1, 1)
    told = "\n".join(parsed.notes)
    assert "1 of 4 alerts: skipped: tier human_only" in told
    assert "1 of 4 alerts: recorded and not worked on: its severity is not worked on (SREOPS_WORK_ON)" in told
    assert "1 of 4 alerts: no severity that is understood, read as warning (SREOPS_DEFAULT_SEVERITY)" in told
    assert parse(grafana(alert(labels=labels | {"severity": "info"})), work_on=tuple(Severity)).notes == ()


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        ({"tier": "prod"}, "a label tier that is none that is known, read as supervised (SREOPS_DEFAULT_TIER)"),
        ({"escalate_threshold": "high"}, "a label escalate_threshold that is no number from 0 to 1, 0.7 taken"),
        ({"escalate_threshold": "7"}, "a label escalate_threshold that is no number from 0 to 1, 0.7 taken"),
        ({"severity": "", "level": "fatal"}, "severity read from the label level, which says warning at most"),
    ],
)
def test_a_label_that_is_read_otherwise_than_it_is_written_is_told_to_the_sender(labels, note):
    sent = {"alertname": "A", "service": "s", "severity": "critical"}
    parsed = parse(grafana(alert(labels=sent | labels), alert(labels=sent)))
    assert parsed.notes == (f"1 of 2 alerts: {note}",)


def test_an_event_of_an_older_sreops_has_its_subject_read_when_it_comes():
    sent = json.loads(event_json(event_of({"alertname": "A", "job": "cadvisor", "name": "x", "image": "y"})))
    older = {name: value for name, value in sent.items() if name != "subject"} | {"service": "cadvisor"}
    read = read_event(json.dumps(older).encode())
    assert (read.service, read.subject.name) == ("x", "x")
    nameless = older | {"labels": {"alertname": "A"}, "service": "payments"}
    assert read_event(json.dumps(nameless).encode()).service == "payments"


def test_a_naive_time_of_reception_is_a_bug():
    with pytest.raises(ValueError, match="naive"):
        parse_webhook({"alerts": []}, received_at=datetime(2026, 1, 1), mint=minting())  # noqa: DTZ001 - the point


@pytest.mark.skipif(not INDEX, reason=ABSENT)
@pytest.mark.parametrize("case", INDEX, ids=[case["file"][:12] for case in INDEX])
def test_recorded_payloads_give_what_their_index_says(case):
    expected, payload = case["expected"], json.loads((WEBHOOKS / case["file"]).read_text())
    if expected["format"] in ("grafana_legacy", "grafana_partial"):
        with pytest.raises(PayloadRejected) as caught:
            parse(payload)
        assert caught.value.status == 422
        return
    parsed = parse(payload, take_test_alerts=True)
    assert parsed.queued == expected["n_firing"]
    assert parsed.resolved == expected["n_resolved"]
    assert parsed.queued + parsed.resolved + parsed.skipped + len(parsed.rejected) == expected["n_alerts"]
    for event in parsed.events:
        assert event.source == expected["format"]
        assert str(event.labels.get("alertname")) in expected["alertnames"]
        assert str(event.labels.get("severity")) in expected["severities"]
        assert read_event(event_json(event)) == event
    again = parse(payload, take_test_alerts=True)
    assert again == parsed


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("\ud800\x00")
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
LABELS = st.dictionaries(
    st.sampled_from(["alertname", "service", "severity", "tier", "escalate_threshold", "instance"]) | st.text(),
    st.sampled_from(["critical", "TestAlert", "Grafana", "2", "0", "0.5"]) | SCALARS,
)
ALERTS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | ANYTHING,
        "labels": LABELS | ANYTHING,
        "annotations": LABELS | ANYTHING,
        "fingerprint": st.text(max_size=5) | ANYTHING,
        "startsAt": st.datetimes().map(lambda moment: moment.isoformat() + "Z") | ANYTHING,
        "endsAt": st.datetimes().map(lambda moment: moment.isoformat() + "+14:00") | ANYTHING,
        "values": st.dictionaries(st.text(), SCALARS) | ANYTHING,
        "generatorURL": st.text().map(lambda text: "http://" + text) | ANYTHING,
    },
)
PAYLOADS = st.fixed_dictionaries(
    {"alerts": st.lists(ALERTS | ANYTHING, max_size=6)},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | ANYTHING,
        "version": st.sampled_from(["1", "4"]) | ANYTHING,
        "groupKey": ANYTHING,
        "commonLabels": LABELS | ANYTHING,
    },
)


@settings(deadline=None)
@given(PAYLOADS)
def test_every_alert_is_accounted_for_and_every_event_survives_its_topic(payload):
    parsed = parse(payload)
    assert parsed.queued + parsed.resolved + parsed.skipped + len(parsed.rejected) == len(payload["alerts"])
    assert repr(parse(payload)) == repr(parsed)
    for event in parsed.events:
        assert event.service
        assert event.fingerprint
        assert event.starts_at - timedelta(days=1) < NOW
        assert read_event(event_json(event)) == event
        assert list(vars(event)) == list(vars(AlertEvent.model_validate(vars(event), strict=True))), "none is missing"


@settings(deadline=None)
@given(PAYLOADS)
def test_what_the_bridge_writes_is_what_is_written_of_the_event_that_is_read_from_it(payload):
    reader = AlertReader(ReadingRules())
    for event in Webhook(payload, received_at=NOW, mint=minting(), reader=reader).read(len(payload["alerts"])):
        read = read_event(event.json())
        assert event_json(read) == event.json()
        assert (read.status, read.tier, read.severity, read.service) == event[:4]


@settings(deadline=None)
@given(ANYTHING)
def test_no_payload_raises_anything_but_its_rejection(payload):
    with contextlib.suppress(PayloadRejected):
        parse(payload)


@pytest.mark.parametrize(
    "value",
    [b"", b"{}", b"\xff", b"[1]", b"null", b"[" * 100_000, b'{"schema":2}', b'{"event_id":"\\ud800"}'],
)
def test_records_that_are_no_events_say_why(value):
    with pytest.raises(RecordUnreadable, match=r"not an event of schema 1: ."):
        read_event(value)


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(event_json(event_of())) | fields).encode()


def test_foreign_events_are_brought_to_utc_or_refused():
    event = read_event(changed(startsAt="2026-11-22T13:00:00+02:00", unknown="field"))
    assert event.starts_at.isoformat() == "2026-11-22T11:00:00+00:00"
    for field, bad in (
        ("startsAt", "0001-01-01T00:00:00+14:00"),
        ("startsAt", "2026-11-22T13:00:00"),
        ("service", "a\x00b"),
        ("service", "é" * 1001),  # no store could index it, and it would come again for ever
        ("escalate_threshold", float("nan")),
        ("escalate_threshold", float("inf")),
        ("escalate_threshold", -0.1),
        ("event_id", "x" * 2001),
        ("fingerprint", "x" * 2001),
        ("schema", 2),
        ("labels", {"a": 1}),
    ):
        with pytest.raises(RecordUnreadable):
            read_event(changed(**{field: bad}))
    assert read_event(changed(service="\U0001f525" * 256)).service == "\U0001f525" * 256
    assert read_event(changed(service="a\\u0000b")).service == "a\\u0000b"


@settings(deadline=None)
@given(st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_on_a_topic_are_an_event_or_unreadable(value):
    with pytest.raises(RecordUnreadable):
        read_event(value)


@pytest.mark.parametrize(
    ("reason", "proves"),
    [
        ("", True),
        ("Error", False),
        ("NoData", False),
        ("NoData, KeepLast", False),
        ("KeepLast", True),
        ("Paused", False),
    ],
)
def test_a_resolve_for_want_of_data_proves_no_recovery(reason, proves):
    event = event_of({"alertname": "A"}, status="resolved", annotations={"grafana_state_reason": reason})
    assert event.proves_recovery(no_data_recovers=False) is proves


@pytest.mark.parametrize(
    ("reason", "proves"),
    [
        ("NoData", True),
        ("NoData, KeepLast", True),
        ("MissingSeries", True),
        ("NoData,MissingSeries", True),
        ("NoData, Error", False),
        ("MissingSeries, Updated", False),
        ("Error", False),
        ("Updated", False),
        ("Paused", False),
        ("RuleDeleted", False),
        ("", True),
    ],
)
def test_where_rules_count_without_data_as_healthy_only_missing_data_becomes_recovery(reason, proves):
    event = event_of({"alertname": "A"}, status="resolved", annotations={"grafana_state_reason": reason})
    assert event.proves_recovery(no_data_recovers=True) is proves
    firing = event_of({"alertname": "A"}, status="firing", annotations={"grafana_state_reason": reason})
    assert firing.proves_recovery(no_data_recovers=True) is False
