"""What people do on issues is heard: decisions in comments, closing, taking."""

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Final

from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.incidents.incident import Incident, IncidentStatus
from sreops.domain.incidents.needs import Need, need_of
from sreops.domain.remediation.comment_approval import WhyNot, decision_in, why_not
from sreops.errors import DecisionConflict, NotFound, Refused, SreopsError
from sreops.ports import Approval, ChangedIssue, Clock, IncidentStore, IssueComment, Issues, Role
from sreops.telemetry import log

FIRST_LOOK: Final = timedelta(days=1)
"""At the start what happened there while we were away is heard too."""
OVERLAP: Final = timedelta(minutes=2)
"""Clocks differ, and a search may lag behind: what was looked at is looked at again, and changes nothing twice."""
TURN, TURN_S = "hearing", 60.0
LONGEST_PAUSE_S: Final = 20.0
CLOSING_WAITS: Final = "issue.closing_waits"
HEARING_FAILED: Final = "issue.hearing_failed"
COMMENTS_REFUSED: Final = "issue.comments_refused"
HEARD: Final = "issue.person_heard"
IGNORED: Final = "issue.comment_is_no_decision"
_MOST = 500


class IssueDecisions:
    """Looks every ``every_s``; ``approvers`` is the role that may decide by comment, None: nobody may."""

    def __init__(
        self,
        *,
        store: IncidentStore,
        issues: Issues,
        clock: Clock,
        wake: asyncio.Event,
        approvers: Role | None,
        oncall_user: str,
        every_s: float,
        timeout_s: float,
        shared: bool,
    ) -> None:
        self._store = store
        self._issues = issues
        self._clock = clock
        self._wake = wake
        self._approvers = approvers
        self._oncall_user = oncall_user
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._shared = shared
        self._owner = uuid.uuid4().hex
        self._since: datetime | None = None
        self._told: set[int] = set()  # comments that were said to be no decision

    async def run(self) -> None:
        """Hear until cancelled; GitLab or a store that is away is waited for."""
        failures = 0
        while True:
            try:
                await self.hear()
                failures = 0
            except SreopsError as exc:
                failures += 1
                log.warning(HEARING_FAILED, error=str(exc))
            await asyncio.sleep(max(self._every_s, min(LONGEST_PAUSE_S, self._every_s * 2**failures)))

    async def hear(self) -> None:
        """Look once."""
        now = self._clock.now()
        if self._shared and not await self._store.take_turn(TURN, self._owner, now=now, lease_s=TURN_S):
            return
        if self._approvers is not None:
            await self._hear_decisions(self._approvers)
        since = self._since or now - FIRST_LOOK
        for changed in await self._issues.changed_since(since - OVERLAP, timeout_s=self._timeout_s):
            await self._hear_change(changed)
        self._since = now

    async def _hear_decisions(self, role: Role) -> None:
        waiting, _ = await self._store.incidents(status=IncidentStatus.awaiting_approval.value, limit=_MOST)
        for incident in waiting:
            approval = await self._store.approval(incident.id, incident.episode)
            if approval is None or approval.decision is not None or incident.issue is None or incident.issue.iid <= 0:
                continue
            try:
                comments = await self._issues.comments(
                    incident.issue, since=approval.requested_at - OVERLAP, timeout_s=self._timeout_s
                )
            except Refused as exc:  # of this issue: the others are heard all the same
                log.warning(COMMENTS_REFUSED, incident_id=incident.id, error=str(exc))
                continue
            for comment in comments:
                if await self._decide(incident, approval, comment, role):
                    break

    async def _decide(self, incident: Incident, approval: Approval, comment: IssueComment, role: Role) -> bool:
        wish = decision_in(comment.body, approval.plan_hash)
        if wish is None:
            return False
        no = why_not(created_at=comment.created_at, edited=comment.edited, requested_at=approval.requested_at)
        if no is None and not await self._issues.has_role(comment.author_id, role, timeout_s=self._timeout_s):
            no = WhyNot.no_role
        if no is not None:
            if comment.comment_id not in self._told:
                self._told.add(comment.comment_id)
                log.warning(IGNORED, incident_id=incident.id, by=comment.author, why=no.value)
            return False
        issue = incident.issue
        try:
            await self._store.decide(
                incident.id,
                approve=wish,
                by=f"{comment.author} (GitLab)",
                reason=f"comment {comment.comment_id} on issue #{issue.iid if issue else 0}",
                plan_hash=approval.plan_hash,
                now=self._clock.now(),
            )
        except DecisionConflict as exc:  # somebody else was faster, or it has just expired
            log.info(IGNORED, incident_id=incident.id, by=comment.author, why=str(exc))
            return True
        self._wake.set()
        log.info(HEARD, incident_id=incident.id, by=comment.author, what="approved" if wish else "rejected")
        return True

    async def _hear_change(self, changed: ChangedIssue) -> None:
        try:
            incident = await self._store.incident(changed.incident_id)
        except NotFound:  # another sreops' issue, or one that was forgotten here
            return
        if incident.issue is None or incident.issue.iid != changed.issue.iid:
            return
        if changed.closed_by is not None and not changed.is_open:
            await self._hear_closing(incident, changed, changed.closed_by)
        elif takers := [name for name in changed.assignees if name.lower() != self._oncall_user.lower()]:
            await self._hear_taking(incident, takers[0])

    async def _hear_closing(self, incident: Incident, changed: ChangedIssue, by: str) -> None:
        if incident.status is IncidentStatus.resolved:
            return
        if changed.closed_at is None or changed.closed_at <= incident.episode_at:
            return  # closed before it began anew: it will be opened again
        told = {"by": f"{by} (GitLab)", "reason": f"closed issue #{changed.issue.iid}"}
        try:
            await self._store.close_incident(incident.id, was=ClosedAs.other, cause="", now=self._clock.now(), **told)
        except DecisionConflict as exc:  # an effect is under way: heard at the next look
            log.info(CLOSING_WAITS, incident_id=incident.id, why=str(exc))
            return
        self._wake.set()
        log.info(HEARD, incident_id=incident.id, by=by, what="closed")

    async def _hear_taking(self, incident: Incident, by: str) -> None:
        if need_of(incident, self._clock.now()) is not Need.attention:
            return
        await self._store.acknowledge(
            incident.id, by=f"{by} (GitLab)", reason="is assigned to the issue", now=self._clock.now()
        )
        log.info(HEARD, incident_id=incident.id, by=by, what="took it")
