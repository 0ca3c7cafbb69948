"""A target's life: over random schedules of deaths, looks and resolves nothing dead or dying is said to live."""

from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreops.domain.evidence.evidence import ContainerEvent, ContainerState, ServiceState
from sreops.domain.incidents.incident import VerificationResult
from sreops.domain.remediation.life import (
    Prospect,
    Pulse,
    Vital,
    as_stopped,
    gone,
    pulse_of,
    since_effect,
    since_resolve,
    unseen,
    worst,
)
from sreops.domain.remediation.verification import Look, Standard, judge
from unit.life_course import SETTLE_S, TURNS, Course, Turn, at

_seconds = st.lists(st.integers(1, 240), min_size=1, max_size=12).map(sorted)


@settings(max_examples=400, deadline=None)
@given(TURNS, _seconds)
def test_what_has_died_since_an_effect_never_lives_however_lucky_the_looks_are(
    turns: list[Turn], looks: list[int]
) -> None:
    course = Course(turns)
    pulses = [(at(0), course.look(0))]
    for second in looks:
        pulses.append((at(second), course.look(second)))
        seen = [(when, pulse) for when, pulse in pulses if pulse is not None]
        verdict = since_effect(seen, settle_s=SETTLE_S, now=at(second))
        if verdict.prospect is Prospect.lives:
            assert not course.deaths(0, second)
            assert course.was_well(second - SETTLE_S, second)
        if course.deaths(0, second):
            assert verdict.prospect is Prospect.died
        elif not course.ill and second >= SETTLE_S:
            assert verdict.prospect is Prospect.lives, "no veto without a death"


@settings(max_examples=400, deadline=None)
@given(TURNS, st.integers(0, 200), _seconds)
def test_recovered_is_only_what_has_lived_for_the_settle_time_after_the_resolve_and_its_last_start(
    turns: list[Turn], resolved: int, looks: list[int]
) -> None:
    course = Course(turns)
    for second in (one for one in looks if one >= resolved):
        pulse = course.look(second)
        assert pulse is not None
        verdict = since_resolve(pulse, at(resolved), settle_s=SETTLE_S, now=at(second))
        if verdict.prospect is Prospect.lives:
            assert second >= resolved + SETTLE_S
            assert not course.deaths(second - SETTLE_S, second)
            assert course.was_well(second - SETTLE_S, second)
        elif verdict.prospect is Prospect.settling:
            assert verdict.again_at is not None
            assert at(second) < verdict.again_at <= at(second + SETTLE_S)
        if second - resolved >= SETTLE_S and course.was_well(-1, second):
            assert verdict.prospect is Prospect.lives, "a living target is no obstacle"


@settings(max_examples=200, deadline=None)
@given(TURNS, _seconds, st.lists(st.sampled_from([True, False, None]), min_size=12, max_size=12))
def test_no_schedule_makes_a_fix_of_a_crash_loop_even_where_nothing_fires_any_more(
    turns: list[Turn], looks: list[int], firing: list[bool | None]
) -> None:
    course = Course(turns)
    first = course.look(0)
    assert first is not None
    standard = Standard(targets=("payments",), left_as={"payments": (at(0), first)}, since=at(0), settle_s=SETTLE_S)
    history: list[tuple[datetime, Look]] = []
    for second, fires in zip(looks, firing, strict=False):
        pulse = course.look(second)
        history.append((at(second), Look(pulses=(pulse,) if pulse else (), alert_firing=fires)))
        judgement = judge(history, standard, now=at(second), deadline=at(200))
        if judgement.result is VerificationResult.fixed:
            assert not course.deaths(0, second)
            assert fires is False
        if judgement.final:
            return


def container(**changes: object) -> ContainerState:
    base = {
        "id": "c1", "name": "job", "image": "i", "status": "exited", "running": False, "exit_code": 0,
        "started_at": at(0), "restart_policy": "no",
    }  # fmt: skip
    return ContainerState.model_validate(base | changes)


