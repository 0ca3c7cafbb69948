"""Retention: what is over and old goes, in small batches; what is open, or still owed to somebody, stays.

An incident goes whole, with its audit chain, so that what is left still verifies.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sreops.domain.alerts.routing import DEAD_LETTER
from sreops.errors import EventLogUnavailable, StoreUnavailable
from sreops.ports import Clock, IncidentStore
from sreops.settings import RetentionSettings
from sreops.telemetry import PRUNED, log

TURN: Final = "retention"
TURN_S: Final = 300.0
BREATH_S: Final = 0.02  # between batches: the writers' lock is for incidents first
LOG_BATCH: Final = 2000
KEPT_LOG_S: Final = 3600.0  # what a full disk does not cost: the last hour of the log, for other consumers

PRUNED_EVENT: Final = "retention.pruned"
SIZE_EXCEEDED: Final = "retention.size_exceeded"
PRUNING_FAILED: Final = "retention.pruning_failed"


@dataclass(frozen=True)
class Pruned:
    """What one round deleted."""

    incidents: int = 0
    inbox: int = 0
    threads: int = 0
    log_records: int = 0

    def __add__(self, other: "Pruned") -> "Pruned":
        return Pruned(
            self.incidents + other.incidents,
            self.inbox + other.inbox,
            self.threads + other.threads,
            self.log_records + other.log_records,
        )


class RetentionLoop:
    """Prunes until cancelled.

    ``delete_thread`` deletes the checkpoints of one thread; ``prune_log`` deletes log records before a time, at most
    so many, of all topics but some, and returns how many (None: a broker sees to that); ``used_bytes`` measures the
    data directory.
    ``needed_s`` is how long after its end an incident still has a say in correlation: no size limit undercuts it.
    """

    def __init__(
        self,
        *,
        store: IncidentStore,
        clock: Clock,
        settings: RetentionSettings,
        needed_s: float,
        delete_thread: Callable[[str], Awaitable[None]],
        prune_log: Callable[[datetime, int, Collection[str]], Awaitable[int]] | None,
        used_bytes: Callable[[], Awaitable[int]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._needed = timedelta(seconds=needed_s)
        self._delete_thread = delete_thread
        self._prune_log = prune_log
        self._used_bytes = used_bytes
        self._owner = uuid.uuid4().hex
        self._threads_done: tuple[datetime, str] | None = None
        self._exceeded = False

    async def run(self) -> None:
        """Prune every ``every_s``; a store or log that is away is waited for."""
        while True:
            try:
                await self.prune_once()
            except (StoreUnavailable, EventLogUnavailable) as exc:
                log.warning(PRUNING_FAILED, error=str(exc))
            await asyncio.sleep(self._settings.every_s)

    async def prune_once(self) -> Pruned:
        """Prune what is old, then what is too much; one replica at a time does so for all."""
        if not await self._store.take_turn(TURN, self._owner, now=self._clock.now(), lease_s=TURN_S):
            return Pruned()
        pruned = await self._prune_by_age()
        pruned += await self._prune_by_size()
        if pruned != Pruned():
            for what in ("incidents", "inbox", "threads", "log_records"):
                PRUNED.labels(what).inc(getattr(pruned, what))
            log.info(PRUNED_EVENT, **vars(pruned))
        return pruned

    async def _prune_by_age(self) -> Pruned:
        now, settings = self._clock.now(), self._settings
        threads = await self._prune_threads(now - timedelta(hours=settings.checkpoints_hours))
        incidents = Pruned()
        while (batch := await self._prune_incidents(self._before(timedelta(days=settings.incidents_days)))).incidents:
            incidents += batch
        inbox = 0
        while gone := await self._store.prune_inbox(
            before=self._before(timedelta(days=settings.inbox_days)), limit=settings.batch
        ):
            inbox += gone
            await asyncio.sleep(BREATH_S)
        records = await self._prune_log_before(now - timedelta(days=settings.log_days))
        return incidents + Pruned(inbox=inbox, threads=threads, log_records=records)

    async def _prune_by_size(self) -> Pruned:
        """Where the data directory is too large: the oldest of what is closed, whatever its age."""
        pruned = Pruned()
        most = self._settings.max_data_bytes
        if not most or await self._used_bytes() <= most:
            self._exceeded = False
            return pruned
        # but dead letters: nobody else has those events, and a person is still to see them
        before = self._clock.now() - timedelta(seconds=KEPT_LOG_S)
        records = await self._prune_log_before(before, but=(DEAD_LETTER,))
        pruned += Pruned(log_records=records, threads=await self._prune_threads(self._clock.now() - self._needed))
        while (used := await self._used_bytes()) > most:
            batch = await self._prune_incidents(self._before(timedelta(0)))
            if not batch.incidents:
                if not self._exceeded:  # once, until it is over
                    log.error(SIZE_EXCEEDED, used_bytes=used, max_data_bytes=most, note="nothing more may be pruned")
                self._exceeded = True
                break
            pruned += batch
        return pruned

    def _before(self, age: timedelta) -> datetime:
        return self._clock.now() - max(age, self._needed)

    async def _prune_incidents(self, before: datetime) -> Pruned:
        """Prune one batch; checkpoints first, so that a crash in between leaves none behind."""
        now = self._clock.now()
        found = await self._store.prunable(before=before, now=now, limit=self._settings.batch)
        for incident in found:
            await self._delete_threads(incident.id, incident.episode)
        gone = await self._store.forget([incident.id for incident in found], before=before, now=now)
        await asyncio.sleep(BREATH_S)
        return Pruned(incidents=gone)

    async def _prune_threads(self, until: datetime) -> int:
        """Delete the checkpoints of what ended by then; from the last place on, and once from the beginning."""
        count = 0
        while True:
            batch = await self._store.ended(after=self._threads_done, until=until, limit=self._settings.batch)
            for incident in batch:
                await self._delete_threads(incident.id, incident.episode)
                self._threads_done = (incident.ended_at, incident.id)
            count += len(batch)
            if len(batch) < self._settings.batch:
                return count
            await asyncio.sleep(BREATH_S)

    async def _delete_threads(self, incident_id: str, episodes: int) -> None:
        for episode in range(1, episodes + 1):
            await self._delete_thread(f"{incident_id}:{episode}")

    async def _prune_log_before(self, before: datetime, but: Collection[str] = ()) -> int:
        if self._prune_log is None:
            return 0
        count = 0
        while gone := await self._prune_log(before, LOG_BATCH, but):
            count += gone
            await asyncio.sleep(BREATH_S)
        return count
