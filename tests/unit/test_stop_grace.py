"""How long a target may take to stop."""

import math

import pytest

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.remediation.stopping import stop_grace_s, stop_too_long, stops_on_purpose, waited_for_s
from sreops.domain.runbooks.runbook import Autonomy, Plan, PlannedStep, StepAction


def container(own_s: float | None) -> ContainerState:
    return ContainerState(id="c" * 64, name="db", image="i", status="running", running=True, stop_timeout_s=own_s)


@pytest.mark.parametrize(
    ("own_s", "grace_s"), [(None, 10.0), (60.0, 60.0), (0.0, 0.0), (3600.0, 3600.0), (-1.0, math.inf)]
)
def test_what_a_container_says_itself_outranks_the_default(own_s: float | None, grace_s: float) -> None:
    assert stop_grace_s(container(own_s), 10.0) == grace_s


def test_a_service_has_its_grace_period() -> None:
    service = ServiceState(id="s", name="db", replicas=1, running=1, stop_timeout_s=120.0)
    assert stop_grace_s(service, 10.0) == 120.0


@pytest.mark.parametrize(
    ("grace_s", "said"), [(0.0, ""), (600.0, ""), (600.5, "600 s are waited for unasked"), (math.inf, "may never end")]
)
def test_more_than_ten_minutes_and_for_ever_are_for_a_person(grace_s: float, said: str) -> None:
    why = stop_too_long("db", grace_s)
    assert bool(why) == bool(said)
    assert said in why


def test_what_never_ends_is_waited_for_as_long_as_the_longest() -> None:
    assert waited_for_s(math.inf) == 600.0
    assert waited_for_s(90.0) == 90.0


def plan(*steps: tuple[str, str]) -> Plan:
    made = tuple(PlannedStep(action=StepAction(action), target=target) for action, target in steps)
    return Plan(runbook_id="r", autonomy=Autonomy.autonomous, cooldown_s=0, steps=made)


def test_a_plan_says_whom_it_stops_and_whom_it_leaves_so() -> None:
    both = plan(("stop_container", "batch"), ("stop_container", "db"), ("start_container", "db"), ("wait", "batch"))
    assert len(stops_on_purpose(both)) == 2
    assert both.left_stopped == ("batch",)
    assert stops_on_purpose(plan(("restart_container", "db"))) == ()
