"""Effects settled by looking."""

from datetime import UTC, datetime, timedelta

import pytest

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.effects import Settled, settle

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
STARTED = T0 - timedelta(hours=5)


def container(**changes: object) -> ContainerState:
    fields = {"id": "c" * 64, "name": "payments", "image": "i", "status": "running", "running": True,
              "started_at": STARTED} | changes  # fmt: skip
    return ContainerState.model_validate(fields)


def effect(action: str = "restart_container", **snapshot: object) -> Effect:
    return Effect(
        effect_id="i:1:0", incident_id="i", episode=1, step=0, action=action, target="payments", service="payments",
        snapshot=container().snapshot() | {"stop_timeout_s": 10.0} | snapshot, intent_at=T0,
    )  # fmt: skip


def settled(
    what: Effect, seen: ContainerState | ServiceState | None, after_s: float, replicas: int | None = None
) -> Settled:
    return settle(what, seen, wanted_replicas=replicas, now=T0 + timedelta(seconds=after_s), margin_s=15.0)


def service(**changes: object) -> ServiceState:
    fields = {"id": "s1", "name": "payments", "replicas": 1, "running": 1} | changes
    return ServiceState.model_validate(fields)


def of_service(action: str, **before: object) -> Effect:
    return effect(action).model_copy(update={"snapshot": service(**before).snapshot()})


def test_an_answer_says_what_became_of_it_why_and_when_to_look_again() -> None:
    assert Settled.succeeded("x") == Settled(outcome=EffectOutcome.succeeded, why="x")
    assert Settled.failed("x") == Settled(outcome=EffectOutcome.failed, why="x")
    assert Settled.unknown("x") == Settled(outcome=EffectOutcome.unknown, why="x")
    assert Settled.later("x", T0) == Settled(outcome=None, why="x", look_again_at=T0)


DOWN = container(running=False, status="exited")
FAILED, SUCCEEDED, UNKNOWN = EffectOutcome.failed, EffectOutcome.succeeded, EffectOutcome.unknown
AT_IT = "the engine may still be at it"
GONE = "the target is gone or was replaced by another since the intent"
BACK = {"spec": "good", "previous_spec": "bad"}


@pytest.mark.parametrize(
    ("what", "seen", "outcome", "why"),
    [
        (effect(), container(started_at=T0), SUCCEEDED, "the container has started anew at 2026-11-23T03:00:00+00:00"),
        (effect(), None, UNKNOWN, GONE),
        (effect("stop_container"), container(id="d" * 64), UNKNOWN, GONE),
        (effect("stop_container"), DOWN, SUCCEEDED, "the container ran at the intent and has ended since"),
        (effect("start_container"), container(), SUCCEEDED, "the container is running"),
        (effect(), container(running=False, status="exited", error="x" * 400), FAILED,
         f"the container is exited: it could not be started: {'x' * 300}"),
        (of_service("restart_container"), service(force_update=1), SUCCEEDED,
         "Swarm was told to replace the service's tasks"),
        (of_service("rollback_service", spec="bad", previous_spec="good"), service(**BACK), SUCCEEDED,
         "the service has gone back to its previous specification"),
        (of_service("scale_container", project="shop"), service(project="shop", replicas=3, running=3), SUCCEEDED,
         "the service has 3 containers"),
        (of_service("scale_container"), service(replicas=3), SUCCEEDED, "the service is declared with 3 replicas"),
        (of_service("scale_container"), service(), None, AT_IT),
        (effect(), container(), None, AT_IT),
    ],
)  # fmt: skip
def test_what_is_seen_is_told(
    what: Effect, seen: ContainerState | ServiceState | None, outcome: EffectOutcome | None, why: str
) -> None:
    answer = settled(what, seen, 2, replicas=3)
    assert (answer.outcome, answer.why) == (outcome, why)


def test_what_nothing_shows_is_told_with_the_time_that_was_waited() -> None:
    why = "nothing on the target shows that restart_container happened within 25 s, and nothing shows that it will not"
    assert settled(effect(), container(), 25).why.startswith(why)
    assert settled(effect(), DOWN, 25).why == "the container is exited: it could not be started"


def without(what: Effect, *names: str) -> Effect:
    """An effect whose intent an older release wrote, which kept less."""
    kept = {name: value for name, value in what.snapshot.items() if name not in names}
    return what.model_copy(update={"snapshot": kept})


