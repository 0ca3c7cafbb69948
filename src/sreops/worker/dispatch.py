"""Dispatch: leases incidents that are due and advances their graphs, several at once, one per service."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog
from langgraph.runtime import RunControl

from sreops.agent.context import Tools
from sreops.agent.end import end_incident
from sreops.agent.runner import Drained, Ended, Runner, Step, Waits
from sreops.agent.visit import escalated
from sreops.backoff import Backoff, delay_s
from sreops.domain.incidents.correlation import Disposition
from sreops.domain.incidents.incident import Incident, Reason
from sreops.domain.records.record import Action
from sreops.errors import LeaseLost, SreopsError
from sreops.ports import Lease
from sreops.telemetry import log
from sreops.worker import dead_letter
from sreops.worker.lost_runs import LostRuns

_LONGEST_RETRY_S = 60.0
_LONGEST_STORE_RETRY_S = 5.0
_BEGINNINGS = frozenset(disposition.value for disposition in Disposition if disposition.starts_graph)
_APART_S = 0.06  # between two beginnings: some thirty incidents are spread over the seconds that a model takes
_LET_GO_S = 2.0  # for giving a lease back at the very end

FAILURE_UNRECORDED: Final = "dispatch.failure_unrecorded"
LEASE_LOST: Final = "dispatch.lease_lost"
RENEWAL_FAILED: Final = "dispatch.renewal_failed"
CLAIM_FAILED: Final = "dispatch.claim_failed"
GRAPH_HUNG: Final = "dispatch.graph_hung"
GRAPH_KILLS: Final = "dispatch.graph_kills_process"
GRAPH_FAILED: Final = "dispatch.graph_failed"
LEASE_GONE: Final = "dispatch.lease_gone"
LEASE_LET_GO: Final = "dispatch.lease_let_go"
LEASE_TAKEN_OVER: Final = "dispatch.lease_taken_over"
ACCOUNT_FAILED: Final = "dispatch.account_failed"


class _Hung(Exception):
    """A run of a graph did not come to a wait or an end in time."""


class Dispatcher:
    """Claims and advances until told to drain; ``wake`` is set by whoever makes an incident due."""

    def __init__(self, runner: Runner, tools: Tools, *, owner: str, wake: asyncio.Event) -> None:
        self._runner = runner
        self._tools = tools
        self._owner = owner
        self._wake = wake
        self._settings = tools.settings.worker
        self._running: dict[asyncio.Task[None], tuple[Lease, RunControl]] = {}
        self._limits: dict[str, asyncio.Timeout] = {}  # by incident, while its graph runs
        self._draining = False
        self._asks_model = any(analyst.name != "rules" for analyst in tools.analysts)
        self._lost_runs = LostRuns(runner, tools.store, self._settings.max_attempts)
        self._beginning = asyncio.Lock()
        self._began_at = 0.0  # by the loop's clock, the last one

    async def run(self) -> None:
        """Work until cancelled or drained; a store that is away is waited for."""
        async with asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(self._renew_leases())
            backoff = Backoff(self._settings.idle_poll_s, _LONGEST_STORE_RETRY_S)
            try:
                while not self._draining:
                    try:
                        await self._claim(tasks)
                    except SreopsError as exc:
                        log.warning(CLAIM_FAILED, error=str(exc))
                        await backoff.wait()
                        continue
                    backoff.reset()
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

    def interrupt(self, incident_ids: Iterable[str]) -> None:
        """Stop these at once where they run: the watchdog found that they are open for too long."""
        now = asyncio.get_running_loop().time()
        for incident_id in incident_ids:
            limit = self._limits.get(incident_id)
            if limit is not None and not limit.expired():
                limit.reschedule(now)

    @property
    def running(self) -> int:
        """How many incidents are being advanced now."""
        return len(self._running)

    async def idle(self) -> None:
        """Return when nothing is being advanced any more."""
        while self._running:
            await asyncio.wait(self._running)

    async def _claim(self, tasks: asyncio.TaskGroup) -> None:
        free = self._tools.settings.concurrency - len(self._running) + self._lost_runs.waiting
        if free <= 0:
            return
        leases = await self._tools.store.claim(
            self._owner,
            now=self._tools.clock.now(),
            lease_s=self._settings.lease_s,
            limit=free,
            ageing_s=self._settings.ageing_s,
        )
        for lease in leases:
            control = RunControl()
            if self._draining:  # since it was claimed
                control.request_drain("shutdown")
            # a run of ours whose lease lapsed (this process was stopped, the store was away) must not write
            # checkpoints beside the one that takes over: no fencing token guards those
            lapsed = [task for task, (held, _) in self._running.items() if held.incident_id == lease.incident_id]
            work = self._take_over(lapsed, lease, control) if lapsed else self._work(lease, control)
            task = tasks.create_task(work, name=f"incident {lease.incident_id}")
            self._running[task] = (lease, control)
            task.add_done_callback(self._forget)

    async def _take_over(self, lapsed: Sequence[asyncio.Task[None]], lease: Lease, control: RunControl) -> None:
        for task in lapsed:
            task.cancel()
        log.warning(LEASE_TAKEN_OVER, incident_id=lease.incident_id)
        await asyncio.wait(lapsed)
        await self._work(lease, control, was_ours=True)

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

    async def _work(self, lease: Lease, control: RunControl, *, was_ours: bool = False) -> None:
        with structlog.contextvars.bound_contextvars(incident_id=lease.incident_id, service=lease.service):
            try:
                if lease.woken_by == "start" and self._asks_model:
                    await self._turn()
                if lease.woken_by == "takeover" and not was_ours:
                    await self._advance_lost(lease, control)
                else:
                    await self._advance(lease, control)
            except LeaseLost as exc:
                log.warning(LEASE_LOST, error=str(exc))
            except asyncio.CancelledError:
                await self._let_go(lease)
                raise
            except Exception as exc:  # noqa: BLE001  # a bug in a node must end in a person's hands, not kill the worker
                await self._failed(lease, exc)

    async def _turn(self) -> None:
        """Wait until the run that was begun before this one is some way ahead.

        Runs that are begun together ask the model together and are back together: nothing would hide behind their
        waiting. Of eight that are due at once the last one begins half a second later.
        """
        loop = asyncio.get_running_loop()
        async with self._beginning:
            await asyncio.sleep(self._began_at + _APART_S - loop.time())
            self._began_at = loop.time()

    async def _let_go(self, lease: Lease) -> None:
        """Give the lease back, so that the next process goes on at once; an effect under way is settled there."""
        with contextlib.suppress(SreopsError, TimeoutError):
            async with asyncio.timeout(_LET_GO_S):
                await self._tools.store.release(lease)
                log.info(LEASE_LET_GO)

    async def _advance_lost(self, lease: Lease, control: RunControl) -> None:
        """Go on with what another process left, unless it has died over this too often."""
        async with self._lost_runs.begun_again(lease) as may_run:
            if may_run:
                await self._advance(lease, control)
                return
            times = self._settings.max_attempts
            log.error(GRAPH_KILLS, times=times)
            why = (
                f"the process died {times} times in a row while this incident stood {await self._where(lease)}, so it "
                "is not begun once more: what it does there may be what kills it (memory, most often)"
            )
            await self._give_up(lease, Reason.internal_error, why)

    async def _advance(self, lease: Lease, control: RunControl) -> None:
        store = self._tools.store
        if await self._is_overdue(lease):
            await self._give_up(lease, Reason.timed_out, f"{self._too_long()}; it stood {await self._where(lease)}")
            return
        step = await self._run(lease, control)
        if isinstance(step, Waits):
            await store.park(lease, wake_at=step.until, timer=step.timer)
        elif isinstance(step, Ended):
            # finishes the work where the incident has ended; where it has not, no one would look at it any more
            await self._give_up(lease, Reason.internal_error, "its graph came to an end, and it did not")
        elif isinstance(step, Drained):
            await store.release(lease)
        elif await self._is_overdue(lease):
            await self._give_up(lease, Reason.timed_out, f"{self._too_long()}; it hung {await self._where(lease)}")
        else:
            where = await self._where(lease)
            raise _Hung(f"one run took more than {self._settings.max_run_s:g} s: it hung {where}")

    async def _run(self, lease: Lease, control: RunControl) -> Step | None:
        """Run until it waits or ends; None where it was interrupted because it took too long."""
        limit = asyncio.timeout(self._settings.max_run_s)
        self._limits[lease.incident_id] = limit
        try:
            async with limit:
                return await self._runner.advance(lease, control)
        except TimeoutError:
            if not limit.expired():
                raise
            log.error(GRAPH_HUNG, max_run_s=self._settings.max_run_s)
            return None
        finally:
            self._limits.pop(lease.incident_id, None)

    async def _is_overdue(self, lease: Lease) -> bool:
        now, max_incident_s = self._tools.clock.now(), self._settings.max_incident_s
        if lease.opened_at is not None and (now - lease.opened_at).total_seconds() <= max_incident_s:
            return False  # time waiting for a person is subtracted, so it can't be overdue: no need to ask the store
        return lease.incident_id in await self._tools.store.overdue(now=now, max_incident_s=max_incident_s)

    def _too_long(self) -> str:
        return f"open for more than {self._settings.max_incident_s:g} s, time awaiting approval not counted"

    async def _where(self, lease: Lease) -> str:
        try:
            return await self._runner.where(lease)
        except Exception as exc:  # noqa: BLE001  # a checkpoint that can't be read must not keep an incident from its end
            return f"in an unknown place ({type(exc).__name__}: {exc})"

    async def _failed(self, lease: Lease, exc: Exception) -> None:
        hung = isinstance(exc, _Hung)
        error = str(exc) if hung else f"{type(exc).__name__}: {exc}"
        frame = "" if hung else dead_letter.last_frame(exc)
        log.error(GRAPH_FAILED, error=error, at=frame, exc_info=None if hung else exc)
        try:
            if lease.attempts + 1 >= self._settings.max_attempts and not getattr(exc, "retryable", False):
                why = f"{error}, {f'in {frame}, ' if frame else ''}{lease.attempts + 1} times"
                reason = Reason.timed_out if hung else Reason.internal_error
                letter = dead_letter.action_data("", error=error, frame=frame)
                await self._give_up(lease, reason, why, letter)
                return
            wait_s = delay_s(lease.attempts + 1, self._settings.retry_s, _LONGEST_RETRY_S)
            wake_at = self._tools.clock.now() + timedelta(seconds=wait_s)
            await self._tools.store.retry(lease, wake_at=wake_at, error=error)
        except SreopsError as again:  # the store itself is away: the lease lapses and the incident is taken over
            log.error(FAILURE_UNRECORDED, error=str(again))

    async def _give_up(self, lease: Lease, reason: Reason, why: str, letter: dict[str, Any] | None = None) -> None:
        """Escalate; ``letter`` sends the event that began the episode to the dead letter, in the same transaction."""
        incident = await self._tools.store.incident(lease.incident_id)
        if incident.episode != lease.episode:
            return  # it was not closed, since somebody had joined: its new episode is nobody's yet
        if not incident.status.ended:
            outcome = escalated(reason, self._stood(incident, why))
            try:
                buried = await self._buried(incident, letter) if letter else ()
                await end_incident(self._tools, lease, incident, outcome, also=buried)
            except SreopsError:
                raise
            except Exception as exc:  # noqa: BLE001  # what fails may be the account itself: an end is owed all the same
                log.error(ACCOUNT_FAILED, error=f"{type(exc).__name__}: {exc}", exc_info=exc)
                incident = await self._tools.store.incident(lease.incident_id)
                await end_incident(self._tools, lease, incident, outcome, plainly=True)
        await self._tools.store.finish(lease)

    @staticmethod
    def _stood(incident: Incident, why: str) -> str:
        stood = f"{why}; the incident was {incident.status.value}"
        unsettled = [effect for effect in incident.effects if effect.outcome is None]
        if unsettled:
            stood += f"; the outcome of {unsettled[0].action} on {unsettled[0].target} is not known"
        return stood

    async def _buried(self, incident: Incident, letter: dict[str, Any]) -> list[Action]:
        pairs = await self._tools.store.events(incident.id)
        began = [event for event, disposition in pairs if disposition in _BEGINNINGS]
        data = letter | {"event_id": began[-1].event_id} if began else letter
        return [
            Action(
                action=dead_letter.ACTION,
                phase="outcome",
                target=incident.service,
                detail=f"the event lies in the dead letter: {letter['error']}",
                data=data,
            )
        ]

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            leases = [lease for lease, _ in self._running.values()]
            if not leases:
                continue
            try:
                ours = await self._tools.store.renew(
                    leases, now=self._tools.clock.now(), lease_s=self._settings.lease_s
                )
            except SreopsError as exc:
                log.warning(RENEWAL_FAILED, error=str(exc))
                continue
            self._stop_what_is_lost(frozenset(leases) - frozenset(ours))

    def _stop_what_is_lost(self, lost: frozenset[Lease]) -> None:
        """Stop at the next node boundary what another worker has taken over; what it writes until then is refused."""
        for lease, control in self._running.values():
            if lease in lost:
                log.warning(LEASE_GONE, incident_id=lease.incident_id)
                control.request_drain("lease lost")