def event(action: str, second: float = 1, container_id: str = "c1") -> ContainerEvent:
    return ContainerEvent(at=at(second), action=action, name="job", container_id=container_id)


def vital(seen: ContainerState | ServiceState, *events: ContainerEvent) -> Vital:
    pulse = pulse_of("job", seen, events)
    assert pulse is not None
    return pulse.vital


def test_a_job_that_ended_well_lives() -> None:
    pulse = pulse_of("job", container(), [event("die")])
    assert pulse is not None
    assert pulse.vital is Vital.done
    assert since_resolve(pulse, at(5), settle_s=SETTLE_S, now=at(5)).prospect is Prospect.lives
    assert since_effect([(at(0), pulse)], settle_s=0, now=at(5)).prospect is Prospect.lives


@pytest.mark.parametrize(
    "seen",
    [
        container(exit_code=1),
        container(exit_code=None),
        container(restart_policy="always"),
        container(restart_policy="unless-stopped"),
        container(health="unhealthy"),  # the engine calls one that has a health check so, once it has ended
        container(oom_killed=True),
        container(started_at=None),
        container(status="created", started_at=None),
        container(status="dead"),
        container(status="paused", running=True),
        container(status="restarting", running=True),
    ],
)
def test_whatever_else_does_not_run_is_down(seen: ContainerState) -> None:
    assert vital(seen) is Vital.down


def test_what_was_stopped_by_request_is_no_job_that_ended() -> None:
    assert vital(container(), event("kill"), event("die", 2)) is Vital.down
    earlier = (event("kill", -9), event("die", -8), event("start", 0))
    assert vital(container(), *earlier, event("die", 5)) is Vital.done
    assert vital(container(), event("kill", 1, "another"), event("die", 2)) is Vital.done


def test_a_swarm_service_lives_by_its_tasks() -> None:
    service = ServiceState(id="s", name="job", replicas=2, running=2)
    assert vital(service) is Vital.running
    assert vital(service.model_copy(update={"running": 1})) is Vital.starting
    assert vital(service.model_copy(update={"running": 0})) is Vital.down
    failing = pulse_of("job", service.model_copy(update={"failed_at": (at(40),)}))
    before = pulse_of("job", service)
    assert failing is not None
    assert before is not None
    assert since_resolve(failing, at(0), settle_s=SETTLE_S, now=at(60)).prospect is Prospect.settling
    assert since_resolve(failing, at(0), settle_s=SETTLE_S, now=at(70)).prospect is Prospect.lives


def test_what_is_not_on_the_engine_has_no_pulse_and_what_was_removed_is_dead() -> None:
    assert pulse_of("job", None) is None
    assert since_resolve(gone("job"), at(0), settle_s=1, now=at(99)).prospect is Prospect.dead
    assert since_effect([(at(0), gone("job"))], settle_s=1, now=at(99)).prospect is Prospect.died


def test_what_can_not_be_seen_is_unclear_and_no_death() -> None:
    living = pulse_of("job", container(running=True, status="running"))
    assert living is not None
    blind = unseen("job", "the engine is away")
    assert since_resolve(blind, at(0), settle_s=1, now=at(99)).prospect is Prospect.unclear
    assert since_effect([(at(0), living), (at(9), blind)], settle_s=1, now=at(9)).prospect is Prospect.unclear
    assert since_effect([(at(0), blind), (at(9), blind)], settle_s=1, now=at(9)).prospect is Prospect.unclear
    assert since_effect([], settle_s=1, now=at(9)).prospect is Prospect.unclear
    seen_again = [(at(0), living), (at(9), blind), (at(40), living)]
    assert since_effect(seen_again, settle_s=SETTLE_S, now=at(40)).prospect is Prospect.lives


