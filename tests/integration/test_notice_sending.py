"""Who is told what, when: planning and sending over a real store, with a notifier that is told how to answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from contract.store_scene import T0, alert, always, at, at_work, cleared, fresh_store
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.silences import Silenced
from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.records.channel import ChannelRule
from sreops.domain.records.message import Message
from sreops.errors import SilencesUnavailable
from sreops.ports import Changes, Channel, Health, Lease, Sending, SendState
from sreops.settings import NotifySettings
from sreops.worker.notice_sending import REMIND_S, NoticeLoop

store = pytest.fixture(fresh_store)
ESCALATED = {"status": "escalated", "reason": "no_runbook_matched"}


class Clock:
    def __init__(self) -> None:
        self.at = T0

    def now(self) -> datetime:
        return self.at

    def go(self, seconds: float) -> None:
        self.at = T0 + timedelta(seconds=seconds)


@dataclass
class Receivers:
    """Keeps what each channel was sent: (channel, kinds, digest)."""

    rules: dict[str, ChannelRule]
    sent: list[tuple[str, list[str], bool]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    left: dict[str, Sending] = field(default_factory=dict)

    @property
    def channels(self) -> Sequence[Channel]:
        return [Channel(name, name, "webhook", rule) for name, rule in self.rules.items()]

    async def send(
        self, channel: str, messages: Sequence[Message], *, attempt_id: str, digest: bool, **_: Any
    ) -> Sending:
        if channel in self.away:
            return Sending(SendState.failed, "connection refused")
        self.sent.append((channel, [message.kind.value for message in messages], digest))
        self.messages += messages
        return Sending(SendState.sent)

    async def settle(self, attempt_id: str) -> Sending:
        return self.left.get(attempt_id, Sending(SendState.not_begun))

    async def forget(self, attempt_id: str) -> None:
        self.left.pop(attempt_id, None)

    async def health(self) -> Health:
        return Health("up")


@dataclass
class Told:
    """The people's side of one store."""

    store: SqlIncidentStore
    clock: Clock
    receivers: Receivers
    people: NoticeLoop

    async def look(self, seconds: float) -> None:
        """Look twice at that time: what was planned is sent, and what that made free."""
        self.clock.go(seconds)
        for _ in range(3):
            async with asyncio.TaskGroup() as tasks:
                await self.people.look(tasks)

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kinds, _ in self.receivers.sent for kind in kinds]


@dataclass
class Silences:
    """Silences the services that it is told; ``away``: it does not answer."""

    services: set[str] = field(default_factory=set)
    away: bool = False
    name: str = "Alertmanager"

    async def silenced(self, events: Sequence[AlertEvent], *, now: datetime, timeout_s: float) -> Sequence[Silenced]:
        if self.away:
            raise SilencesUnavailable("connection refused")
        return [Silenced(fingerprint=one.fingerprint, why="") for one in events if one.service in self.services]


def told_to(
    store: SqlIncidentStore,
    rules: dict[str, ChannelRule] | None = None,
    silences: Silences | None = None,
    **settings: Any,
) -> Told:
    receivers, clock = Receivers(rules or {"ops": ChannelRule()}), Clock()
    people = NoticeLoop(
        store=store,
        notifier=receivers,
        clock=clock,
        settings=NotifySettings(**settings),
        public_url="https://sreops.example",
        shared=False,
        silences=[silences] if silences else [],
    )
    return Told(store, clock, receivers, people)


@pytest.fixture
def ops(store: SqlIncidentStore) -> Told:
    return told_to(store)


async def hand_over(store: SqlIncidentStore, service: str = "payments", **alert_fields: Any) -> Lease:
    if alert_fields:
        await store.correlate(alert(service, **alert_fields), always("open"), now=T0)
        leases = await store.claim("w1", now=T0, lease_s=30, limit=100)
        lease = next(one for one in leases if one.service == service)
    else:
        lease = await at_work(store, service)
    await store.write(lease, Changes(incident=ESCALATED), now=at(5))
    await store.finish(lease)
    return lease


async def test_a_silenced_one_wakes_nobody_until_its_silence_ends_and_holds_nobody_else_up(
    store: SqlIncidentStore,
) -> None:
    silences = Silences({"payments"})
    ops = told_to(store, silences=silences)
    await hand_over(store)
    await hand_over(store, "orders", fingerprint="f2")
    await ops.look(10)
    assert [message.service for message in ops.receivers.messages] == ["orders"]
    silences.services.clear()
    await ops.look(600)
    assert [message.service for message in ops.receivers.messages] == ["orders", "payments"]


