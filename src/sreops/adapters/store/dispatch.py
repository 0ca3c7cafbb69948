"""Dispatch: who works on which incident, and when it is next due."""

import heapq
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)

from sreops.adapters.store.columns import micros
from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart, held
from sreops.adapters.store.tables import incidents, work
from sreops.adapters.store.waking import wake_row
from sreops.domain.alerts.severity import RANK
from sreops.errors import NotFound
from sreops.ports import AGEING_S, Lease

_SERVED: Final = tuple(sorted(RANK.values()))


def _free(now: datetime) -> ColumnElement[bool]:
    """Return the condition of work that nobody works on, and whose service nobody works on."""
    busy = select(work.c.service).where(work.c.lease_owner.is_not(None), work.c.lease_until >= now)
    free = or_(work.c.lease_owner.is_(None), work.c.lease_until < now)
    return and_(free, work.c.service.not_in(busy))


def _make_ready(connection: Connection, now: datetime) -> None:
    """Note which work has become due since the claim before: each costs this once, not once for every claim."""
    connection.execute(update(work).where(~work.c.ready, work.c.due_at <= now).values(ready=True))


def _in_turn(
    connection: Connection, now: datetime, taken: Collection[str], limit: int, ageing_s: float
) -> Iterator[Row[Any]]:
    """Yield due work in the order in which it is its turn, as far as it is asked for.

    That is when it was opened, plus ``ageing_s`` for each rank below critical: a critical incident goes before
    every warning that has not been open for ``ageing_s`` longer, and a stream of critical ones holds up a warning
    for so long and no longer. Services in ``taken``, which may grow meanwhile, need not be yielded.
    """
    ageing_us = int(ageing_s * 1_000_000)

    def turn(row: Row[Any]) -> tuple[int, int, str]:
        return micros(row.opened_at) + row.rank * ageing_us, row.rank, row.incident_id

    return heapq.merge(*(_of_rank(connection, rank, now, taken, limit) for rank in _SERVED), key=turn)


def _of_rank(
    connection: Connection, rank: int, now: datetime, taken: Collection[str], limit: int
) -> Iterator[Row[Any]]:
    """Yield due work of a rank, the oldest first, page by page along the index."""
    # A sum, so that no index on due_at seems to fit: SQLite would take it, and sort the whole backlog.
    is_due = type_coerce(work.c.due_at, BigInteger) + 0 <= micros(now)
    query = (
        select(work)
        .where(work.c.ready, work.c.rank == rank, is_due, _free(now))
        .order_by(work.c.opened_at, work.c.incident_id)
        .limit(limit)
    )
    page = connection.execute(query).all()
    while page:
        yield from page
        if len(page) < limit:
            return
        after = tuple_(work.c.opened_at, work.c.incident_id) > (page[-1].opened_at, page[-1].incident_id)
        page = connection.execute(query.where(after, work.c.service.not_in(sorted(taken)))).all()


_OF_INCIDENT = Prepared(update(work).where(work.c.incident_id == bindparam("of_incident")))