def test_the_first_look_after_the_effect_tells_of_a_death_before_it() -> None:
    looped = pulse_of("job", container(running=True, status="running", restart_count=4))
    assert looped is not None
    verdict = since_effect([(at(0), looped)], settle_s=0, now=at(40))
    assert verdict.prospect is Prospect.died
    assert "restarted 4 times by the engine" in verdict.why


def test_the_worst_of_several_is_told() -> None:
    words = [Vital.healthy, Vital.done, Vital.unhealthy, Vital.running]
    pulses = [Pulse(target=word.value, vital=word) for word in words]
    found = worst(pulses)
    assert found is not None
    assert found.vital is Vital.unhealthy
    assert worst([]) is None


def test_a_course_in_these_tests_is_down_between_death_and_start() -> None:
    course = Course([Turn(10, "died", 5), Turn(40, "restarted", 2)])
    words = [pulse.vital for second in (5, 12, 20, 41, 60) if (pulse := course.look(second)) is not None]
    assert words == [Vital.healthy, Vital.down, Vital.healthy, Vital.down, Vital.healthy]
    assert all(first.at <= second.at for first, second in pairwise(course.events))


def down(**changes: object) -> Pulse:
    fields = {"target": "batch", "vital": Vital.down, "id": "c0", "started_at": at(-60), "restart_count": 7} | changes
    return as_stopped(Pulse.model_validate(fields))


def test_what_was_stopped_on_purpose_is_well_while_it_stays_so() -> None:
    left = down()
    death = down(died_at=(at(-1),))  # the engine's events tell of our own stop, late
    assert since_effect([(at(0), left), (at(5), death)], settle_s=30, now=at(5)).prospect is Prospect.settling
    assert since_effect([(at(0), left), (at(31), death)], settle_s=30, now=at(31)).prospect is Prospect.lives
    assert not left.vital.dead


@pytest.mark.parametrize(
    "later",
    [
        down(vital=Vital.running, started_at=at(3)),
        down(vital=Vital.running, started_at=at(3), restart_count=0),
        down(started_at=at(3)),  # started, and ended again
        down(id="c1"),
        down(vital=Vital.gone),
    ],
)
def test_what_was_stopped_and_is_started_by_somebody_is_not_fixed(later: Pulse) -> None:
    assert since_effect([(at(0), down()), (at(31), later)], settle_s=30, now=at(31)).prospect is Prospect.died


@pytest.mark.parametrize(
    ("update", "vital"),
    [
        ("", Vital.down), ("updating", Vital.starting), ("rollback_started", Vital.starting), ("paused", Vital.down),
        ("completed", Vital.down), ("rollback_completed", Vital.down), ("rollback_paused", Vital.down),
    ],
)  # fmt: skip
def test_a_service_without_a_running_task_is_down_unless_swarm_replaces_its_tasks(update: str, vital: Vital) -> None:
    pulse = pulse_of("job", ServiceState(id="s", name="job", replicas=1, running=0, update=update))
    assert pulse is not None
    assert pulse.vital is vital
    verdict = since_effect([(at(0), pulse)], settle_s=SETTLE_S, now=at(600))
    assert verdict.prospect is (Prospect.unclear if vital is Vital.starting else Prospect.died)


@pytest.mark.parametrize(
    ("labels", "status", "code", "vital"),
    [
        ({"com.docker.swarm.task.id": "t1"}, "created", 0, Vital.starting),
        ({"com.docker.swarm.task.id": "t1"}, "created", 127, Vital.down),  # it could not be started
        ({"com.docker.swarm.task.id": "t1"}, "exited", 1, Vital.down),
        ({}, "created", 0, Vital.down),
    ],
)
def test_a_tasks_container_that_was_just_made_is_starting(
    labels: dict[str, str], status: str, code: int, vital: Vital
) -> None:
    state = ContainerState(
        id="c", name="job.1.t1", image="i", status=status, running=False, exit_code=code, labels=labels
    )
    pulse = pulse_of("job.1.t1", state)
    assert pulse is not None
    assert pulse.vital is vital