async def test_what_ended_while_it_was_silenced_is_told_to_nobody(
    store: SqlIncidentStore,
) -> None:
    silences = Silences({"payments"})
    ops = told_to(store, silences=silences)
    lease = await hand_over(store)
    await ops.look(10)
    resolve = cleared(alert(), ends=20, received_at=at(20))
    await store.correlate(resolve, always("resolve", lease.incident_id, all_resolved=True), now=at(20))
    silences.services.clear()
    await ops.look(30)
    assert ops.kinds == []


async def test_where_silences_can_not_be_asked_people_are_told(store: SqlIncidentStore) -> None:
    ops = told_to(store, silences=Silences({"payments"}, away=True))
    await hand_over(store)
    await ops.look(10)
    assert ops.kinds == ["attention"]


async def test_a_critical_one_is_told_at_once_and_its_end_to_those_who_knew(ops: Told, store: SqlIncidentStore) -> None:
    lease = await hand_over(store)
    await ops.look(5)
    assert ops.receivers.sent == [("ops", ["attention"], False)]
    [message] = ops.receivers.messages
    assert message.links[0].url == f"https://sreops.example/incidents/{lease.incident_id}"
    told = {"by": "ann", "reason": "restarted", "was": ClosedAs.fixed, "cause": "a leak"}
    await store.close_incident(lease.incident_id, **told, now=at(60))
    await ops.look(60)
    assert ops.kinds == ["attention", "resolved"]
    assert "ann closed it" in ops.receivers.messages[-1].asked


async def test_what_nobody_was_told_of_ends_in_quiet(ops: Told, store: SqlIncidentStore) -> None:
    lease = await at_work(store)
    await store.write(lease, Changes(incident={"status": "resolved", "resolution": "fixed"}), now=at(5))
    await ops.look(60)
    assert ops.receivers.sent == []
    [one] = await store.deliveries(lease.incident_id)
    assert one.quiet is not None


async def test_what_heals_within_the_grace_is_told_to_nobody(store: SqlIncidentStore) -> None:
    ops = told_to(store, grace_s=60)
    lease = await hand_over(store)
    await ops.look(30)
    resolve = cleared(alert(), ends=40, received_at=at(40))
    await store.correlate(resolve, always("resolve", lease.incident_id, all_resolved=True), now=at(40))
    await ops.look(100)
    assert ops.receivers.sent == []
    await hand_over(store, "cart")
    await ops.look(200)
    assert ops.kinds == ["attention"]


async def test_warnings_are_one_digest_an_hour_and_a_plan_that_waits_is_told_at_once(ops: Told, store) -> None:
    for service in ("cart", "search"):
        await hand_over(store, service, severity="warning")
    await ops.look(6)
    assert ops.receivers.sent == []
    await store.correlate(alert("db", severity="warning"), always("open"), now=at(7))
    [lease] = await store.claim("w1", now=at(7), lease_s=30, limit=1)
    waits = {"status": "awaiting_approval", "plan_hash": "p1"}
    await store.write(lease, Changes(incident=waits), now=at(8))
    await ops.look(8)
    assert ops.receivers.sent == [("ops", ["approval"], False)]
    await ops.look(3601)
    assert ops.receivers.sent[1:] == [("ops", ["attention", "attention"], True)]


async def test_rules_say_which_channel_takes_what(store: SqlIncidentStore) -> None:
    rules = {
        "pager": ChannelRule.read("critical", None),
        "chat": ChannelRule.read("warning", "attention"),
        "approvers": ChannelRule.read(None, "approval"),
    }
    ops = told_to(store, rules)
    await hand_over(store, "cart", severity="warning")
    await hand_over(store, "payments")
    lease = await at_work(store, "db")
    await store.write(lease, Changes(incident={"status": "awaiting_approval", "plan_hash": "p"}), now=at(5))
    await ops.look(6)
    assert sorted((channel, kinds[0]) for channel, kinds, _ in ops.receivers.sent) == [
        ("approvers", "approval"),
        ("chat", "attention"),
        ("chat", "attention"),
        ("pager", "approval"),
        ("pager", "attention"),
    ]


