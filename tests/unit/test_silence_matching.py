"""Silences match alerts as Alertmanager and Grafana match them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sreops.adapters.observability.silences import read_silenced_by, read_silences
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.silences import Matcher, Silence, labels_for_silences, silenced
from sreops.errors import SilencesUnavailable

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
LABELS = {"alertname": "HighErrorRate", "service": "payments", "env": "prod-eu"}


def matcher(name: str, value: str, operator: str = "=") -> Matcher:
    return Matcher(name=name, value=value, is_regex="~" in operator, is_equal=not operator.startswith("!"))


def event(**changes: Any) -> AlertEvent:
    base: dict[str, Any] = {
        "event_id": "1", "source": "alertmanager", "fingerprint": "f1", "status": "firing", "labels": LABELS,
        "annotations": {}, "startsAt": NOW, "received_at": NOW, "tier": "autonomous", "severity": "critical",
        "service": "payments",
    }  # fmt: skip
    return AlertEvent.model_validate(base | changes)


def silence(*matchers: Matcher, **changes: Any) -> Silence:
    base: dict[str, Any] = {
        "id": "s1", "matchers": matchers or (matcher("service", "payments"),), "where": "Alertmanager",
        "starts_at": NOW - timedelta(hours=1), "ends_at": NOW + timedelta(hours=1), "created_by": "kim",
        "comment": "db upgrade",
    }  # fmt: skip
    return Silence.model_validate(base | changes)


@pytest.mark.parametrize(
    ("name", "operator", "value", "matches"),
    [
        ("service", "=", "payments", True),
        ("service", "=", "pay", False),
        ("service", "!=", "orders", True),
        ("service", "!=", "payments", False),
        ("service", "=~", "pay.*", True),
        ("service", "=~", "pay", False),  # anchored: all of the value
        ("service", "=~", "ayment", False),
        ("service", "=~", "orders|payments", True),  # the anchors are around the whole, not around its last part
        ("service", "=~", "payments|orders", True),
        ("service", "=~", "Payments", False),  # case is told apart
        ("service", "!~", "pay.*", False),
        ("service", "!~", "pay", True),
        ("team", "=", "", True),  # an absent label is the empty text
        ("team", "!=", "", False),
        ("team", "=~", ".*", True),
        ("team", "=~", ".+", False),
        ("team", "!~", ".+", True),
        ("team", "!=", "infra", True),
        ("service", "=~", "", False),
    ],
)
def test_a_matcher_means_what_alertmanager_means_by_it(name: str, operator: str, value: str, matches: bool) -> None:
    assert matcher(name, value, operator).matches(LABELS) is matches


def test_matchers_are_anded_and_a_missing_is_equal_is_true() -> None:
    both = silence(matcher("service", "payments"), matcher("env", "prod-.*", "=~"))
    assert both.matches(LABELS)
    assert not both.matches({**LABELS, "env": "test"})
    assert Matcher.model_validate({"name": "service", "value": "payments"}).matches(LABELS)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"starts_at": NOW}, True),
        ({"ends_at": NOW}, False),
        ({"starts_at": NOW + timedelta(seconds=1)}, False),
        ({"state": "pending"}, True),  # its time has come since it was listed
        ({"state": "expired"}, False),  # ended early
    ],
)
def test_a_silence_holds_from_its_start_until_its_end(changes: dict[str, Any], holds: bool) -> None:
    assert silence(**changes).holds(NOW) is holds


def test_who_silenced_an_alert_and_until_when_is_told() -> None:
    [found] = silenced([event()], [silence()], {}, NOW)
    assert found.why == "HighErrorRate is silenced in Alertmanager by kim until 2026-11-30 04:00 UTC: db upgrade"
    assert found.sure


def test_what_the_system_itself_says_is_silenced_is_though_its_silence_matches_on_what_we_do_not_have() -> None:
    hidden = silence(matcher("__alert_rule_uid__", "abc"), where="Grafana")
    [known] = silenced([event()], [hidden], {"f1": ["s1"]}, NOW)
    assert "silenced in Grafana by kim" in known.why
    [unseen] = silenced([event()], [], {"f1": ["s9"]}, NOW)
    assert unseen.why == "HighErrorRate is silenced (s9)"
    assert silenced([event()], [], {"f2": ["s9"]}, NOW) == ()


def test_a_silence_on_a_rule_of_grafanas_finds_its_alert_by_the_address_of_the_rule() -> None:
    one = event(source="grafana", generatorURL="https://grafana.example/x/alerting/grafana/abc-1/view?orgId=1")
    assert labels_for_silences(one)["__alert_rule_uid__"] == "abc-1"
    assert silenced([one], [silence(matcher("__alert_rule_uid__", "abc-1"))], {}, NOW)
    assert "__alert_rule_uid__" not in labels_for_silences(event(generatorURL=one.generator_url)), "of Grafana only"


def test_a_silence_that_can_not_be_read_is_no_certainty_either_way() -> None:
    [found] = silenced([event()], [silence(matcher("service", "(", "=~"))], {}, NOW)
    assert not found.sure
    assert "can't be read" in found.why


def listed(**changes: Any) -> dict[str, Any]:
    return {
        "id": "s1", "status": {"state": "active"}, "updatedAt": "2026-11-30T02:00:00.000Z", "comment": "c",
        "createdBy": "kim", "startsAt": "2026-11-30T02:00:00.123456789Z", "endsAt": "2026-11-30T05:00:00+01:00",
        "matchers": [{"name": "service", "value": "payments", "isRegex": False}],
    } | changes  # fmt: skip


def test_times_are_rfc_3339_with_nanoseconds_and_zones() -> None:
    [found] = read_silences([listed()], "Alertmanager")
    assert found.starts_at == datetime(2026, 11, 30, 2, 0, 0, 123456, tzinfo=UTC)
    assert found.ends_at == datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
    assert found.matches(LABELS)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        "x",
        [listed(matchers=[])],
        [listed(startsAt="soon")],
        [listed(startsAt="2026-11-30T02:00:00")],
        [{"id": "x"}],
    ],
)
def test_an_answer_that_can_not_be_read_is_no_answer(answer: object) -> None:
    with pytest.raises(SilencesUnavailable):
        read_silences(answer, "Alertmanager")


def test_expired_silences_are_listed_too_and_left_out_unread() -> None:
    assert read_silences([listed(status={"state": "expired"}, matchers=[])], "Alertmanager") == ()


def test_silenced_by_is_read_by_fingerprint() -> None:
    alerts = [
        {"fingerprint": "f1", "status": {"state": "suppressed", "silencedBy": ["s1", "s2"]}},
        {"fingerprint": "f2", "status": {"state": "active", "silencedBy": []}},
        {"fingerprint": "f3"}, "x",
    ]  # fmt: skip
    assert read_silenced_by(alerts, "Alertmanager") == {"f1": ["s1", "s2"]}
    with pytest.raises(SilencesUnavailable):
        read_silenced_by({"message": "no"}, "Alertmanager")