def test_an_intent_that_kept_less_is_compared_with_none_so_far() -> None:
    short = without(effect(), "stop_timeout_s")
    assert settled(short, container(), 14.5).look_again_at == T0 + timedelta(seconds=15)
    assert settled(short, container(), 15).outcome is UNKNOWN
    uncounted = without(effect(), "restart_count")
    assert settled(uncounted, container(started_at=T0), 1).outcome is SUCCEEDED
    assert settled(uncounted, container(started_at=T0, restart_count=1), 1).outcome is None
    service_before = without(of_service("restart_container"), "force_update")
    assert settled(service_before, service(), 1).outcome is None
    assert settled(service_before, service(force_update=1), 1).outcome is SUCCEEDED


def test_what_was_never_started_and_is_not_yet_has_not_succeeded() -> None:
    before = effect("start_container", started_at=None, status="created")
    assert settled(before, container(started_at=None, running=False, status="created"), 1).outcome is None


def test_a_container_started_anew_since_the_intent_settles_as_succeeded() -> None:
    seen = container(started_at=T0 + timedelta(seconds=9))
    assert settled(effect(), seen, 12).outcome is EffectOutcome.succeeded


def test_one_that_was_started_anew_and_runs_no_more_has_not_succeeded() -> None:
    ended = container(started_at=T0 + timedelta(seconds=3), running=False, status="exited")
    assert settled(effect(), ended, 5).outcome is None
    assert settled(effect(), ended, 25).outcome is EffectOutcome.failed
    assert settled(effect("start_container"), ended, 25).outcome is EffectOutcome.failed


def test_a_container_that_its_restart_policy_started_anew_proves_nothing_of_ours() -> None:
    seen = container(started_at=T0 + timedelta(seconds=3), restart_count=5)
    assert settled(effect(restart_count=4), seen, 5).outcome is None
    assert settled(effect(restart_count=4), seen, 25).outcome is EffectOutcome.unknown
    ours = container(started_at=T0 + timedelta(seconds=3), restart_count=0)
    assert settled(effect(restart_count=4), ours, 5).outcome is EffectOutcome.succeeded


def test_a_start_that_leaves_the_count_as_it_was_is_ours() -> None:
    before = effect("start_container", restart_count=4, status="exited")
    assert settled(before, container(started_at=T0, restart_count=4), 1).outcome is EffectOutcome.succeeded


def test_an_unchanged_container_is_looked_at_again_while_the_engine_may_still_be_at_it() -> None:
    answer = settled(effect(), container(), 20)
    assert answer.outcome is None
    assert answer.look_again_at == T0 + timedelta(seconds=21)


def test_the_last_look_is_not_after_stop_timeout_plus_margin() -> None:
    assert settled(effect(), container(), 24.5).look_again_at == T0 + timedelta(seconds=25)


def test_an_unchanged_container_after_stop_timeout_plus_margin_is_unknown_and_never_retried() -> None:
    assert settled(effect(), container(), 25).outcome is EffectOutcome.unknown


@pytest.mark.parametrize("seen", [None, container(id="d" * 64)])
def test_a_target_that_is_gone_or_replaced_is_unknown(seen: ContainerState | None) -> None:
    assert settled(effect(), seen, 1).outcome is EffectOutcome.unknown


def test_a_container_caught_between_stop_and_start_is_looked_at_again() -> None:
    seen = container(running=False, status="exited")
    assert settled(effect(), seen, 5).outcome is None


def test_a_start_settles_as_soon_as_the_container_runs() -> None:
    before = effect("start_container", stop_timeout_s=0.0)
    assert settled(before, container(), 1).outcome is EffectOutcome.succeeded


@pytest.mark.parametrize(
    ("replicas", "outcome"), [(3, EffectOutcome.succeeded), (1, None), (2, None), (4, None), (5, None)]
)
def test_scaling_settles_by_the_declared_replicas(replicas: int, outcome: EffectOutcome | None) -> None:
    before = ServiceState(id="s1", name="payments", replicas=1, running=1)
    what = effect("scale_container").model_copy(update={"snapshot": before.snapshot()})
    seen = before.model_copy(update={"replicas": replicas})
    assert settled(what, seen, 1, replicas=3).outcome is outcome


