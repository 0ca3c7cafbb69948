"""The ticket desk: writes to GitLab in order, from the store's queue, each once.

A node queues its ticket writes with what it tells (one transaction) and then asks the desk to try them
at once. What GitLab does not take now is caught up later; it never holds up a remediation.
"""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from sreops.backoff import delay_s
from sreops.domain.incidents.incident import Issue
from sreops.errors import IssueGone, Refused, SreopsError, Unavailable
from sreops.ports import Clock, IncidentStore, Issues, TicketOp
from sreops.telemetry import log

_FIRST_RETRY_S, _LONGEST_RETRY_S = 2.0, 60.0
_MENDABLE = frozenset({301, 302, 303, 307, 308, 401, 403, 404})
"""A token that was revoked or lost a right, a project that was moved: a person mends that, the record waits."""
_REQUESTS_PER_OP = 3
ISSUE_DELETED: Final = "ticket.issue_deleted"
DRAIN_POSTPONED: Final = "ticket.drain_postponed"
DRAIN_FAILED: Final = "ticket.drain_failed"
WRITE_REFUSED: Final = "ticket.write_refused"
WRITE_DEFERRED: Final = "ticket.write_deferred"
WRITE_CRASHED: Final = "ticket.write_crashed"
CLAIM_NOT_KEPT: Final = "ticket.claim_not_kept"
CREDENTIALS_REFUSED: Final = "ticket.credentials_refused"
CLAIM_LOST: Final = "ticket.claim_lost"


class _Tried(NamedTuple):
    """What became of one write; ``more``: the incident's next one may be taken now."""

    done: int = 0
    more: bool = False


