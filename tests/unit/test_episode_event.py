"""Which alert an episode is about, by what correlation decided and not by the clocks."""

from datetime import UTC, datetime, timedelta

from sreops.agent.nodes.consume_event import of_episode, primary, put_back
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def event(minute: float, status: AlertStatus = AlertStatus.firing) -> AlertEvent:
    at = T0 + timedelta(minutes=minute)
    return AlertEvent(
        event_id=f"e{minute}",
        source="grafana",
        fingerprint="f",
        status=status,
        labels={"alertname": "HighMemory"},
        annotations={},
        starts_at=at,
        received_at=at,
        tier=Tier.autonomous,
        severity=Severity.critical,
        service="payments",
    )


def test_a_refire_is_about_the_alert_that_fires_again_though_it_was_received_before_its_episode_began() -> None:
    first, resolve, again = event(0), event(5, AlertStatus.resolved), event(20)
    pairs = [(first, "open"), (resolve, "resolve"), (again, "refire"), (event(21), "attach")]
    assert primary(pairs) == again
    assert [one.event_id for one, _ in of_episode(pairs)] == ["e20", "e21"]
    assert put_back(pairs) is None


def test_an_incident_is_about_the_alert_that_opened_it_whatever_came_after() -> None:
    first = event(0)
    assert primary([(first, "open"), (event(1), "attach"), (event(2, AlertStatus.resolved), "resolve")]) == first


def test_an_event_put_back_is_what_its_episode_is_about_even_where_it_is_a_resolve() -> None:
    back = event(30, AlertStatus.resolved)
    assert put_back([(event(0), "open"), (back, "requeue")]) == back