def test_scaled_beyond_what_was_wanted_was_somebody_else_and_ours_is_not_known() -> None:
    before = ServiceState(id="s1", name="payments", replicas=1, running=1)
    what = effect("scale_container").model_copy(update={"snapshot": before.snapshot()})
    seen = before.model_copy(update={"replicas": 5, "running": 5})
    assert settled(what, seen, 99, replicas=3).outcome is EffectOutcome.unknown


@pytest.mark.parametrize(
    ("replicas", "running", "outcome"),
    [(3, 3, EffectOutcome.succeeded), (3, 2, None), (4, 4, None), (1, 1, None)],
)
def test_a_compose_service_is_scaled_once_so_many_of_its_containers_run(
    replicas: int, running: int, outcome: EffectOutcome | None
) -> None:
    before = ServiceState(id="compose:shop:web", name="web", replicas=1, running=1, project="shop")
    what = effect("scale_container").model_copy(update={"snapshot": before.snapshot()})
    seen = before.model_copy(update={"replicas": replicas, "running": running})
    assert settled(what, seen, 1, replicas=3).outcome is outcome


def test_a_restart_of_a_service_settles_once_swarm_was_told_so_more_often_than_before() -> None:
    before = ServiceState(id="s1", name="web", replicas=2, running=2, force_update=4)
    what = effect().model_copy(update={"snapshot": before.snapshot()})
    assert settled(what, before, 1).outcome is None
    assert settled(what, before.model_copy(update={"force_update": 5}), 1).outcome is EffectOutcome.succeeded
    assert settled(what, before.model_copy(update={"replicas": 3}), 1, replicas=3).outcome is None


def test_a_stop_settles_as_soon_as_what_ran_has_ended() -> None:
    ended = container(running=False, status="exited", exit_code=143)
    answer = settled(effect("stop_container"), ended, 3)
    assert answer.outcome is EffectOutcome.succeeded
    assert "exit code 143" in answer.why


@pytest.mark.parametrize(
    "seen",
    [
        container(),
        container(started_at=T0 + timedelta(seconds=2)),  # started by somebody: whether ours came before is not known
        container(restart_count=3, started_at=T0 + timedelta(seconds=2)),  # died, and its policy brought it back
        container(running=True, status="restarting"),
        container(running=False, status="restarting"),
    ],
)
def test_what_runs_was_not_stopped_and_after_the_wait_nobody_knows(seen: ContainerState) -> None:
    assert settled(effect("stop_container"), seen, 5).outcome is None
    assert settled(effect("stop_container"), seen, 25).outcome is EffectOutcome.unknown


def test_a_rollback_settles_where_the_two_specifications_have_changed_places() -> None:
    before = ServiceState(id="s1", name="web", replicas=1, running=1, spec="bad", previous_spec="good")
    what = effect("rollback_service").model_copy(update={"snapshot": before.snapshot()})
    back = before.model_copy(update={"spec": "good", "previous_spec": "bad"})
    assert settled(what, back, 1).outcome is EffectOutcome.succeeded
    assert settled(what, before, 1).outcome is None
    assert settled(what, before, 99).outcome is EffectOutcome.unknown
    assert settled(what, back.model_copy(update={"previous_spec": "newer"}), 99).outcome is EffectOutcome.unknown


def test_a_restart_that_left_the_container_down_has_failed_and_says_so() -> None:
    down = container(running=False, status="exited", error="exec: /app/run: no such file or directory")
    answer = settled(effect(), down, 2)
    assert answer.outcome is EffectOutcome.failed, "it ran at the intent: the error is of the start after it"
    assert "the container is exited: it could not be started: exec: /app/run" in answer.why


def test_a_stopped_container_is_waited_for_while_the_engine_may_still_start_it() -> None:
    stopped = container(running=False, status="exited")
    assert settled(effect(), stopped, 20).outcome is None
    assert settled(effect(), stopped, 25).outcome is EffectOutcome.failed
    before = effect("start_container", status="exited")
    old = container(running=False, status="exited", error="the start before failed")
    assert settled(before, old, 2).outcome is None, "that error may be of an earlier start"
    assert settled(before, old, 25).outcome is EffectOutcome.failed


def test_one_between_two_tries_of_its_restart_policy_is_not_known_to_be_down() -> None:
    between = container(running=False, status="restarting", restart_count=3)
    assert settled(effect(), between, 25).outcome is EffectOutcome.unknown
