"""A storm: what is opened beyond the limit is gathered by the labels it shares, and nothing is dropped."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownAlert, KnownIncident, Windows
from sreops.domain.incidents.incident import IncidentStatus, incident_id_of
from sreops.domain.incidents.storms import MAX_MEMBERS, MAX_STRANGERS, common_labels, gathered, is_storm

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WINDOWS = Windows()


def event(service: str = "pay", **labels: str) -> AlertEvent:
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
        severity=Severity.critical,
        service=service,
    )


def storm(name: str, shared: dict[str, str], *, members: int = 1, **changes: Any) -> KnownIncident:
    alerts = tuple(KnownAlert(fingerprint=f"{name}{n}", starts_at=NOW) for n in range(members))
    fields: dict[str, Any] = {
        "id": name, "episode": 1, "service": name, "status": IncidentStatus.escalated, "resolution": None,
        "opened_at": NOW, "ended_at": NOW, "alerts": alerts, "storm": shared,
    }  # fmt: skip
    return KnownIncident(**(fields | changes))


def opening(of: AlertEvent) -> Correlation:
    return Correlation(disposition=Disposition.open, incident_id=incident_id_of(of))


def taken(of: AlertEvent, *storms: KnownIncident) -> Correlation:
    return gathered(of, opening(of), storms, NOW, WINDOWS)


def test_the_first_beyond_the_limit_is_one_too_many() -> None:
    assert [is_storm(opened, WINDOWS) for opened in (49, 50)] == [False, True]


def test_the_first_of_a_storm_opens_its_incident_with_its_labels_less_those_that_only_we_read() -> None:
    first = event(cluster="eu", alertname="Down", __x="y")
    made = taken(first)
    assert (made.disposition, made.incident_id) == (Disposition.open, incident_id_of(first))
    assert made.storm == {"service": "pay", "cluster": "eu", "alertname": "Down"}


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


def test_a_storm_that_is_over_or_full_takes_no_more() -> None:
    of = event(cluster="eu")
    over = storm("over", {"cluster": "eu"}, alerts=(KnownAlert(fingerprint="a", starts_at=NOW, ended_at=NOW),))
    late = storm("late", {"cluster": "eu"}, ended_at=NOW - timedelta(days=2))
    full = storm("full", {"cluster": "eu"}, members=MAX_MEMBERS)
    assert taken(of, over, late, full).disposition is Disposition.open
    assert taken(of, full, storm("open", {"cluster": "eu"}, status=IncidentStatus.investigating)).incident_id == "open"


def test_severity_and_tier_are_no_kinship() -> None:
    assert common_labels({"severity": "critical", "tier": "0"}, {"severity": "critical", "tier": "0"}) == {}
