"""Who else has laid hands on a target while a plan was made or waited for."""

from datetime import UTC, datetime, timedelta

import pytest

from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.meanwhile import Hand, Life, our_hands, started_by_somebody_else

ALERT = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return ALERT + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("life", "ours", "told"),
    [
        (Life(started_at=at(70)), (), at(70)),  # somebody restarted it 50 s before we would, at 120
        (Life(started_at=at(-7200)), (), None),  # it has run since long before the alert
        (Life(started_at=at(0)), (), None),
        (Life(started_at=at(70), restart_count=1), (), None),  # its own restart policy did: it is ill
        (Life(started_at=at(70)), (Hand(since=at(60), until=at(75)),), None),  # we did
        (Life(started_at=at(60)), (Hand(since=at(60), until=at(75)),), None),  # at the moment of our intent
        (Life(started_at=at(75)), (Hand(since=at(60), until=at(75)),), None),  # at the last moment that may be ours
        (Life(started_at=at(76)), (Hand(since=at(60), until=at(75)),), at(76)),  # somebody did, after us
        (Life(started_at=at(59)), (Hand(since=at(60), until=at(75)),), at(59)),
        (None, (), None),  # it does not run, or is no container
    ],
)
def test_a_start_after_the_alert_is_somebody_elses_unless_policy_or_we_did_it(
    life: Life | None, ours: tuple[Hand, ...], told: datetime | None
) -> None:
    assert started_by_somebody_else(life, ALERT, ours) == told


def effect(**changes: object) -> Effect:
    base = {
        "effect_id": "e", "incident_id": "i", "episode": 1, "step": 0, "action": "restart_container",
        "target": "payments", "service": "payments", "snapshot": {}, "intent_at": at(60), "standing": "docker/payments",
    }  # fmt: skip
    return Effect.model_validate(base | changes)


def test_our_hand_reaches_from_the_intent_to_the_outcome_and_a_margin() -> None:
    done = effect(outcome=EffectOutcome.succeeded, outcome_at=at(65))
    assert our_hands((done,), "docker/payments", "renamed", at(100), 15) == (Hand(since=at(60), until=at(80)),)
    assert our_hands((effect(),), "docker/payments", "payments", at(100), 15) == (Hand(since=at(60), until=at(115)),)


def test_an_effect_on_another_target_is_no_hand_on_this_one_and_one_of_0_1_is_known_by_name() -> None:
    assert our_hands((effect(),), "docker/orders", "orders", at(100), 15) == ()
    assert our_hands((effect(),), "docker/orders", "payments", at(100), 15) == (), "a namesake"
    assert len(our_hands((effect(standing=""),), "docker/payments", "payments", at(100), 15)) == 1