class TicketDesk:
    """Carries out queued ticket writes; with ``issues`` None the record is kept locally only.

    ``shared_lease_s``: other replicas may be at the same store, so each write is claimed before it is sent, for so
    long, and again while it is being sent; None: this is the only process.
    """

    def __init__(
        self,
        store: IncidentStore,
        issues: Issues | None,
        clock: Clock,
        *,
        oncall_user: str,
        timeout_s: float,
        shared_lease_s: float | None = None,
    ) -> None:
        self._store = store
        self._issues = issues
        self._clock = clock
        self._oncall_user = oncall_user
        self._timeout_s = timeout_s
        self._lease_s = shared_lease_s if issues is not None else None
        self._owner = uuid.uuid4().hex  # of this process's claims: no replica and no earlier run has the same
        # each as long as somebody holds it or waits for it: taken away from a waiter, it would keep nobody out
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def timeout_s(self) -> float:
        """How long one request may take."""
        return self._timeout_s

    @property
    def configured(self) -> bool:
        """Whether there is a GitLab to write to."""
        return self._issues is not None

    async def drain(self, incident_id: str | None = None) -> int:
        """Carry out every write that is due, one incident's in order; return how many were done."""
        if incident_id is not None:
            return await self._drain_one(incident_id)
        done = 0
        while True:
            ops = await self._store.due_tickets(now=self._clock.now())
            progressed = 0
            for op in ops:
                progressed += await self._drain_one(op.incident_id)
            done += progressed
            if not progressed:
                return done

    async def _drain_one(self, incident_id: str) -> int:
        lock = self._locks.setdefault(incident_id, asyncio.Lock())
        async with lock:  # the catch-up loop and a node may both be at this incident
            done, tried = 0, _Tried(more=True)
            while tried.more:
                ops = await self._store.due_tickets(now=self._clock.now(), incident_id=incident_id)
                if not ops:
                    break
                tried = await (self._try(ops[0]) if self._lease_s is None else self._try_claimed(ops[0], self._lease_s))
                done += tried.done
            return done

    async def _try_claimed(self, op: TicketOp, lease_s: float) -> _Tried:
        """Try unless another replica is at it; stop where the claim is lost meanwhile (this process was held up)."""
        if not await self._claim(op, lease_s):
            return _Tried()
        trying = asyncio.create_task(self._try(op))
        keeping = asyncio.create_task(self._keep_claim(op, lease_s))
        try:
            await asyncio.wait({trying, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if trying.done():
                return trying.result()
            log.warning(CLAIM_LOST, incident_id=op.incident_id, kind=op.kind)
            return _Tried()
        finally:
            trying.cancel()
            keeping.cancel()
            await asyncio.gather(trying, keeping, return_exceptions=True)

    async def _claim(self, op: TicketOp, lease_s: float) -> bool:
        return await self._store.claim_ticket(op.op_id, self._owner, now=self._clock.now(), lease_s=lease_s)

    async def _keep_claim(self, op: TicketOp, lease_s: float) -> None:
        """Claim again and again; return when another has it."""
        while True:
            await asyncio.sleep(lease_s / 3)
            try:
                if not await self._claim(op, lease_s):
                    return
            except Unavailable as exc:
                log.warning(CLAIM_NOT_KEPT, incident_id=op.incident_id, error=str(exc))

    async def _try(self, op: TicketOp) -> _Tried:
        now = self._clock.now()
        try:
            async with asyncio.timeout(self._timeout_s * _REQUESTS_PER_OP):
                issue = await self._write(op)
        except IssueGone as exc:
            return await self._again(op, exc, now)
        except Refused as exc:
            if exc.status in _MENDABLE:
                retry_at = now + timedelta(seconds=_LONGEST_RETRY_S)
                log.error(CREDENTIALS_REFUSED, incident_id=op.incident_id, kind=op.kind, error=str(exc))
                await self._store.ticket_failed(op.op_id, error=str(exc), retry_at=retry_at, now=now)
                return _Tried()
            log.warning(WRITE_REFUSED, incident_id=op.incident_id, kind=op.kind, error=str(exc))
            await self._store.ticket_failed(op.op_id, error=str(exc), retry_at=None, now=now)
            return _Tried(done=1, more=True)  # refused for good: the next one may be taken
        except (Unavailable, TimeoutError) as exc:
            retry_at = self._retry_at(op, exc, now)
            log.warning(WRITE_DEFERRED, incident_id=op.incident_id, kind=op.kind, error=str(exc))
            await self._store.ticket_failed(op.op_id, error=str(exc) or "timed out", retry_at=retry_at, now=now)
            return _Tried()
        except Exception as exc:  # noqa: BLE001  # a write that trips our own code must not end the process, again and again
            told = f"{type(exc).__name__}: {exc}"
            log.error(WRITE_CRASHED, incident_id=op.incident_id, kind=op.kind, error=told)
            await self._store.ticket_failed(op.op_id, error=told, retry_at=self._retry_at(op, exc, now), now=now)
            return _Tried()
        return _Tried(done=1, more=await self._store.ticket_done(op.op_id, issue=issue, now=now))

    async def _again(self, op: TicketOp, exc: IssueGone, now: datetime) -> _Tried:
        """Make the issue anew, with all that was written to it; one that is deleted a second time stays away."""
        if await self._store.issue_gone(op.incident_id, now=now):
            log.warning(ISSUE_DELETED, incident_id=op.incident_id, error=str(exc))
            return _Tried(more=True)
        await self._store.ticket_failed(op.op_id, error=str(exc), retry_at=None, now=now)
        return _Tried(done=1, more=True)

    def _retry_at(self, op: TicketOp, exc: Exception, now: datetime) -> datetime:
        asked = exc.retry_after_s if isinstance(exc, Unavailable) else None
        backoff = delay_s(op.attempts + 1, _FIRST_RETRY_S, _LONGEST_RETRY_S)
        return now + timedelta(seconds=max(backoff, min(asked or 0.0, _LONGEST_RETRY_S)))

    async def _write(self, op: TicketOp) -> Issue | None:
        if self._issues is None:
            return None
        body: Mapping[str, Any] = op.body
        if op.kind == "create":
            return await self._issues.create(
                op.incident_id,
                title=body["title"],
                description=body["description"],
                labels=body["labels"],
                severity=body["severity"],
                timeout_s=self._timeout_s,
            )
        issue = op.issue or await self._issues.find(op.incident_id, timeout_s=self._timeout_s)
        if issue is None:
            raise Refused("there is no issue to write to: its creation was refused")
        await self._change(op, issue)
        return None if op.issue else issue

    async def _change(self, op: TicketOp, issue: Issue) -> None:
        assert self._issues is not None
        if op.body.get("note"):
            await self._issues.note(issue, op.op_id, op.body["note"], timeout_s=self._timeout_s)
        if op.kind in ("note", "list"):
            return
        states = {"close": "close", "reopen": "reopen"}
        await self._issues.update(
            issue,
            add_labels=op.body.get("add_labels", ()),
            remove_labels=op.body.get("remove_labels", ()),
            assignee=self._oncall_user if op.kind == "escalate" else None,
            state=states.get(op.kind),  # type: ignore[arg-type]  # a Literal from a closed table
            severity=op.body.get("severity"),
            timeout_s=self._timeout_s,
        )


async def drain_quietly(desk: TicketDesk, incident_id: str) -> None:
    """Try an incident's ticket writes now; what fails stays queued, and never fails the caller.

    Nor holds it up: a GitLab that hangs gets one request's time, and the catch-up does the rest.
    """
    try:
        async with asyncio.timeout(desk.timeout_s):
            await desk.drain(incident_id)
    except TimeoutError:
        log.warning(DRAIN_POSTPONED, incident_id=incident_id, after_s=desk.timeout_s)
    except SreopsError as exc:
        log.warning(DRAIN_FAILED, incident_id=incident_id, error=str(exc))
