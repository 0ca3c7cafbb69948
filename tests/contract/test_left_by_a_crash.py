"""What a crash has left: an undo that was cut short, an effect whose engine is away, text that was masked before."""

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from store_scene import alert, always, at, at_work, claimed, effect_of, ended, fresh_store

from sreops.adapters.store import SqlIncidentStore
from sreops.agent.context import AgentContext, Tools
from sreops.agent.nodes.enrich_context import enrich_context
from sreops.agent.nodes.execute_remediation import execute_remediation
from sreops.agent.state import State
from sreops.agent.visit import as_node
from sreops.domain.evidence.evidence import ContainerState, Evidence, EvidenceKind, ServiceState
from sreops.domain.incidents.incident import Effect, EffectOutcome, Reason
from sreops.domain.remediation.policy import PolicyLimits
from sreops.domain.runbooks.runbook import Autonomy, Plan, PlannedStep, StepAction
from sreops.domain.text.redaction import Redactors
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown
from sreops.ports import Changes, Lease
from sreops.settings import Settings

store = pytest.fixture(fresh_store)

UNDO_OF_STEP_0 = 1000
TAKEN_OVER_AT_S = 50.0  # long after the lease of the process that died


class SetClock:
    def __init__(self, seconds: float) -> None:
        self.at = at(seconds)

    def now(self) -> datetime:
        return self.at


class Engine:
    """An engine with one service and one container; scales as Compose is scaled, which minds what was looked at."""

    def __init__(self, replicas: int = 1, *, running: bool = True) -> None:
        self.replicas, self.running = replicas, running
        self.away = False
        self.answers_lost = False
        self.asked: list[str] = []

    async def service(self, name: str, **_: object) -> ServiceState:
        self._there()
        return ServiceState(id="s1", name=name, replicas=self.replicas, running=self.replicas)

    async def find(self, name: str, **_: object) -> ContainerState:
        self._there()
        status = "running" if self.running else "exited"
        return ContainerState(id="c1", name=name, image="i", status=status, running=self.running, started_at=at(5))

    async def inspect(self, container_id: str, **_: object) -> ContainerState:
        return await self.find("payments")

    async def scale(self, service_id: str, *, replicas: int, before: int, **_: object) -> None:
        self._there()
        self.asked.append(f"scale {replicas}")
        if before != self.replicas:
            raise EngineRefused(f"{self.replicas} replicas are there, and {before} were looked at")
        self.replicas = replicas
        self._answer()

    async def start(self, container_id: str, **_: object) -> None:
        self._there()
        self.asked.append("start")
        self.running = True
        self._answer()

    async def events(self, *_: object, **__: object) -> None:
        raise EngineUnavailable("its events are not told")

    def _there(self) -> None:
        if self.away:
            raise EngineUnavailable("the engine is away")

    def _answer(self) -> None:
        if self.answers_lost:
            raise OutcomeUnknown("the answer was lost")


class NoDesk:
    timeout_s = 1.0

    async def drain(self, incident_id: str) -> int:
        return 0


SCALE = PlannedStep(
    action=StepAction.scale_container, target="payments", params={"container": "payments", "replicas": 3}
)
STOP = PlannedStep(action=StepAction.stop_container, target="payments")
CHECK = PlannedStep(
    action=StepAction.query_prometheus, target="payments", params={"promql": "up"}, timeout_s=1
)  # fails: no Prometheus is configured


def plan_of(*steps: PlannedStep) -> Plan:
    return Plan(runbook_id="scale-out", autonomy=Autonomy.autonomous, cooldown_s=0, steps=steps)


async def visited(
    store: SqlIncidentStore, lease: Lease, engine: Engine, plan: Plan, now_s: float, **state: Any
) -> State:
    """Run the node once, as the process that took the incident over does."""
    tools = SimpleNamespace(
        store=store, clock=SetClock(now_s), settings=Settings(_env_file=None), containers=engine, engine=engine,
        metrics=None, alert_states=None, tickets=NoDesk(), silences=(), pause_file=None,
    )  # fmt: skip
    runtime: Any = SimpleNamespace(context=AgentContext(tools=cast(Tools, tools), lease=lease))
    [(event, _), *_] = await store.events(lease.incident_id)
    given = {"incident_id": lease.incident_id, "event": event.model_dump(mode="json")}
    told = State(**given, plan=plan.model_dump(mode="json"), **state)  # type: ignore[typeddict-item]  # as JSON has it
    return await as_node(execute_remediation)(told, runtime=runtime)


async def begun(store: SqlIncidentStore, lease: Lease, action: str, step: int, seconds: float, **snapshot: Any) -> str:
    """Write an intent to the ledger."""
    intent = effect_of(lease, step, action=action, snapshot=snapshot, intent_at=at(seconds), runbook_id="scale-out")
    return (await store.begin_effect(lease, intent, PolicyLimits(), now=at(seconds))).effect_id


