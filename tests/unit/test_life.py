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

EXAMPLES = settings().max_examples
_seconds = st.lists(st.integers(1, 240), min_size=1, max_size=12).map(sorted)


@settings(max_examples=4 * EXAMPLES)
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


@settings(max_examples=4 * EXAMPLES)
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


@settings(max_examples=2 * EXAMPLES)
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
        container(status="dead", running=True),
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


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"exit_code": 1}, "exited, exit code 1"),
        ({"exit_code": None, "status": "dead"}, "dead"),
        ({"exit_code": 137, "oom_killed": True, "restart_count": 2},
         "exited, OOM-killed, exit code 137, restarted 2 times by the engine"),
        ({"status": "paused", "running": True}, "paused"),
        ({"status": "running", "running": True, "restart_count": 2}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_of_one_that_is_down_people_are_told_how_it_ended(changes: dict[str, object], detail: str) -> None:
    pulse = pulse_of("job", container(**changes))
    assert pulse is not None
    assert pulse.detail == detail
    assert pulse.told == f"job is {pulse.vital.value}" + (f" ({detail})" if detail else "")


def test_a_pulse_holds_what_the_engine_shows_of_the_target_itself() -> None:
    seen = container(running=True, status="running", health="starting", restart_count=2)
    events = [event("die", 3), event("die", 5, "another"), event("health_status: unhealthy", 7), event("die", 9)]
    assert pulse_of("alias", seen, events) == Pulse(
        target="alias", vital=Vital.starting, id="c1", started_at=at(0), restart_count=2, died_at=(at(3), at(9)),
        ill_at=(at(7),),
    )  # fmt: skip
    service = ServiceState(id="s", name="job", replicas=3, running=2, failed_at=(at(4),))
    assert pulse_of("alias", service) == Pulse(
        target="alias", vital=Vital.starting, id="s", detail="2 of 3 replicas run", died_at=(at(4),)
    )
    assert unseen("job", "away") == Pulse(target="job", vital=Vital.unseen, detail="away")
    assert gone("job") == Pulse(target="job", vital=Vital.gone, detail="it was removed from the engine")


@pytest.mark.parametrize("health", ["healthy", "unhealthy", "starting", None, "none"])
def test_what_runs_is_as_well_as_its_health_check_says(health: str | None) -> None:
    running = container(running=True, status="running", health=health)
    assert vital(running) is (Vital(health) if health not in (None, "none") else Vital.running)


@pytest.mark.parametrize(
    ("words", "turns"),
    [
        ("unhealthy healthy", [0, 1]),
        ("unhealthy healthy healthy", [0, 1]),
        ("healthy unhealthy unhealthy", [1, 2]),
        ("healthy", []),
        ("unhealthy start healthy", [0]),
        ("unhealthy start healthy unhealthy healthy", [0, 3, 4]),
        ("unhealthy exec healthy", [0, 2]),
    ],
)
def test_a_time_of_illness_begins_and_ends_with_a_turn_of_its_health(words: str, turns: list[int]) -> None:
    told = [f"health_status: {word}" if word.endswith("healthy") else word for word in words.split()]
    pulse = pulse_of("job", container(), [event(action, second) for second, action in enumerate(told)])
    assert pulse is not None
    assert pulse.ill_at == tuple(at(second) for second in turns)


@pytest.mark.parametrize(
    ("actions", "word"),
    [
        ("die", Vital.done), ("kill die", Vital.down), ("kill stop die", Vital.down), ("kill", Vital.done),
        ("kill start die", Vital.done), ("kill die start die", Vital.done), ("kill die die", Vital.done),
        ("die start kill die", Vital.down), ("kill die start", Vital.done),
    ],
)  # fmt: skip
def test_only_its_last_end_is_asked_for_by_a_kill_in_the_same_life(actions: str, word: Vital) -> None:
    assert vital(container(), *(event(action, second) for second, action in enumerate(actions.split()))) is word


def test_of_several_the_one_that_is_down_or_ill_or_unseen_is_told_before_one_that_lives() -> None:
    order = ["gone", "down", "unhealthy", "unseen", "starting", "running", "healthy", "done", "stopped"]
    for place, word in enumerate(order):
        pulses = [Pulse(target=other, vital=Vital(other)) for other in reversed(order[place:])]
        found = worst(pulses)
        assert found is not None
        assert found.target == word


def test_only_what_is_at_rest_is_stopped_on_purpose() -> None:
    words = {word: as_stopped(Pulse(target="job", vital=word)).vital for word in Vital}
    assert words == {word: word for word in Vital} | {Vital.down: Vital.stopped, Vital.done: Vital.stopped}


def alive(word: str = "running", **changes: object) -> Pulse:
    fields = {"target": "job", "vital": Vital(word), "id": "c1", "started_at": at(0)} | changes
    return Pulse.model_validate(fields)


@pytest.mark.parametrize(
    ("pulses", "now", "prospect", "why", "again"),
    [
        ([], 9, Prospect.unclear, "the target was not looked at since the effect", None),
        ([(0, unseen("job", "away"))], 9, Prospect.unclear, "job is unseen (away)", None),
        ([(0, unseen("job", "away")), (5, alive())], 14, Prospect.settling,
         "job is running, not yet for 10 s since the effect", 15),
        ([(0, alive()), (5, alive())], 9, Prospect.settling, "job is running, not yet for 10 s since the effect", 10),
        ([(0, alive()), (5, alive())], 10, Prospect.lives, "job is running, for 10 s since the effect", None),
        ([(0, alive()), (5, alive("unhealthy"))], 99, Prospect.unclear, "job is unhealthy", None),
        ([(0, alive()), (5, alive("starting"))], 99, Prospect.unclear, "job is starting", None),
        ([(0, alive()), (5, unseen("job", "away"))], 99, Prospect.unclear, "job is unseen (away)", None),
        ([(0, alive()), (5, alive("unhealthy")), (7, alive())], 14, Prospect.settling,
         "job is running, not yet for 10 s since the effect", 15),
        ([(0, alive()), (7, alive(ill_at=(at(3), at(6))))], 15, Prospect.settling,
         "job is running, not yet for 10 s since the effect", 16),
        ([(0, alive()), (7, alive(ill_at=(at(-3),)))], 10, Prospect.lives, "job is running, for 10 s since the effect",
         None),
        ([(0, alive()), (5, alive("down", detail="exited"))], 9, Prospect.died,
         "job is down (exited) since the effect", None),
        ([(0, alive()), (5, alive("gone")), (7, alive())], 9, Prospect.died, "job is gone since the effect", None),
        ([(0, alive()), (5, alive(id="c2"))], 9, Prospect.died,
         "job was replaced by another container since the effect", None),
        ([(0, alive()), (5, alive(restart_count=1, started_at=at(4)))], 9, Prospect.died,
         "job died and was restarted by the engine since the effect", None),
        ([(0, alive()), (5, alive(restart_count=2))], 9, Prospect.died,
         "job died and was restarted 2 times by the engine since the effect", None),
        ([(0, alive()), (5, alive(started_at=at(4)))], 9, Prospect.died,
         "job was started anew since the effect", None),
        ([(0, alive(died_at=(at(1),))), (5, alive(died_at=(at(1), at(2), at(4), at(3))))], 9, Prospect.died,
         f"job died at {at(4):%H:%M:%S} UTC, since the effect", None),
        ([(0, alive(died_at=(at(1),))), (5, alive(died_at=(at(1),)))], 10, Prospect.lives,
         "job is running, for 10 s since the effect", None),
        ([(0, alive()), (5, alive(died_at=(at(-1), at(0))))], 10, Prospect.lives,
         "job is running, for 10 s since the effect", None),
        ([(0, alive(started_at=None)), (5, alive(started_at=None, died_at=(at(-1),)))], 9, Prospect.died,
         f"job died at {at(-1):%H:%M:%S} UTC, since the effect", None),
        ([(0, alive()), (5, alive("done", died_at=(at(4),)))], 10, Prospect.lives,
         "job is done, for 10 s since the effect", None),
        ([(0, alive("stopped", restart_count=7)), (5, alive(restart_count=7))], 10, Prospect.lives,
         "job is running, for 10 s since the effect", None),
        ([(0, alive("stopped", restart_count=7)), (5, alive(restart_count=8))], 10, Prospect.died,
         "job died and was restarted 8 times by the engine since the effect", None),
    ],
)  # fmt: skip
def test_what_is_known_of_a_life_since_an_effect_is_told(
    pulses: list[tuple[float, Pulse]], now: float, prospect: Prospect, why: str, again: float | None
) -> None:
    verdict = since_effect([(at(second), pulse) for second, pulse in pulses], settle_s=10, now=at(now))
    assert (verdict.prospect, verdict.why) == (prospect, why)
    assert verdict.again_at == (None if again is None else at(again))


@pytest.mark.parametrize(
    ("pulse", "now", "prospect", "why", "again"),
    [
        (alive("done"), 0, Prospect.lives, "job has ended well", None),
        (alive("down", detail="exited"), 99, Prospect.dead, "job is down (exited)", None),
        (alive("gone"), 99, Prospect.dead, "job is gone", None),
        (alive("unhealthy"), 99, Prospect.unclear, "job is unhealthy", None),
        (alive("unseen"), 99, Prospect.unclear, "job is unseen", None),
        (alive("starting"), 99, Prospect.unclear, "job is starting", None),
        (alive(), 12, Prospect.lives, "job is running, for 10 s since the resolve and its last start", None),
        (alive(), 11, Prospect.settling,
         "job is running, not yet for 10 s since the resolve and its last start", 12),
        (alive(started_at=at(5)), 14, Prospect.settling,
         "job is running, not yet for 10 s since the resolve and its last start", 15),
        (alive(started_at=None, died_at=(at(3), at(6))), 15, Prospect.settling,
         "job is running, not yet for 10 s since the resolve and its last start", 16),
        (alive(ill_at=(at(3), at(7))), 16, Prospect.settling,
         "job is running, not yet for 10 s since the resolve and its last start", 17),
        (alive(ill_at=(at(1),), died_at=(at(-4),)), 12, Prospect.lives,
         "job is running, for 10 s since the resolve and its last start", None),
    ],
)  # fmt: skip
def test_what_is_known_of_a_life_since_a_resolve_is_told(
    pulse: Pulse, now: float, prospect: Prospect, why: str, again: float | None
) -> None:
    verdict = since_resolve(pulse, at(2), settle_s=10, now=at(now))
    assert (verdict.prospect, verdict.why) == (prospect, why)
    assert verdict.again_at == (None if again is None else at(again))
