"""What replicas on one store do for all, each once; and what a worker that was held up no longer does."""

import asyncio
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from store_scene import alert, at, at_work, claimed, effect_of, fresh_store

from servers.waiting import eventually
from sreops.adapters.store import SqlIncidentStore
from sreops.agent.context import AgentContext, Tools
from sreops.agent.nodes.execute_remediation import carry_out
from sreops.agent.remediation.effects import send
from sreops.agent.remediation.request import Request
from sreops.agent.state import State
from sreops.agent.tickets import TicketDesk
from sreops.agent.visit import Visit, as_node
from sreops.domain.evidence.evidence import ContainerEvents, ContainerState
from sreops.domain.incidents.incident import EffectOutcome, Issue
from sreops.domain.records.record import Thought
from sreops.domain.remediation.policy import PolicyLimits
from sreops.domain.runbooks.runbook import Autonomy, Plan, PlannedStep, StepAction
from sreops.errors import EventLogUnavailable, LeaseLost
from sreops.ports import Changes, Lease, LogRecord, TicketOp
from sreops.settings import Settings
from sreops.worker.copies import Copies

store = pytest.fixture(fresh_store)

LEASE_S = 0.3


class SetClock:
    def __init__(self) -> None:
        self.at = at(10)

    def now(self) -> datetime:
        return self.at