async def scaled_then_died(store: SqlIncidentStore, *, undo_begun: bool = True) -> Lease:
    """Scale from one to three replicas, begin to take that back, die; return the lease of who takes over."""
    dead = await at_work(store)
    service = {"id": "s1", "name": "payments", "replicas": 1, "running": 1, "wanted": 3, "stop_timeout_s": 0.0}
    scaled = await begun(store, dead, "scale_container", 0, 2, **service)
    await store.end_effect(dead, scaled, EffectOutcome.succeeded, "", now=at(3))
    if undo_begun:
        before = {key: value for key, value in service.items() if key != "wanted"} | {"replicas": 3, "running": 3}
        await begun(store, dead, "scale_container", UNDO_OF_STEP_0, 9, **before)
    return await claimed(store, now=at(TAKEN_OVER_AT_S), owner="w2")


async def ledger(store: SqlIncidentStore, lease: Lease) -> Sequence[Effect]:
    return await store.effects(lease.incident_id, lease.episode)


FAILED_CHECK: dict[str, Any] = {"step": 1, "step_began": at(4).isoformat(), "acted_at": at(3).isoformat()}


@pytest.mark.parametrize(("replicas", "asked"), [(3, ["scale 1"]), (1, [])])
async def test_an_undo_that_a_crash_cut_short_is_taken_up_again_and_done_once(
    store: SqlIncidentStore, replicas: int, asked: list[str]
) -> None:
    lease, engine = await scaled_then_died(store), Engine(replicas)
    made = await visited(store, lease, engine, plan_of(SCALE, CHECK), TAKEN_OVER_AT_S, **FAILED_CHECK)
    assert engine.replicas == 1
    assert engine.asked == asked, "what it had done already is seen, not done again"
    assert [(one.step, one.outcome) for one in await ledger(store, lease)] == [
        (0, EffectOutcome.succeeded),
        (UNDO_OF_STEP_0, EffectOutcome.succeeded),
    ]
    assert made["outcome"] is not None
    assert made["outcome"]["reason"] == Reason.remediation_ineffective.value
    assert "payments was scaled back to 1" in made["outcome"]["why"]


async def test_an_undo_that_had_not_begun_takes_back_only_what_is_as_it_was_left(store: SqlIncidentStore) -> None:
    lease, engine = await scaled_then_died(store, undo_begun=False), Engine(1)
    made = await visited(store, lease, engine, plan_of(SCALE, CHECK), TAKEN_OVER_AT_S, **FAILED_CHECK)
    assert engine.asked == []
    assert made["outcome"] is not None
    assert "not scaled back to 1: payments was changed by somebody else meanwhile" in made["outcome"]["why"]
    assert [one.step for one in await ledger(store, lease)] == [0]


async def test_what_somebody_has_scaled_on_since_an_undo_was_cut_short_is_left_alone(store: SqlIncidentStore) -> None:
    lease, engine = await scaled_then_died(store), Engine(5)
    made = await visited(store, lease, engine, plan_of(SCALE, CHECK), TAKEN_OVER_AT_S, **FAILED_CHECK)
    assert (engine.asked, engine.replicas) == ([], 5)
    assert made["outcome"] is not None
    assert "changed by somebody else" in made["outcome"]["why"]
    assert (await ledger(store, lease))[-1].outcome is EffectOutcome.failed, "no intent stays open for ever"


async def test_an_undo_whose_end_is_in_the_ledger_is_told_and_not_tried_again(store: SqlIncidentStore) -> None:
    lease, engine = await scaled_then_died(store), Engine(3)
    [_, undo] = await ledger(store, lease)
    await store.end_effect(lease, undo.effect_id, EffectOutcome.failed, "refused by a proxy", now=at(51))
    made = await visited(store, lease, engine, plan_of(SCALE, CHECK), 52, **FAILED_CHECK)
    assert engine.asked == []
    assert made["outcome"] is not None
    assert "was not scaled back to 1: refused by a proxy" in made["outcome"]["why"]


async def test_an_undo_whose_answer_is_lost_is_told_as_unknown(store: SqlIncidentStore) -> None:
    lease, engine = await scaled_then_died(store, undo_begun=False), Engine(3)
    engine.answers_lost = True
    made = await visited(store, lease, engine, plan_of(SCALE, CHECK), TAKEN_OVER_AT_S, **FAILED_CHECK)
    assert made["outcome"] is not None
    assert "was not scaled back to 1: the answer was lost" in made["outcome"]["why"]
    assert (await ledger(store, lease))[-1].outcome is EffectOutcome.unknown


