"""Routes: every path ends in close_or_escalate, and only an approved or allowed plan reaches the effect."""

import pytest

from sreops.agent import routes
from sreops.agent.state import Outcome, State

ENDED = State(outcome=Outcome(end="escalated", reason="low_confidence", why="."))
PLAN = {"steps": [{}, {}]}


@pytest.mark.parametrize(
    "route", [routes.after_issue, routes.after_evidence, routes.after_analysis, routes.after_matching,
              routes.after_approval, routes.after_step, routes.after_look],
)  # fmt: skip
def test_an_outcome_leads_to_the_end_from_everywhere(route) -> None:  # type: ignore[no-untyped-def]
    assert route(ENDED) == "close_or_escalate"


def test_without_an_outcome_the_investigation_goes_on() -> None:
    assert routes.after_issue(State()) == "enrich_context"
    assert routes.after_evidence(State()) == "analyze_root_cause"
    assert routes.after_analysis(State()) == "match_runbook"


def test_a_plan_that_needs_approval_never_reaches_the_effect_before_it_has_it() -> None:
    assert routes.after_matching(State(approval="needed")) == "await_approval"
    assert routes.after_approval(State(approval="needed")) == "await_approval"
    assert routes.after_approval(State(approval="approved")) == "execute_remediation"
    assert routes.after_step(State(approval="needed", step=0, plan=PLAN)) == "await_approval"


@pytest.mark.parametrize(
    ("step", "target"), [(0, "execute_remediation"), (1, "execute_remediation"), (2, "verify_success")]
)
def test_steps_follow_one_another_and_then_the_proof(step: int, target: str) -> None:
    assert routes.after_step(State(step=step, plan=PLAN)) == target


def test_a_verdict_that_is_not_final_is_looked_for_again() -> None:
    assert routes.after_look(State()) == "verify_success"
