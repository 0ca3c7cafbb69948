"""Dispatch: leases incidents that are due and advances their graphs, several at once, one per service."""

import asyncio
import traceback
from datetime import timedelta

import structlog
from langgraph.runtime import RunControl

from sreops.agent.context import Tools
from sreops.agent.ending import end_incident
from sreops.agent.runner import Drained, Ended, Runner, Waits
from sreops.agent.visit import escalated
from sreops.domain.incident import Reason
from sreops.errors import LeaseLost, SreopsError
from sreops.ports import Lease
from sreops.telemetry import log

_LONGEST_RETRY_S = 60.0


class Dispatch:
    """Claims and advances until told to drain; ``wake`` is set by whoever makes an incident due."""

    def __init__(self, runner: Runner, tools: Tools, *, owner: str, wake: asyncio.Event) -> None:
        self._runner = runner
        self._tools = tools
        self._owner = owner
        self._wake = wake
        self._settings = tools.settings.worker
        self._running: dict[asyncio.Task[None], tuple[Lease, RunControl]] = {}
        self._draining = False

    async def run(self) -> None:
        """Work until cancelled or drained; a store that is away is waited for."""
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._renew_leases())
            try:
                while not self._draining:
                    try:
                        await self._claim(tasks)
                    except SreopsError as exc:
                        log.warning("dispatch.claim_failed", error=str(exc))
                    await self._rest()
                await self.idle()
            finally:
                renewing.cancel()

    def drain(self) -> None:
        """Claim nothing more, and ask running graphs to stop at their next node boundary."""
        self._draining = True
        for _, control in self._running.values():
            control.request_drain("shutdown")
        self._wake.set()

    @property
    def running(self) -> int:
        """How many incidents are being advanced now."""
        return len(self._running)

    async def idle(self) -> None:
        """Return when nothing is being advanced any more."""
        while self._running:
            await asyncio.wait(self._running)

    async def _claim(self, tasks: asyncio.TaskGroup) -> None:
        free = self._tools.settings.concurrency - len(self._running)
        if free <= 0:
            return
        leases = await self._tools.store.claim(
            self._owner, now=self._tools.clock.now(), lease_s=self._settings.lease_s, limit=free
        )
        for lease in leases:
            control = RunControl()
            task = tasks.create_task(self._work(lease, control), name=f"incident {lease.incident_id}")
            self._running[task] = (lease, control)
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wake.set()

    async def _rest(self) -> None:
        """Sleep until woken or the next timer is due (other replicas' wakes are seen by polling)."""
        try:
            async with asyncio.timeout(self._settings.idle_poll_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _work(self, lease: Lease, control: RunControl) -> None:
        with structlog.contextvars.bound_contextvars(incident_id=lease.incident_id, service=lease.service):
            try:
                await self._advance(lease, control)
            except LeaseLost as exc:
                log.warning("dispatch.lease_lost", error=str(exc))
            except Exception as exc:  # noqa: BLE001  # a bug in a node must end in a person's hands, not kill the worker
                await self._failed(lease, exc)

    async def _advance(self, lease: Lease, control: RunControl) -> None:
        store, now = self._tools.store, self._tools.clock.now()
        overdue = await store.overdue(now=now, max_incident_s=self._settings.max_incident_s)
        if lease.incident_id in overdue:
            await self._give_up(lease, Reason.timed_out, f"open for more than {self._settings.max_incident_s:g} s")
            return
        async with asyncio.timeout(self._settings.max_incident_s):
            step = await self._runner.advance(lease, control)
        if isinstance(step, Waits):
            await store.park(lease, wake_at=step.until, timer=step.timer)
        elif isinstance(step, Ended):
            await store.finish(lease)
        elif isinstance(step, Drained):
            await store.release(lease)

    async def _failed(self, lease: Lease, exc: Exception) -> None:
        error = f"{type(exc).__name__}: {exc}"
        frame = traceback.extract_tb(exc.__traceback__)[-1]
        log.error("dispatch.graph_failed", error=error, at=f"{frame.filename}:{frame.lineno}", exc_info=exc)
        try:
            if lease.attempts + 1 >= self._settings.max_attempts and not getattr(exc, "retryable", False):
                where = f"{frame.name} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})"
                await self._give_up(lease, Reason.internal_error, f"{error}, in {where}, {lease.attempts + 1} times")
                return
            delay = min(_LONGEST_RETRY_S, self._settings.retry_s * 2**lease.attempts)
            wake_at = self._tools.clock.now() + timedelta(seconds=delay)
            await self._tools.store.retry(lease, wake_at=wake_at, error=error)
        except SreopsError as again:  # the store itself is away: the lease lapses and the incident is taken over
            log.error("dispatch.failure_unrecorded", error=str(again))

    async def _give_up(self, lease: Lease, reason: Reason, why: str) -> None:
        incident = await self._tools.store.incident(lease.incident_id)
        if not incident.status.ended:
            stood = f"{why}; it stood at {incident.status.value}"
            unsettled = [effect for effect in incident.effects if effect.outcome is None]
            if unsettled:
                stood += f"; the outcome of {unsettled[0].action} on {unsettled[0].target} is not known"
            await end_incident(self._tools, lease, incident, escalated(reason, stood))
        await self._tools.store.finish(lease)

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            leases = [lease for lease, _ in self._running.values()]
            if not leases:
                continue
            try:
                await self._tools.store.renew(leases, now=self._tools.clock.now(), lease_s=self._settings.lease_s)
            except SreopsError as exc:
                log.warning("dispatch.renewal_failed", error=str(exc))