async def test_many_at_once_are_one_message(ops: Told, store: SqlIncidentStore) -> None:
    for number in range(8):
        await hand_over(store, f"svc-{number}")
    await ops.look(6)
    assert ops.receivers.sent == [("ops", ["attention"] * 8, False)]


async def test_a_channel_that_is_away_holds_up_no_other_and_has_it_when_it_is_back(store: SqlIncidentStore) -> None:
    ops = told_to(store, {"mail": ChannelRule(), "chat": ChannelRule()})
    ops.receivers.away = {"mail"}
    lease = await hand_over(store)
    await ops.look(6)
    assert [channel for channel, _, _ in ops.receivers.sent] == ["chat"]
    [late] = await store.overdue_deliveries(before=at(99))
    assert (late.channel, late.error) == ("mail", "connection refused")
    ops.receivers.away = set()
    ops.people._paused_until.clear()  # the loop's clock can't be set
    await ops.look(60)
    assert [channel for channel, _, _ in ops.receivers.sent] == ["chat", "mail"]
    assert {one.outcome for one in await store.deliveries(lease.incident_id)} == {"sent"}


async def left_behind(ops: Told, store: SqlIncidentStore, found: Sending) -> Lease:
    """A process has claimed the delivery, and was killed; ``found`` is what became of its sending."""
    lease = await hand_over(store)
    channels = [("ops", False, at(6))]
    [notice] = await store.unplanned_notices()
    message = {**MESSAGE, "key": lease.incident_id}
    await store.plan_notice(notice.seq, message=message, quiet=None, channels=channels, now=at(6))
    [one] = await store.undone_deliveries()
    attempt_id = "0" * 32
    assert await store.claim_deliveries([one.seq], attempt_id=attempt_id, owner="gone", now=at(6), lease_s=50)
    ops.receivers.left[attempt_id] = found
    return lease


MESSAGE: dict[str, Any] = {
    "kind": "attention", "severity": "critical", "needs": "attention", "status": "escalated", "service": "payments",
    "alertname": "Down", "headline": "h", "what": "w", "at": T0.isoformat(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "sent_soon", "sent_later"),
    [
        (SendState.sent, 0, 0),
        (SendState.running, 0, 0),
        (SendState.not_begun, 1, 1),
        (SendState.failed, 1, 1),
        (SendState.unknown, 0, 1),
    ],
)
async def test_what_a_crash_left_is_settled_and_never_sent_twice(
    ops: Told, store: SqlIncidentStore, found: SendState, sent_soon: int, sent_later: int
) -> None:
    await left_behind(ops, store, Sending(found))
    await ops.look(10)
    assert len(ops.receivers.sent) == sent_soon
    await ops.look(11 + REMIND_S)
    assert len(ops.receivers.sent) == sent_later


async def test_nobody_is_reminded_of_what_somebody_has_acknowledged(ops: Told, store: SqlIncidentStore) -> None:
    lease = await left_behind(ops, store, Sending(SendState.unknown))
    await ops.look(10)
    await store.acknowledge(lease.incident_id, by="ann", reason="on it", now=at(20))
    await ops.look(11 + REMIND_S)
    assert ops.receivers.sent == []
    [one] = await store.deliveries(lease.incident_id)
    assert one.outcome == "dropped"


async def test_what_was_for_a_channel_that_is_gone_goes_to_the_one_that_is_there_now(store: SqlIncidentStore) -> None:
    before = told_to(store, {"old": ChannelRule()})
    before.receivers.away = {"old"}
    await hand_over(store)
    await before.look(6)
    now = told_to(store, {"new": ChannelRule()})
    await now.look(30)
    assert now.receivers.sent == [("new", ["attention"], False)]


async def test_what_comes_back_is_told_with_what_came_of_it(ops: Told, store: SqlIncidentStore) -> None:
    lease = await hand_over(store)
    await ops.look(6)
    told = {"by": "ann", "reason": "gone", "was": ClosedAs.other, "cause": ""}
    await store.close_incident(lease.incident_id, **told, now=at(60))
    again = alert(starts_at=at(900), received_at=at(900))
    await store.correlate(again, always("refire", lease.incident_id), now=at(900))
    await ops.look(901)
    assert ops.kinds == ["attention", "resolved"]
    await ops.look(903)
    assert ops.kinds == ["attention", "resolved", "returned"]
