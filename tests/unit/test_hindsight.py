"""Plans that were only told, compared with what people did: only what is known confirms or refutes one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.incidents.incident import Incident
from sreops.domain.records.hindsight import (
    NODE,
    Afterwards,
    Comparison,
    Course,
    Mode,
    Told,
    afterwards_in,
    compare,
    course_of,
    tally,
    told_of,
)
from sreops.domain.records.record import Record, RecordKind
from sreops.domain.remediation.deeds import Deed, DeedKind
from sreops.domain.remediation.policy import DRY_RUN, SHADOW, Verdict
from sreops.domain.runbooks.runbook import Autonomy, Plan, PlannedStep, StepAction

TOLD_AT = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
RESTART = ((StepAction.restart_container, "web"),)
NOTHING = Afterwards(whole=True)


def at(seconds: float) -> datetime:
    return TOLD_AT + timedelta(seconds=seconds)


NOW = at(7200)


def told(steps: tuple[tuple[StepAction, str], ...] = RESTART) -> Told:
    return Told(at=TOLD_AT, mode=Mode.shadow, runbook_id="restart", steps=steps)


def did(*deeds: tuple[float, DeedKind], target: str = "web", whole: bool = True) -> Afterwards:
    return Afterwards(deeds=tuple(Deed(at=at(s), target=target, what=what) for s, what in deeds), whole=whole)


def over(cleared_s: float | None = None, back_s: float | None = None, closed: ClosedAs | None = None) -> Course:
    return Course(
        cleared_at=None if cleared_s is None else at(cleared_s),
        back_at=None if back_s is None else at(back_s),
        closed_as=closed,
    )


RESTARTED = did((60, DeedKind.started))


@pytest.mark.parametrize(
    ("after", "course", "comparison", "helped"),
    [
        (RESTARTED, over(120), Comparison.confirmed, True),
        (RESTARTED, over(120, back_s=600), Comparison.in_vain, False),
        (RESTARTED, over(), Comparison.in_vain, False),
        (RESTARTED, over(60 + 901), Comparison.unknown, None),  # it may have another reason
        (RESTARTED, over(closed=ClosedAs.fixed), Comparison.confirmed, True),
        (did((7000, DeedKind.started)), over(), Comparison.unknown, None),  # it may help yet
        (did((130, DeedKind.started)), over(120), Comparison.needless, None),  # it was over before
        (did((-5, DeedKind.started)), over(120), Comparison.needless, None),  # before the plan
        (did((60, DeedKind.replaced)), over(120), Comparison.otherwise, True),
        (did((60, DeedKind.replaced)), over(120, back_s=130), Comparison.unknown, False),
        (did((60, DeedKind.started), target="db"), over(120), Comparison.otherwise, True),
        (did((60, DeedKind.started), (90, DeedKind.replaced)), over(120), Comparison.in_vain, True),
        (did((60, DeedKind.replaced), (90, DeedKind.started)), over(120), Comparison.confirmed, True),
        (NOTHING, over(120), Comparison.needless, None),
        (NOTHING, over(120, back_s=300), Comparison.unknown, None),
        (NOTHING, over(), Comparison.unknown, None),
        (NOTHING, over(closed=ClosedAs.fixed), Comparison.unknown, None),
        (Afterwards(), over(120), Comparison.unknown, None),  # nobody looked
        (RESTARTED, over(120, closed=ClosedAs.false_alarm), Comparison.needless, None),
        (RESTARTED, over(120, closed=ClosedAs.duplicate), Comparison.unknown, None),
    ],
)
def test_what_people_did_and_how_it_went_on_decide(
    after: Afterwards, course: Course, comparison: Comparison, helped: bool | None
) -> None:
    found = compare(told(), after, course, NOW)
    assert (found.comparison, found.helped) == (comparison, helped), found.why
    assert found.why


@pytest.mark.parametrize("action", [one for one in StepAction if one.disruptive])
def test_an_act_that_the_engine_does_not_tell_of_is_never_called_needless(action: StepAction) -> None:
    seen = action in (StepAction.restart_container, StepAction.start_container, StepAction.stop_container)
    found = compare(told(((action, "web"),)), NOTHING, over(120), NOW)
    assert found.comparison is (Comparison.needless if seen else Comparison.unknown)


def incident(decision: dict[str, Any] | None, **fields: Any) -> Incident:
    return Incident.model_validate(
        {
            "id": "i1", "status": "escalated", "reason": "policy_denied", "service": "web", "alertname": "Down",
            "severity": "critical", "tier": "supervised", "fingerprints": ("f",), "opened_at": at(-30),
            "episode_at": at(-20), "decision": decision, **fields,
        }
    )  # fmt: skip


def decided(*, shadow: bool, reasons: list[str], would: dict[str, Any] | None) -> dict[str, Any]:
    plan = Plan(
        runbook_id="restart", autonomy=Autonomy.autonomous, cooldown_s=60, shadow=shadow,
        steps=(
            PlannedStep(action=StepAction.query_prometheus, target="web"),
            PlannedStep(action=StepAction.restart_container, target="web"),
        ),
    )  # fmt: skip
    policy = {"verdict": "deny", "reasons": reasons, **({"would": would} if would else {})}
    return {"plan": plan.model_dump(mode="json"), "policy": policy}


def test_a_shadow_and_a_dry_run_are_plans_that_were_only_told() -> None:
    would = {"verdict": "needs_approval", "reasons": ["tier supervised"], "at": TOLD_AT.isoformat()}
    found = told_of(incident(decided(shadow=True, reasons=[SHADOW], would=would)))
    assert found is not None
    assert (found.mode, found.would, found.at, found.steps) == (
        Mode.shadow, Verdict.needs_approval, TOLD_AT, RESTART
    )  # fmt: skip
    dry = told_of(incident(decided(shadow=False, reasons=[DRY_RUN], would=None)))
    assert dry is not None
    assert (dry.mode, dry.would, dry.at) == (Mode.dry_run, None, at(-20))


def test_a_plan_that_policy_denied_for_another_reason_was_not_only_told() -> None:
    assert told_of(incident(decided(shadow=False, reasons=["automation is paused"], would=None))) is None
    assert told_of(incident({"policy": {"reasons": [SHADOW]}})) is None
    assert told_of(incident(None)) is None


def test_the_last_look_since_the_plan_counts() -> None:
    def looked(seq: int, seconds: float, after: Afterwards, node: str = NODE) -> Record:
        body = {"node": node, "text": "", "data": after.model_dump(mode="json")}
        return Record(seq=seq, incident_id="i1", kind=RecordKind.thought, at=at(seconds), body=body)

    older, newer = looked(1, 10, Afterwards()), looked(2, 70, RESTARTED)
    assert afterwards_in([older, newer], told()) == RESTARTED
    assert afterwards_in([looked(1, -10, RESTARTED)], told()) == Afterwards(), "of the episode before"
    assert afterwards_in([looked(1, 10, RESTARTED, node="match_runbook")], told()) == Afterwards()


def test_what_opened_within_an_hour_of_the_end_has_come_back() -> None:
    ended = incident(None, cleared_at=at(120), closed={"by": "ann", "was": "other"})
    course = course_of(ended, [at(60), at(900), at(600)])
    assert (course.cleared_at, course.back_at, course.closed_as) == (at(120), at(600), ClosedAs.other)
    assert course_of(ended, [at(120 + 3601)]).back_at is None
    assert course_of(incident(None), [at(600)]).back_at is None


def test_runbooks_are_counted_by_themselves() -> None:
    found = tally(
        [("b", Comparison.confirmed), ("a", Comparison.unknown), ("b", Comparison.in_vain), ("b", Comparison.confirmed)]
    )
    assert list(found) == ["a", "b"]
    assert found["b"] == {Comparison.confirmed: 2, Comparison.in_vain: 1}