class SqlDispatch(SqlPart):
    """Leases over work rows."""

    async def claim(
        self, owner: str, *, now: datetime, lease_s: float, limit: int, ageing_s: float = AGEING_S
    ) -> Sequence[Lease]:
        """Lease up to ``limit`` incidents that are due and free, at most one of each service over all replicas."""
        if limit <= 0:
            return []

        def claim(connection: Connection) -> list[Lease]:
            _make_ready(connection, now)
            leases: dict[str, Lease] = {}  # by service
            for row in _in_turn(connection, now, leases.keys(), limit, ageing_s):
                if row.service in leases:
                    continue
                leases[row.service] = self._lease(connection, row, owner, now, lease_s)
                if len(leases) == limit:
                    break
            if leases:  # a worker that was held up at another incident of these services must not come back to it
                lapsed = work.c.lease_until < now, work.c.service.in_(list(leases))
                connection.execute(update(work).where(*lapsed).values(token=work.c.token + 1))
            return list(leases.values())

        waiting = select(work.c.incident_id).where(work.c.due_at <= now, _free(now)).limit(1)
        if not await self._db.read(lambda connection: connection.execute(waiting).first()):
            return []  # an idle dispatcher asks twice a second: that must not cost the writers' lock
        return await self._db.write(claim)

    @staticmethod
    def _lease(connection: Connection, row: Row[Any], owner: str, now: datetime, lease_s: float) -> Lease:
        woken_by = row.woken_by if row.lease_owner is None else "takeover"
        _OF_INCIDENT.run(
            connection,
            of_incident=row.incident_id,
            lease_owner=owner,
            lease_until=now + timedelta(seconds=lease_s),
            token=row.token + 1,
            woken_by=woken_by,
            # the run that is taken over may have been woken too late to see it: it looks once more when it parks
            wakes_seen=row.wakes - (row.lease_owner is not None),
            seen_at=now,
        )
        return Lease(
            incident_id=row.incident_id,
            episode=row.episode,
            service=row.service,
            token=row.token + 1,
            attempts=row.attempts,
            woken_by=woken_by,
            opened_at=row.opened_at,
            starts=row.starts,
        )

    async def begin_again(self, lease: Lease, *, place: str) -> int:
        """Count a start after a run that ended without a word; return which start from this place it is."""

        def begin(connection: Connection) -> int:
            row = held(connection, lease)
            starts = int(row.starts) + 1 if row.started_from == place else 2
            _OF_INCIDENT.run(connection, of_incident=lease.incident_id, starts=starts, started_from=place)
            return starts

        return await self._db.write(begin)

    async def renew(self, leases: Sequence[Lease], *, now: datetime, lease_s: float) -> Sequence[Lease]:
        """Renew; return those that are still ours."""

        def renew(connection: Connection) -> list[Lease]:
            ours = []
            for lease in leases:
                done = connection.execute(
                    update(work)
                    .where(
                        work.c.incident_id == lease.incident_id,
                        work.c.episode == lease.episode,
                        work.c.token == lease.token,
                        work.c.lease_owner.is_not(None),
                    )
                    .values(lease_until=now + timedelta(seconds=lease_s), seen_at=now)
                )
                if done.rowcount:
                    ours.append(lease)
            return ours

        return await self._db.write(renew) if leases else []

    async def park(self, lease: Lease, *, wake_at: datetime, timer: str) -> None:
        """End the lease and sleep until ``wake_at``; due at once where it was woken meanwhile."""

        def park(connection: Connection) -> None:
            row = held(connection, lease)
            slept = {"due_at": wake_at, "ready": False, "timer": timer, "woken_by": "timer"}
            woken = row.wakes != row.wakes_seen
            again = {"woken_by": "timer"} if row.woken_by == "takeover" else {}
            self._end_lease(connection, lease, attempts=0, last_error=None, **(again if woken else slept))

        await self._db.write(park)

    async def retry(self, lease: Lease, *, wake_at: datetime, error: str) -> int:
        """End the lease after a failure; count the attempt, wake at ``wake_at``; return attempts so far."""

        def retry(connection: Connection) -> int:
            row = held(connection, lease)
            attempts = int(row.attempts) + 1
            self._end_lease(
                connection,
                lease,
                due_at=wake_at,
                ready=False,
                timer="retry",
                attempts=attempts,
                last_error=error[:2000],
                woken_by="start" if lease.woken_by == "start" else row.woken_by,
            )
            return attempts

        return await self._db.write(retry)

    async def release(self, lease: Lease) -> None:
        """End the lease with nothing done: due again at once, attempts unchanged."""

        def release(connection: Connection) -> None:
            row = held(connection, lease)  # its due time has come already, or it could not have been claimed
            woken_by = "start" if lease.woken_by == "start" else row.woken_by
            self._end_lease(connection, lease, woken_by=woken_by)

        await self._db.write(release)

    async def finish(self, lease: Lease) -> None:
        """End the lease and the work: the incident has ended."""

        def finish(connection: Connection) -> None:
            held(connection, lease)
            self._end_lease(connection, lease, due_at=None, ready=False, timer=None, attempts=0, last_error=None)

        await self._db.write(finish)

    @staticmethod
    def _end_lease(connection: Connection, lease: Lease, **values: object) -> None:
        ended = {"lease_owner": None, "lease_until": None, "starts": 0, "started_from": None}
        _OF_INCIDENT.run(connection, of_incident=lease.incident_id, **ended, **values)

    async def overdue(self, *, now: datetime, max_incident_s: float) -> Sequence[str]:
        """Return ids of incidents open longer than that, time awaiting approval not counted."""
        query = (
            select(incidents.c.id, incidents.c.episode_at, incidents.c.waited_us, incidents.c.waiting_since)
            .where(incidents.c.ended_at.is_(None), incidents.c.episode_at < now - timedelta(seconds=max_incident_s))
            .order_by(incidents.c.episode_at, incidents.c.id)
        )

        def overdue(connection: Connection) -> list[str]:
            late = []
            for row in connection.execute(query):
                waits_us = micros(now) - micros(row.waiting_since) if row.waiting_since else 0
                open_us = micros(now) - micros(row.episode_at) - row.waited_us - max(0, waits_us)
                if open_us > max_incident_s * 1e6:
                    late.append(row.id)
            return late

        return await self._db.read(overdue)

    async def wake(self, incident_id: str, *, woken_by: str) -> None:
        """Make a sleeping incident due now; a no-op for one that has ended."""

        def wake(connection: Connection) -> None:
            ended_at = connection.execute(select(incidents.c.ended_at).where(incidents.c.id == incident_id)).first()
            if ended_at is None:
                raise NotFound(f"there is no incident {incident_id!r}")
            if ended_at[0] is None:
                wake_row(connection, incident_id, woken_by=woken_by, at=None)

        await self._db.write(wake)
