"""Telling people: what is put out is worded, given to its channels, and sent to each once; never in the agent's way."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sreops.backoff import Backoff, delay_s
from sreops.domain.incidents.needs import need_of
from sreops.domain.records.message import Message
from sreops.domain.records.sending_order import Batch, next_batches
from sreops.errors import SreopsError, StoreUnavailable
from sreops.ports import (
    Channel,
    Clock,
    Delivery,
    Health,
    IncidentStore,
    Notifier,
    Sending,
    SendState,
    Silences,
)
from sreops.settings import NotifySettings
from sreops.telemetry import DELIVERIES, DELIVERIES_WAIT, DELIVERY_SECONDS, log
from sreops.worker.notice_planning import NoticePlanner

EVERY_S: Final = 0.5
LONGEST_PAUSE_S: Final = 20.0
"""A channel that failed is tried again after at most so long: a receiver that is back has all within a minute."""
LATE_S: Final = 60.0
REMIND_S: Final = 600.0
"""What may have arrived before a crash is told again after so long, where the incident still needs a person then."""
NOTICE_NOT_RECORDED: Final = "notify.not_recorded"
STORE_AWAY: Final = "notify.store_away"
SENT_EVENT: Final = "notify.sent"
NOT_SENT: Final = "notify.not_sent"
_LEASE_MARGIN_S = 30.0


class NoticeLoop:
    """Plans, sends, and settles what a crash left behind; ``shared``: other replicas may be at the same store."""

    def __init__(
        self,
        *,
        store: IncidentStore,
        notifier: Notifier | None,
        clock: Clock,
        settings: NotifySettings,
        public_url: str | None,
        shared: bool,
        silences: Sequence[Silences] = (),
    ) -> None:
        self._store = store
        self._notifier = notifier
        self._clock = clock
        self._settings = settings
        self._shared = shared
        self._owner = uuid.uuid4().hex
        self._channels: Mapping[str, Channel] = {
            channel.name: channel for channel in (notifier.channels if notifier else ())
        }
        self._planner = NoticePlanner(
            store=store,
            clock=clock,
            settings=settings,
            channels=self._channels,
            public_url=public_url,
            silences=silences,
        )
        self._failures: dict[str, int] = {}
        self._paused_until: dict[str, float] = {}
        self._sending: dict[asyncio.Task[None], str] = {}
        self._attempts: set[str] = set()
        self._again = asyncio.Event()
        self._adopted = False

    async def run(self) -> None:
        """Tell until cancelled; a store that is away is waited for. What is being sent then goes on by itself."""
        backoff = Backoff(EVERY_S, 15.0)
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._again.clear()
                try:
                    await self.look(tasks)
                except StoreUnavailable as exc:
                    log.warning(STORE_AWAY, error=str(exc))
                    await backoff.wait()
                    continue
                backoff.reset()
                try:
                    async with asyncio.timeout(EVERY_S):
                        await self._again.wait()
                except TimeoutError:
                    pass

    async def look(self, tasks: asyncio.TaskGroup) -> None:
        """Plan what is put out, settle what was left behind, and begin to send what is due."""
        await self._planner.plan()
        if self._notifier is None:
            return
        waiting = await self._store.undone_deliveries()
        if await self._settle(waiting) or await self._adopt(waiting):
            waiting = await self._store.undone_deliveries()
        now = self._clock.now()
        DELIVERIES_WAIT.set(sum(delivery.due_at <= now for delivery in waiting))
        mine = [delivery for delivery in waiting if delivery.channel in self._channels]
        for batch in next_batches(mine, now, self._busy()):
            chosen = await self._still_wanted([mine[position] for position in batch.positions])
            if not chosen:
                continue
            task = tasks.create_task(self._send(self._notifier, batch, chosen), name=f"notify {batch.channel}")
            self._sending[task] = batch.channel
            task.add_done_callback(self._sent)

    async def _still_wanted(self, chosen: Sequence[Delivery]) -> Sequence[Delivery]:
        """Return them less those that may have arrived and that nobody needs to be reminded of."""
        wanted = []
        for delivery in chosen:
            if delivery.maybe_again:
                incident = await self._store.incident(delivery.incident_id)
                if need_of(incident, self._clock.now()) is None:
                    why = "it may have arrived, and needs nobody any more"
                    await self._store.drop_deliveries([delivery.seq], why=why, now=self._clock.now())
                    continue
            wanted.append(delivery)
        return wanted

    def _busy(self) -> set[str]:
        now = asyncio.get_running_loop().time()
        return {*self._sending.values(), *(name for name, until in self._paused_until.items() if until > now)}

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.pop(task, None)
        self._again.set()

    # what was left behind

    async def _settle(self, waiting: Sequence[Delivery]) -> bool:
        """Find out what became of sendings that another process, or this one before its end, has begun."""
        left = {
            delivery.attempt_id: delivery
            for delivery in waiting
            if delivery.claimed_by is not None and delivery.attempt_id is not None
        }
        changed = False
        for attempt_id, delivery in left.items():
            if attempt_id in self._attempts or self._notifier is None:
                continue
            found = await self._notifier.settle(attempt_id)
            now = self._clock.now()
            lapsed = delivery.claimed_until is None or delivery.claimed_until < now
            if found.state is SendState.running:
                continue
            if found.state is SendState.not_begun and self._shared:
                if not lapsed:  # another replica may be at it, on another machine
                    continue
                found = Sending(SendState.unknown, "the replica that was sending it is gone")
            channel = self._channels.get(delivery.channel)
            again_s = REMIND_S if found.state is SendState.unknown else 0.0
            await self._note(attempt_id, channel, found, [delivery], now, again_at=now + timedelta(seconds=again_s))
            changed = True
        return changed

    async def _adopt(self, waiting: Sequence[Delivery]) -> bool:
        """Give what was for a channel that is configured no more to those that are; once, at the start."""
        if self._adopted:
            return False
        self._adopted = True
        changed = False
        for delivery in waiting:
            if delivery.channel in self._channels or delivery.claimed_by is not None:
                continue
            await self._store.move_deliveries(
                [delivery.seq], list(self._channels), why="the channel is configured no more", now=self._clock.now()
            )
            changed = True
        return changed

    # sending

    async def _send(self, notifier: Notifier, batch: Batch, chosen: Sequence[Delivery]) -> None:
        channel = self._channels[batch.channel]
        attempt_id = uuid.uuid4().hex
        self._attempts.add(attempt_id)
        try:
            claimed = await self._store.claim_deliveries(
                [delivery.seq for delivery in chosen],
                attempt_id=attempt_id,
                owner=self._owner,
                now=self._clock.now(),
                lease_s=self._settings.timeout_s + _LEASE_MARGIN_S,
            )
            if not claimed:  # another replica has it
                return
            found = await notifier.send(
                batch.channel,
                [Message.model_validate(delivery.message) for delivery in chosen],
                attempt_id=attempt_id,
                digest=batch.digest,
                maybe_again=any(delivery.maybe_again for delivery in chosen),
            )
            await self._note(attempt_id, channel, found, chosen, self._clock.now())
        except SreopsError as exc:  # the store is away: what became of it is settled when it is back
            log.warning(NOTICE_NOT_RECORDED, channel=channel.label, error=str(exc))
        finally:
            self._attempts.discard(attempt_id)

    async def _note(
        self,
        attempt_id: str,
        channel: Channel | None,
        found: Sending,
        chosen: Sequence[Delivery],
        now: datetime,
        again_at: datetime | None = None,
    ) -> None:
        label, service = (channel.label, channel.service) if channel else ("a channel of before", "other")
        if found.state is SendState.sent:
            await self._store.deliveries_sent(attempt_id, now=now)
            self._well(channel)
            DELIVERIES.labels(service, "sent").inc()
            for delivery in chosen:
                if not delivery.digest:
                    DELIVERY_SECONDS.observe(max(0.0, (now - delivery.told_at).total_seconds()))
            log.info(SENT_EVENT, channel=label, incident_ids=[delivery.incident_id for delivery in chosen])
        else:
            pause_s = self._ill(channel) if again_at is None else 0.0
            given_up = all((now - delivery.told_at).total_seconds() > self._settings.give_up_s for delivery in chosen)
            retry_at = None if given_up else again_at or now + timedelta(seconds=pause_s)
            why = found.why or found.state.value
            maybe = found.state is SendState.unknown
            await self._store.deliveries_failed(attempt_id, error=why, retry_at=retry_at, now=now, maybe_arrived=maybe)
            DELIVERIES.labels(service, "given_up" if given_up else "failed").inc()
            log.warning(NOT_SENT, channel=label, error=why, given_up=given_up)
        if self._notifier is not None:
            await self._notifier.forget(attempt_id)

    def _well(self, channel: Channel | None) -> None:
        if channel is not None:
            self._failures.pop(channel.name, None)
            self._paused_until.pop(channel.name, None)

    def _ill(self, channel: Channel | None) -> float:
        """Pause the channel, longer each time; return for how long."""
        if channel is None:
            return LONGEST_PAUSE_S
        count = self._failures[channel.name] = self._failures.get(channel.name, 0) + 1
        pause_s = delay_s(count, 2.0, LONGEST_PAUSE_S)
        self._paused_until[channel.name] = asyncio.get_running_loop().time() + pause_s
        return pause_s


async def delivery_health(store: IncidentStore, notifier: Notifier, clock: Clock) -> Health:
    """Say whether every channel takes what it is sent, over all replicas."""
    labels = {channel.name: channel.label for channel in notifier.channels}
    late = await store.overdue_deliveries(before=clock.now() - timedelta(seconds=LATE_S))
    if not late:
        return Health("up", f"{len(labels)} channels: {', '.join(labels.values())}")
    told = "; ".join(
        f"{labels.get(overdue.channel, 'a channel of before')}: {overdue.count} wait ({overdue.error})"
        for overdue in late
    )
    return Health("down", told, "see that the receiver answers; `sreops notify test` sends a message")