class SlowIssues:
    """Takes an issue's creation when it is told to; counts what it was asked."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.notes: list[str] = []
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def create(self, marker: str, **_: object) -> Issue:
        self.asked.set()
        await self.go.wait()
        self.created.append(marker)
        return Issue(iid=1, url="http://gitlab/1")

    async def note(self, issue: Issue, marker: str, body: str, **_: object) -> None:
        self.notes.append(marker)


class SlowLog:
    """Takes records when it is told to."""

    name = "kafka"

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.away = False

    async def append(self, records: list[LogRecord], *, timeout_s: float) -> None:
        self.asked.set()
        await self.go.wait()
        if self.away:
            raise EventLogUnavailable("away")
        self.taken += [record.key for record in records]


async def queued(store: SqlIncidentStore) -> str:
    lease = await at_work(store)
    create = {"title": "t", "description": "d", "labels": [], "severity": "critical"}
    ops = [
        TicketOp("create", lease.incident_id, "create", create),
        TicketOp("note", lease.incident_id, "note", {"note": "n"}),
    ]
    await store.write(lease, Changes(tickets=ops), now=at(1))
    return lease.incident_id


def desk(store: SqlIncidentStore, issues: SlowIssues, clock: SetClock) -> TicketDesk:
    given: Any = issues
    return TicketDesk(store, given, clock, oncall_user="ann", timeout_s=20, shared_lease_s=LEASE_S)


async def test_of_two_desks_one_sends_and_the_other_leaves_the_incident_alone(store: SqlIncidentStore) -> None:
    incident_id, clock = await queued(store), SetClock()
    mine, theirs = SlowIssues(), SlowIssues()
    first, second = desk(store, mine, clock), desk(store, theirs, clock)
    sending = asyncio.create_task(first.drain())
    await mine.asked.wait()
    assert await second.drain() == 0
    assert await second.drain(incident_id) == 0
    mine.go.set()
    assert await sending == 2
    assert await second.drain() == 0
    assert (mine.created, mine.notes, theirs.created, theirs.notes) == ([incident_id], ["note"], [], [])


async def test_a_desk_that_was_held_up_stops_sending_what_another_has_taken_over(store: SqlIncidentStore) -> None:
    incident_id, clock = await queued(store), SetClock()
    held_up, taking_over = SlowIssues(), SlowIssues()
    sending = asyncio.create_task(desk(store, held_up, clock).drain())
    await held_up.asked.wait()
    clock.at += timedelta(seconds=1)  # its claim has lapsed
    taking_over.go.set()
    assert await desk(store, taking_over, clock).drain() == 2
    assert await sending == 0
    held_up.go.set()
    await asyncio.sleep(0)
    assert (held_up.created, taking_over.created) == ([], [incident_id])


async def test_a_claim_is_kept_while_the_write_takes_its_time(store: SqlIncidentStore) -> None:
    await queued(store)
    clock, mine, theirs = SetClock(), SlowIssues(), SlowIssues()
    sending = asyncio.create_task(desk(store, mine, clock).drain())
    await mine.asked.wait()
    theirs.go.set()
    for _ in range(4):
        clock.at += timedelta(seconds=LEASE_S * 0.9)
        kept: list[bool] = []
        async with asyncio.timeout(5):
            while not kept:  # until it has claimed again
                await asyncio.sleep(LEASE_S / 10)
                row = await store._db.read(
                    lambda c: c.exec_driver_sql("SELECT claimed_until FROM tickets WHERE op_id='create'").scalar()
                )
                kept = [True] if row > int(clock.at.timestamp() * 1e6) + int(LEASE_S * 0.9e6) else []
        assert await desk(store, theirs, clock).drain() == 0
    mine.go.set()
    assert await sending == 2


async def test_one_replica_at_a_time_copies_and_one_that_can_not_lets_another_try(store: SqlIncidentStore) -> None:
    lease = await at_work(store)
    await store.write(lease, Changes(thoughts=[Thought(node="n", text="t")]), now=at(1))
    clock, mine, theirs = SetClock(), SlowLog(), SlowLog()
    one: Any = mine
    other: Any = theirs
    first = Copies(store=store, event_log=one, clock=clock, shared=True, retry_s=60)
    second = Copies(store=store, event_log=other, clock=clock, shared=True)
    theirs.go.set()
    copying = asyncio.create_task(first.run())
    await mine.asked.wait()
    assert await second.copy_once() == 0, "it is the first one's turn"
    mine.away = True
    mine.go.set()
    await eventually(second.copy_once, 5, what="the turn to be given up")
    copying.cancel()
    await asyncio.gather(copying, return_exceptions=True)
    assert (mine.taken, theirs.taken) == ([], [lease.incident_id] * 2)
    assert await store.unpublished(10) == []


def context_of(store: SqlIncidentStore, lease: Lease, clock: SetClock, settings: object) -> Any:
    tools = SimpleNamespace(store=store, clock=clock, settings=settings)
    return AgentContext(tools=cast(Tools, tools), lease=lease)


async def test_a_node_that_was_held_up_leaves_no_checkpoint_where_another_worker_took_over(
    store: SqlIncidentStore,
) -> None:
    old, clock = await at_work(store), SetClock()
    settings = SimpleNamespace(worker=SimpleNamespace(lease_s=0.001))  # any node takes longer

    async def analyse(visit: Visit) -> State:
        clock.at = at(40)
        if takes_over:
            await claimed(store, now=at(40), owner="w2")
        return State(step=7)

    runtime: Any = SimpleNamespace(context=context_of(store, old, clock, settings))
    takes_over = False
    assert await as_node(analyse)(State(incident_id=old.incident_id), runtime=runtime) == {"step": 7}, "nobody took it"
    clock.at, takes_over = at(41), True
    clock.at = at(41)
    await store.renew([old], now=at(0), lease_s=1)
    with pytest.raises(LeaseLost, match="took over"):
        await as_node(analyse)(State(incident_id=old.incident_id), runtime=runtime)


def plan_of_one_restart() -> Plan:
    step = PlannedStep(action=StepAction.restart_container, target="payments", params={}, timeout_s=30)
    return Plan(runbook_id="restart-leak", autonomy=Autonomy.autonomous, cooldown_s=0, steps=(step,))


@pytest.mark.parametrize(("held_up_s", "sent"), [(7.4, True), (7.6, False)])
async def test_an_effect_is_not_sent_once_another_may_have_settled_it(
    store: SqlIncidentStore, held_up_s: float, sent: bool
) -> None:
    lease, clock = await at_work(store), SetClock()
    intent = effect_of(lease, now=at(10))
    snapshot = intent.snapshot | {"stop_timeout_s": 10.0, "own_stop_timeout": False}
    intent = intent.model_copy(update={"snapshot": snapshot})
    effect = await store.begin_effect(lease, intent, PolicyLimits(), now=at(10))
    restarted: list[str] = []

    async def restart(container_id: str, **_: object) -> None:
        restarted.append(container_id)

    context = context_of(store, lease, clock, Settings(_env_file=None))
    context.tools.containers = context.tools.engine = SimpleNamespace(restart=restart)
    incident = await store.incident(lease.incident_id)
    request = Request(context.tools, incident, alert(), plan_of_one_restart())
    clock.at = at(10 + held_up_s)
    if sent:
        await send(request, effect)
    else:
        with pytest.raises(LeaseLost, match="not sent"):
            await send(request, effect)
    assert restarted == (["c0ffee"] if sent else [])


@pytest.mark.parametrize("outcome", [None, EffectOutcome.unknown])
async def test_an_effect_that_stands_in_the_ledger_is_not_done_again_whatever_the_visit_has_seen(
    store: SqlIncidentStore, outcome: EffectOutcome | None
) -> None:
    lease, clock = await at_work(store), SetClock()
    seen_before = await store.incident(lease.incident_id)
    begun = await store.begin_effect(lease, effect_of(lease, now=at(8)), PolicyLimits(), now=at(8))
    if outcome is not None:
        await store.end_effect(lease, begun.effect_id, outcome, "", now=at(9))
    restarted: list[str] = []
    running = ContainerState(id="c0ffee", name="payments", image="i", status="running", running=True, restart_count=2)

    async def restart(container_id: str, **_: object) -> None:
        restarted.append(container_id)

    async def look(*_: object, **__: object) -> ContainerState:
        return running

    async def events(*_: object, **__: object) -> ContainerEvents:
        return ContainerEvents(query="", events=())

    context = context_of(store, lease, clock, Settings(_env_file=None))
    context.tools.containers = context.tools.engine = SimpleNamespace(
        restart=restart, find=look, inspect=look, events=events
    )
    context.tools.tickets = desk(store, SlowIssues(), clock)
    visit = Visit("n", State(), context.tools, lease, seen_before, context.control)
    made = await carry_out(visit, Request(context.tools, seen_before, alert(), plan_of_one_restart()))
    assert restarted == []
    if outcome is None:
        assert made["wait_timer"] == "settling"
    else:
        assert made["outcome"]["reason"] == "outcome_unknown"
