"""Each incident's issue is brought up to what the incident is now; what GitLab missed is made up for."""

import asyncio
import uuid
from datetime import timedelta
from typing import Final

from sreops.domain.records.summary import page_line, summary
from sreops.domain.records.timeline import timeline
from sreops.errors import IssueGone, NotFound, Refused, SreopsError, Unavailable
from sreops.ports import Clock, IncidentStore, IssuePicture, Issues
from sreops.telemetry import log

ISSUE_DELETED: Final = "issue.deleted"
SHOW_REFUSED: Final = "issue.show_refused"
SHOW_DEFERRED: Final = "issue.show_deferred"

EVERY_S: Final = 1.0
SETTLES_S: Final = 2.0
"""An incident that has just changed is shown after so long: most of what happens comes in bursts."""
STALE_EVERY_S: Final = 60.0
LONGEST_PAUSE_S: Final = 60.0
MENDABLE: Final = frozenset({301, 302, 303, 307, 308, 401, 403, 404})
"""Answers that a person mends (a moved project, a revoked token): everything waits, nothing is dropped."""
TURN, TURN_S = "showing", 60.0
_TRIES_WITHOUT_ISSUE = 30
_EVENTS, _RECORDS, _EARLIER = 100, 500, 3


class IssueRefresh:
    """Finds incidents that changed by their records, and shows them; one replica at a time, where there are several."""

    def __init__(
        self,
        *,
        store: IncidentStore,
        issues: Issues,
        clock: Clock,
        timeout_s: float,
        public_url: str | None,
        shared: bool,
    ) -> None:
        self._store = store
        self._issues = issues
        self._clock = clock
        self._timeout_s = timeout_s
        self._public_url = public_url
        self._shared = shared
        self._owner = uuid.uuid4().hex
        self._cursor: int | None = None
        self._due: dict[str, float] = {}  # by the loop's clock
        self._tries: dict[str, int] = {}
        self._stale_at = 0.0
        self._failures = 0

    async def run(self) -> None:
        """Show until cancelled."""
        while True:
            pause_s = EVERY_S
            try:
                if await self._my_turn():
                    await self._look()
                    await self._show_due()
                    self._failures = 0
            except SreopsError as exc:
                self._failures += 1
                pause_s = min(LONGEST_PAUSE_S, 2.0**self._failures)
                log.warning(SHOW_DEFERRED, error=str(exc), pause_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _my_turn(self) -> bool:
        if not self._shared:
            return True
        return await self._store.take_turn(TURN, self._owner, now=self._clock.now(), lease_s=TURN_S)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._cursor is None:
            newest = await self._store.records(limit=1, newest=True)
            self._cursor = newest[-1].seq if newest else 0
        if now >= self._stale_at:
            self._stale_at = now + STALE_EVERY_S
            for incident_id in await self._store.stale_issues(limit=500):
                self._due.setdefault(incident_id, now)
        while True:
            records = await self._store.records(after=self._cursor, limit=_RECORDS)
            for record in records:
                self._due.setdefault(record.incident_id, now + SETTLES_S)
            if records:
                self._cursor = records[-1].seq
            if len(records) < _RECORDS:
                return

    async def _show_due(self) -> None:
        now = asyncio.get_running_loop().time()
        for incident_id in [incident_id for incident_id, due in self._due.items() if due <= now]:
            if await self._show(incident_id):
                self._due.pop(incident_id, None)
                self._tries.pop(incident_id, None)

    async def _show(self, incident_id: str) -> bool:
        """Show one; return whether that is settled. Raises what makes all of them wait."""
        store, now = self._store, self._clock.now()
        try:
            incident = await store.incident(incident_id)
        except NotFound:  # the kill switch's own records, or forgotten meanwhile
            return True
        if incident.issue is None or incident.issue.iid <= 0:
            return self._wait_for_issue(incident_id, local=incident.issue is not None)
        records = await store.records(incident_id=incident_id, limit=_RECORDS, newest=True)
        events = await store.events(incident_id, newest=_EVENTS)
        evidence = await store.evidence(incident_id)
        earlier = await store.history(incident.service, before=incident.opened_at, limit=_EARLIER)
        happened = timeline(events, records)
        link = f"{self._public_url.rstrip('/')}/incidents/{incident_id}" if self._public_url else None
        picture = IssuePicture(
            summary=summary(incident, events, evidence, happened, link=link, now=now),
            timeline=happened,
            related=[other.issue.iid for other in earlier if other.issue is not None and other.issue.iid > 0],
            acknowledged=incident.acknowledged_by is not None and incident.status.value == "escalated",
            page_line=page_line(link) if link else "",
        )
        try:
            await self._issues.show(incident.issue, picture, timeout_s=self._timeout_s * 3)
        except IssueGone as exc:
            again = await store.issue_gone(incident_id, now=now)
            log.warning(ISSUE_DELETED, incident_id=incident_id, error=str(exc), made_again=again)
            return not again
        except Refused as exc:
            if exc.status in MENDABLE:
                raise Unavailable(str(exc)) from exc
            log.warning(SHOW_REFUSED, incident_id=incident_id, error=str(exc))
        await store.issue_shown(incident_id, records[-1].seq if records else 0)
        return True

    def _wait_for_issue(self, incident_id: str, *, local: bool) -> bool:
        tries = self._tries[incident_id] = self._tries.get(incident_id, 0) + 1
        if local or tries > _TRIES_WITHOUT_ISSUE:
            return True
        self._due[incident_id] = asyncio.get_running_loop().time() + timedelta(seconds=SETTLES_S).total_seconds()
        return False
