"""A storm: what is opened beyond the limit is gathered by what it has in common, and nothing is dropped."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownAlert, KnownIncident, Windows
from sreops.domain.incidents.incident import IncidentStatus, Storm, StormKind, incident_id_of
from sreops.domain.incidents.storms import (
    MAX_STRANGERS,
    Openings,
    Rush,
    common_labels,
    gathered,
    going_on,
    group_of,
    is_worked_on,
    rush_of,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WINDOWS = Windows()
AT_ONCE = Rush(kind=StormKind.time, key="", opened=50)
GROUP = '{}:{cluster="eu"}'


def event(
    service: str = "pay", *, group: str = "", severity: Severity = Severity.critical, **labels: str
) -> AlertEvent:
    return AlertEvent(
        event_id=service,
        source="grafana",
        fingerprint=f"fp-{service}",
        status=AlertStatus.firing,
        labels={"service": service, "severity": "critical", "tier": "0", **labels},
        annotations={},
        starts_at=NOW,
        received_at=NOW,
        tier=Tier.autonomous,
        severity=severity,
        service=service,
        group_key=group,
    )


def storm(name: str, shared: dict[str, str], kind: StormKind = StormKind.time, key: str = "", **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "id": name, "episode": 1, "service": name, "status": IncidentStatus.escalated, "resolution": None,
        "opened_at": NOW, "ended_at": NOW, "alerts": (KnownAlert(fingerprint=name, starts_at=NOW),),
        "storm": Storm(shared=shared, kind=kind, key=key, last_at=NOW),
    }  # fmt: skip
    return KnownIncident(**(fields | changes))


def opening(of: AlertEvent) -> Correlation:
    return Correlation(disposition=Disposition.open, incident_id=incident_id_of(of))


def taken(of: AlertEvent, *storms: KnownIncident, rush: Rush = AT_ONCE) -> Correlation:
    return gathered(of, opening(of), rush, storms, NOW, WINDOWS)


def test_the_ninth_of_a_name_is_a_burst_and_the_ninth_of_a_group() -> None:
    of = event(alertname="NodeDown", group=GROUP)
    eight = [rush_of(of, Openings(all=8, of_name=n, of_group=0), WINDOWS) for n in (7, 8)]
    assert eight == [None, Rush(kind=StormKind.name, key="NodeDown", opened=8)]
    of_group = rush_of(of, Openings(all=8, of_name=7, of_group=8), WINDOWS)
    assert of_group == Rush(kind=StormKind.group, key=GROUP, opened=8)


def test_the_fifty_first_of_any_kind_is_a_storm() -> None:
    rushes = [rush_of(event(), Openings(all=n, of_name=0, of_group=0), WINDOWS) for n in (49, 50)]
    assert rushes == [None, AT_ONCE]


@pytest.mark.parametrize("key", ["", "{}", "{}:{}", '{}/{team="a"}:{}'])
def test_a_sender_that_groups_by_nothing_names_no_group(key: str) -> None:
    assert group_of(event(group=key)) is None
    assert rush_of(event(group=key), Openings(all=8, of_name=0, of_group=8), WINDOWS) is None
    assert group_of(event(group=GROUP)) == GROUP


def test_the_first_of_a_storm_opens_its_incident_with_its_labels_less_those_that_only_we_read() -> None:
    first = event(cluster="eu", alertname="Down", __x="y")
    made = taken(first)
    assert (made.disposition, made.incident_id) == (Disposition.open, incident_id_of(first))
    assert made.storm == {"service": "pay", "cluster": "eu", "alertname": "Down"}


def test_a_burst_takes_all_of_its_name_whatever_else_they_share() -> None:
    rush = Rush(kind=StormKind.name, key="NodeDown", opened=8)
    other = storm("other", {"cluster": "us"}, StormKind.name, "DiskFull")
    mine = storm("mine", {"alertname": "NodeDown", "cluster": "eu"}, StormKind.name, "NodeDown")
    made = taken(event(cluster="us", alertname="NodeDown"), other, mine, rush=rush)
    assert (made.disposition, made.incident_id) == (Disposition.attach, "mine")
    assert made.storm == {"alertname": "NodeDown"}
    assert taken(event(alertname="NodeDown"), other, rush=rush).disposition is Disposition.open


def test_a_burst_goes_on_while_another_comes_within_the_window() -> None:
    of = event(alertname="NodeDown")
    mine = storm("mine", {"alertname": "NodeDown"}, StormKind.name, "NodeDown")
    within, after = NOW + timedelta(seconds=60), NOW + timedelta(seconds=61)
    assert going_on(of, [mine], within, WINDOWS) == Rush(kind=StormKind.name, key="NodeDown", opened=0)
    assert going_on(of, [mine], after, WINDOWS) is None
    assert going_on(event(alertname="DiskFull"), [mine], within, WINDOWS) is None
    over = mine.model_copy(update={"alerts": (), "others_fire": False})
    assert going_on(of, [over], within, WINDOWS) is None


def test_a_further_one_joins_where_it_shares_most_and_narrows_what_is_shared() -> None:
    made = taken(
        event(cluster="eu", alertname="Down"),
        storm("rack", {"cluster": "eu", "rack": "7"}),
        storm("down", {"cluster": "eu", "alertname": "Down", "service": "cart"}),
    )
    assert (made.disposition, made.incident_id) == (Disposition.attach, "down")
    assert made.storm == {"cluster": "eu", "alertname": "Down"}


def test_one_that_shares_nothing_opens_another_until_there_are_too_many_of_these() -> None:
    strangers = [storm(f"s{n}", {"cluster": f"c{n}"}) for n in range(MAX_STRANGERS)]
    assert taken(event(cluster="eu"), *strangers[1:]).disposition is Disposition.open
    made = taken(event(cluster="eu"), *strangers)
    assert (made.disposition, made.incident_id, made.storm) == (Disposition.attach, "s0", {})


def test_a_storm_that_is_over_takes_no_more() -> None:
    of = event(cluster="eu")
    over = storm("over", {"cluster": "eu"}, alerts=(KnownAlert(fingerprint="a", starts_at=NOW, ended_at=NOW),))
    late = storm("late", {"cluster": "eu"}, ended_at=NOW - timedelta(days=2))
    assert taken(of, over, late).disposition is Disposition.open
    assert taken(of, late, storm("open", {"cluster": "eu"}, status=IncidentStatus.investigating)).incident_id == "open"


def test_a_critical_one_is_worked_on_while_a_slot_is_free() -> None:
    assert [is_worked_on(event(), busy, WINDOWS) for busy in (7, 8)] == [True, False]
    assert not is_worked_on(event(severity=Severity.warning), 0, WINDOWS)


def test_severity_and_tier_are_no_kinship() -> None:
    assert common_labels({"severity": "critical", "tier": "0"}, {"severity": "critical", "tier": "0"}) == {}


def test_a_storm_is_named_after_what_its_alerts_share() -> None:
    of_name = Storm(shared={"cluster": "eu-1", "alertname": "NodeDown"}, kind=StormKind.name, key="NodeDown")
    assert of_name.name(70) == "70 \N{MULTIPLICATION SIGN} NodeDown, cluster=eu-1"
    assert Storm(shared={"cluster": "eu-1"}, kind=StormKind.group, key=GROUP).name(9) == "9 alerts, cluster=eu-1"


LABELS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xy"))


@given(st.lists(LABELS, min_size=1, max_size=8))
def test_what_a_storm_shares_is_what_each_of_its_alerts_has(told: list[dict[str, str]]) -> None:
    rush = Rush(kind=StormKind.name, key="Down", opened=8)
    of = event(alertname="Down", **told[0])
    shared = taken(of, rush=rush).storm
    for number, labels in enumerate(told[1:]):
        known = storm("s", shared or {}, StormKind.name, "Down")
        made = taken(event(f"s{number}", alertname="Down", **labels), known, rush=rush)
        assert made.incident_id == "s"
        shared = made.storm
    assert shared is not None
    assert shared["alertname"] == "Down"
    for name in "abcd":
        values = {labels.get(name) for labels in told}
        assert shared.get(name) == (values.pop() if len(values) == 1 else None)