@pytest.mark.parametrize(("running", "asked"), [(False, ["start"]), (True, [])])
async def test_what_was_stopped_in_vain_is_started_again_after_a_crash(
    store: SqlIncidentStore, running: bool, asked: list[str]
) -> None:
    dead = await at_work(store)
    container = {"id": "c1", "name": "payments", "restart_count": 0, "status": "running", "stop_timeout_s": 10.0}
    stopped = await begun(store, dead, "stop_container", 0, 2, **container)
    await store.end_effect(dead, stopped, EffectOutcome.succeeded, "", now=at(3))
    await begun(store, dead, "start_container", UNDO_OF_STEP_0, 9, **container | {"status": "exited"})
    lease, engine = await claimed(store, now=at(TAKEN_OVER_AT_S), owner="w2"), Engine(running=running)
    made = await visited(store, lease, engine, plan_of(STOP, CHECK), TAKEN_OVER_AT_S, **FAILED_CHECK)
    assert (engine.asked, engine.running) == (asked, True)
    assert (await ledger(store, lease))[-1].outcome is EffectOutcome.succeeded
    assert made["outcome"] is not None
    assert "payments was started again" in made["outcome"]["why"]


@pytest.mark.parametrize(("since_intent_s", "waits"), [(84.0, True), (86.0, False)])
async def test_an_engine_that_is_away_is_waited_for_past_its_own_patience_and_then_the_outcome_is_unknown(
    store: SqlIncidentStore, since_intent_s: float, waits: bool
) -> None:
    """The stop timeout and the margin, and a minute more: an engine that restarts is back by then."""
    dead = await at_work(store)
    container = {"id": "c1", "name": "payments", "restart_count": 0, "status": "running", "stop_timeout_s": 10.0}
    await begun(store, dead, "restart_container", 0, 2, **container)
    lease, engine = await claimed(store, now=at(TAKEN_OVER_AT_S), owner="w2"), Engine()
    engine.away = True
    restart = PlannedStep(action=StepAction.restart_container, target="payments")
    made = await visited(store, lease, engine, plan_of(restart), 2 + since_intent_s, step=0)
    [effect] = await ledger(store, lease)
    if waits:
        assert (made["wait_timer"], effect.outcome) == ("settling", None)
        assert made["wait_until"] == at(2 + since_intent_s + 2).isoformat()
        return
    assert effect.outcome is EffectOutcome.unknown
    assert "the engine does not answer" in effect.detail
    assert made["outcome"] is not None
    assert made["outcome"]["reason"] == Reason.outcome_unknown.value


async def test_an_engine_that_is_back_within_that_time_settles_it_by_looking(store: SqlIncidentStore) -> None:
    dead = await at_work(store)
    container = {
        "id": "c1", "name": "payments", "restart_count": 0, "status": "running", "stop_timeout_s": 10.0,
        "started_at": at(-900).isoformat(),
    }  # fmt: skip
    await begun(store, dead, "restart_container", 0, 2, **container)
    lease, engine = await claimed(store, now=at(TAKEN_OVER_AT_S), owner="w2"), Engine()
    restart = PlannedStep(action=StepAction.restart_container, target="payments")
    made = await visited(store, lease, engine, plan_of(restart), 80, step=0)
    [effect] = await ledger(store, lease)
    assert effect.outcome is EffectOutcome.succeeded, "it runs, and its StartedAt is not that of the intent"
    assert effect.detail.startswith("settled by looking")
    assert made["step"] == 1


async def test_another_process_gives_no_placeholder_that_stands_in_what_an_earlier_episode_has_found(
    store: SqlIncidentStore,
) -> None:
    first = await at_work(store)
    kept = Evidence(id="E90", kind=EvidenceKind.logs, source="loki", finding="token=<secret-1>", text="of <email-4>")
    await store.write(first, Changes(evidence=[kept]), now=at(1))
    await ended(store, first, now=at(2))
    said = {"summary": "password=hunter2hunter2 of a@b.example"}
    again = alert(event_id="again", starts_at=at(60), received_at=at(60), annotations=said)
    await store.correlate(again, always("refire", first.incident_id), now=at(60))
    lease = await claimed(store, now=at(61), owner="w2")
    tools = SimpleNamespace(
        store=store, clock=SetClock(61), settings=Settings(_env_file=None), redactors=Redactors(),
        containers=None, logs=None, metrics=None, changes=None, deployments=None, alert_states=None, missing=None,
    )  # fmt: skip
    runtime: Any = SimpleNamespace(context=AgentContext(tools=cast(Tools, tools), lease=lease))
    given = State(incident_id=lease.incident_id, event=again.model_dump(mode="json"))
    await as_node(enrich_context)(given, runtime=runtime)
    told = next(item for item in await store.evidence(lease.incident_id) if item.id == "E1")
    assert "password=<secret-2> of <email-5>" in f"{told.finding} {told.text}"
