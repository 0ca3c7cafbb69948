"""Who uses a PostgreSQL database: any number of processes with Kafka, or a single one without.

An embedded log belongs to one process, so a second one on the same database would not see what the first has
accepted, nor take it over. An advisory lock says so: shared by those with Kafka, exclusive for one without.
PostgreSQL lets it go with its session, however that ends.
"""

import asyncio
import time
from typing import Final

import psycopg

from sreops.adapters.sql.failures import unavailable
from sreops.adapters.sql.postgres import CONNECT_ARGS, conninfo, place
from sreops.errors import AlreadyRunning
from sreops.ports import Health
from sreops.telemetry import log

MEMBERS_LOCK: Final = 0x5352454F504D
LOST: Final = "replicas.membership_lost"
_JOIN_TRIES: Final = 25  # the session of a process that was killed may outlive it for a moment
_JOIN_POLL_S: Final = 0.2
_LOOK_EVERY_S: Final = 5.0


class Membership:
    """One process's place among those that use the database; ``alone``: it has no Kafka.

    ``tolerated_s``: how far its clock may be off the database's (seconds).
    """

    def __init__(self, url: str, *, alone: bool, tolerated_s: float = 10.0) -> None:
        self._tolerated_s = tolerated_s
        self._conninfo = conninfo(url)
        self._place = place(url)
        self._alone = alone
        self._connection: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._clock_ahead_s = 0.0

    async def join(self) -> None:
        """Join, or stay joined; raises StoreUnavailable, and AlreadyRunning with the reason."""
        try:
            if self._connection is not None and await self._still_there(self._connection):
                await self._compare_clocks(self._connection)
                return
            await self.leave()
            self._connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, **CONNECT_ARGS)
            for _ in range(_JOIN_TRIES):
                if await self._try_lock(self._connection):
                    await self._compare_clocks(self._connection)
                    return
                await asyncio.sleep(_JOIN_POLL_S)
        except (psycopg.Error, OSError) as exc:
            await self.leave()
            raise unavailable(self._place, exc) from exc
        await self.leave()
        raise AlreadyRunning(
            f"another sreops uses {self._place}, and this one or that one has no Kafka. Several need Kafka as the "
            "event log: set SREOPS_KAFKA__BOOTSTRAP_SERVERS for each of them, or end the other one"
        )

    async def _try_lock(self, connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> bool:
        query = "SELECT pg_try_advisory_lock(%s)" if self._alone else "SELECT pg_try_advisory_lock_shared(%s)"
        row = await (await connection.execute(query, (MEMBERS_LOCK,))).fetchone()
        return bool(row and row[0])

    async def _compare_clocks(self, connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> None:
        asked = time.time()
        query = "SELECT extract(epoch FROM clock_timestamp())::float8"
        row = await (await connection.execute(query)).fetchone()
        told = float(str(row[0])) if row else asked
        answered = time.time()
        # how far ours is off at least: the server read its clock somewhere between the question and the answer
        self._clock_ahead_s = max(0.0, asked - told) or min(0.0, answered - told)

    def health(self) -> Health:
        """Say whether this process is among the members, and whether its clock can be trusted for leases."""
        if self._connection is None:
            return Health("down", "not connected", "see that PostgreSQL runs")
        if abs(self._clock_ahead_s) > self._tolerated_s:
            return Health(
                "down",
                f"this clock differs from the database's by {self._clock_ahead_s:+.1f} s: leases may overlap",
                "keep the clocks of all replicas in step (NTP)",
            )
        return Health("up", "alone" if self._alone else "shared with other replicas")

    @staticmethod
    async def _still_there(connection: "psycopg.AsyncConnection[tuple[object, ...]]") -> bool:
        try:
            await connection.execute("SELECT 1")
        except psycopg.Error as exc:
            log.warning(LOST, error=str(exc))
            return False
        return True

    async def stay(self) -> None:
        """Look whether we are still a member, for ever; join again where the connection was lost."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.join()

    async def leave(self) -> None:
        """Leave; harmless where it has not joined."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
