"""Whether a Swarm service may be rolled back: never forward, never twice, never for nothing."""

from datetime import UTC, datetime

import pytest

from sreops.domain.evidence.evidence import ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.service_rollback import why_not_roll_back

T0 = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


def service(**changes: object) -> ServiceState:
    fields = {"id": "s", "name": "web", "replicas": 2, "running": 2, "spec": "bad", "previous_spec": "good"} | changes
    return ServiceState.model_validate(fields)


def rolled(incident: str = "other", outcome: EffectOutcome | None = EffectOutcome.succeeded, **snapshot: str) -> Effect:
    return Effect(
        effect_id="e", incident_id=incident, episode=1, step=0, action="rollback_service", target="web", service="web",
        snapshot=snapshot, intent_at=T0, outcome=outcome,
    )  # fmt: skip


def test_a_new_version_goes_back_to_the_one_before() -> None:
    assert why_not_roll_back(service(update="completed"), [], "i") == ""
    assert why_not_roll_back(service(update="paused"), [rolled(spec="older", previous_spec="oldest")], "i") == ""


@pytest.mark.parametrize(
    ("seen", "earlier", "why"),
    [
        (service(previous_spec=""), [], "no previous specification"),
        (service(previous_spec="bad"), [], "changed nothing of what runs"),
        (service(update="rollback_completed"), [], "would roll forward"),
        (service(update="rollback_paused"), [], "would roll forward"),
        (service(), [rolled(spec="good", previous_spec="older")], "rolled away from"),
        (service(), [rolled(outcome=EffectOutcome.unknown, spec="good")], "rolled away from"),
        (service(), [rolled(outcome=None, spec="good")], "rolled away from"),
        (service(), [rolled("i", spec="x", previous_spec="y")], "done once"),
        (service(), [rolled("i", outcome=EffectOutcome.unknown, spec="x")], "done once"),
    ],
)
def test_what_toggles_is_empty_or_was_left_is_no_way_back(seen: ServiceState, earlier: list[Effect], why: str) -> None:
    assert why in why_not_roll_back(seen, earlier, "i")


def test_a_rollback_that_was_refused_by_the_engine_left_nothing() -> None:
    assert why_not_roll_back(service(), [rolled("i", outcome=EffectOutcome.failed, spec="good")], "i") == ""
