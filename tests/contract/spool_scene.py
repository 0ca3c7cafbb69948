"""An event log that can fail, the spool before it, and what forwards."""

import asyncio
import contextlib
from datetime import UTC, datetime

from contract.event_log_suite import record, values
from servers.waiting import eventually
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.event_log.spooled import SpooledEventLog
from sreops.domain.alerts.routing import DEAD_LETTER
from sreops.errors import EventLogRefused, EventLogUnavailable
from sreops.ports import Health
from sreops.worker.forwarding import Forwarding

TOPIC, OTHER = "sre-critical", "sre-warning"
TOPICS = (TOPIC, OTHER, "sre-info", DEAD_LETTER)
MIB = 1024 * 1024


class SystemClock:
    def now(self):
        return datetime.now(UTC)


class LogThatFails(EmbeddedEventLog):
    """An event log that a test takes away: ``away`` refuses at once, ``hanging`` lets appends run into their timeout.

    ``delivers`` does what a frozen broker does: the records arrive, the acknowledgement does not.
    """

    name = "kafka"

    def __init__(self, path):
        super().__init__(path)
        self.away = False
        self.hanging = False
        self.delivers = False
        self.refuses = b""  # values that contain it
        self.away_topics = set()
        self.attempts = 0

    async def append(self, records, *, timeout_s):
        self.attempts += 1
        if self.away or any(one.topic in self.away_topics for one in records):
            raise EventLogUnavailable("the broker is away")
        if self.hanging:
            if self.delivers:
                await super().append(records, timeout_s=timeout_s)
            await asyncio.sleep(timeout_s)
            raise EventLogUnavailable(f"not acknowledged within {timeout_s:g} s")
        if self.refuses and any(self.refuses in one.value for one in records):
            raise EventLogRefused("too large for the broker")
        await super().append(records, timeout_s=timeout_s)

    async def health(self):
        if self.away or self.hanging:
            return Health("down", "the broker is away", "start it")
        return await super().health()


class SpoolScene:
    """A log that can fail, a spool before it, and what forwards; ``restarted`` is the same data in a new process."""

    def __init__(self, directory, max_bytes=64 * MIB, topics=TOPICS):
        self.directory = directory
        self.max_bytes = max_bytes
        self.topics = topics
        self.log = LogThatFails(directory / "log.db")
        self.spool = EmbeddedEventLog(directory / "spool" / "spool.db")
        self.front = SpooledEventLog(self.log, self.spool, topics, max_bytes=max_bytes)
        self._forwarding = None

    async def start(self, *, forward=True):
        await self.front.start()
        if forward:
            self.forward()
        return self

    def forward(self):
        forwarding = Forwarding(
            spool=self.front, event_log=self.log, clock=SystemClock(), append_timeout_s=0.3, retry_s=0.02
        )
        self._forwarding = asyncio.create_task(forwarding.run())

    async def stop(self):
        if self._forwarding is not None:
            self._forwarding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._forwarding
        await self.front.stop()

    async def append(self, *given, topic=TOPIC, key="k", timeout_s=0.3):
        await self.front.append([record(topic, key, value) for value in given], timeout_s=timeout_s)

    async def emptied(self, timeout_s=10):
        await eventually(lambda: self.front.state().records == 0, timeout_s, what="the spool to be empty")

    async def arrived(self, topic=TOPIC):
        """Return the values in the log, in order, each at its first coming."""
        records = await self.log.read("looking", {}, [topic], 100_000)
        return list(dict.fromkeys(values(records)))


async def forwarding_scene(tmp_path):
    """A fixture, where a test module names it so."""
    made = await SpoolScene(tmp_path).start()
    yield made
    await made.stop()
