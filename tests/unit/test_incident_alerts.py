"""What a node sees of an incident's alerts: which stand, and in which order they are asked about."""

from datetime import UTC, datetime, timedelta

from sreops.agent.alerts import Alerts
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def alert(fingerprint: str, minute: int = 0, status: AlertStatus = AlertStatus.firing) -> AlertEvent:
    at = T0 + timedelta(minutes=minute)
    return AlertEvent(
        event_id=f"{fingerprint}-{minute}", source="grafana", fingerprint=fingerprint, status=status,
        labels={"alertname": fingerprint}, annotations={}, starts_at=T0, received_at=at, tier=Tier.supervised,
        severity=Severity.critical, service="payments",
    )  # fmt: skip


def test_those_that_joined_and_still_fire_stand_beside_the_one_that_opened_the_episode() -> None:
    opening, joined, over = alert("a"), alert("b", 1), alert("c", 2)
    alerts = Alerts(opening, [opening, joined, over, alert("c", 3, AlertStatus.resolved), alert("d", 4)])
    assert [one.event_id for one in alerts.standing] == ["a-0", "d-4", "b-1"], "the newest of them first"


def test_the_one_that_opened_the_episode_stands_though_it_is_resolved() -> None:
    opening = alert("a")
    assert Alerts(opening, [opening, alert("a", 5, AlertStatus.resolved)]).standing == [opening]


def test_each_alert_is_asked_about_as_it_was_last_delivered_those_that_fire_first() -> None:
    opening, over = alert("a"), alert("b", 2, AlertStatus.resolved)
    alerts = Alerts(opening, [opening, alert("b", 1), over, alert("c", 3), alert("a", 4, AlertStatus.resolved)])
    assert [one.event_id for one in alerts.latest] == ["a-4", "c-3", "b-2"]


def test_an_incident_without_deliveries_still_has_the_alert_that_opened_it() -> None:
    opening = alert("a")
    assert Alerts(opening, []).standing == [opening]
    assert Alerts(opening, []).latest == [opening]
