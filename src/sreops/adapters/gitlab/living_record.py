"""The issue as it stands: the summary between marks, GitLab's own timeline, links to earlier incidents.

Everything here looks first and writes what is missing, so that it can be done again after any lost answer: after an
hour's outage it is complete, in order, and once. What GitLab lacks (a tier, a role, an older release) is found, said
once in the log, and stands in the summary instead.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sreops.adapters.gitlab.api import GitLabApi, graphql_problems
from sreops.adapters.gitlab.marks import with_summary
from sreops.adapters.gitlab.neutralise import neutralise, neutralise_title
from sreops.domain.records.timeline import TimelineEntry
from sreops.errors import IssuesRefused, IssuesUnavailable
from sreops.ports import IssuePicture
from sreops.telemetry import log

FEATURE_MISSING: Final = "gitlab.feature_missing"
TIMELINE_CHARS = 280
DESCRIPTION_CHARS = 1_000_000
_PAGES = 10
_AGAIN = "requested too many times"
_LIST = """query($path: ID!, $id: IssueID!, $after: String) { project(fullPath: $path) {
  incidentManagementTimelineEvents(incidentId: $id, first: 100, after: $after) {
    nodes { note occurredAt } pageInfo { hasNextPage endCursor } } } }"""
_STATUS = "query($path: ID!, $iid: String!) { project(fullPath: $path) { issue(iid: $iid) { escalationStatus } } }"
_SET_STATUS = "mutation($in: IssueSetEscalationStatusInput!) { issueSetEscalationStatus(input: $in) { errors } }"
_ADD = """mutation($in: TimelineEventCreateInput!) {
  timelineEventCreate(input: $in) { timelineEvent { id } errors } }"""


class LivingRecord:
    """Brings issues up to their pictures."""

    def __init__(self, api: GitLabApi) -> None:
        self._api = api
        self._missing: set[str] = set()

    @property
    def missing(self) -> Sequence[str]:
        """What GitLab turned out not to do for us, so far."""
        return sorted(self._missing)

    async def show(
        self, at: str, shown: dict[str, Any], picture: IssuePicture, path: str | None, deadline: float
    ) -> None:
        """Bring the issue ``shown``, which lives ``at``, up to the picture."""
        await self._describe(at, shown, picture, deadline)
        if path is not None and picture.timeline and "timeline events" not in self._missing:
            await self._time(shown, picture.timeline, path, deadline)
        if picture.acknowledged and path is not None:
            await self._acknowledge(shown, path, deadline)
        if picture.related and "links to issues" not in self._missing:
            await self._relate(at, shown, picture.related, deadline)

    async def _describe(self, at: str, shown: dict[str, Any], picture: IssuePicture, deadline: float) -> None:
        there = str(shown.get("description") or "")
        wanted = with_summary(there, neutralise(picture.summary, own_line=picture.page_line))
        if wanted != there and len(wanted) <= DESCRIPTION_CHARS:
            await self._api.put(at, deadline, {"description": wanted})

    async def _time(self, shown: dict[str, Any], entries: Sequence[TimelineEntry], path: str, deadline: float) -> None:
        gid = f"gid://gitlab/Issue/{shown.get('id')}"
        there = await self._timeline(gid, path, deadline)
        for entry in entries:
            if there is None:
                return
            note = neutralise_title(entry.text, TIMELINE_CHARS) or "(nothing)"
            if (note, _second(entry.at)) in there:
                continue
            wanted: dict[str, Any] = {"incidentId": gid, "note": note, "occurredAt": entry.at.isoformat()}
            if entry.tag:
                wanted["timelineEventTagNames"] = [entry.tag]
            if await self._graphql(_ADD, {"in": wanted}, deadline) is None:
                return

    async def _timeline(self, gid: str, path: str, deadline: float) -> set[tuple[str, datetime]] | None:
        found: set[tuple[str, datetime]] = set()
        after: str | None = None
        for _ in range(_PAGES):
            data = await self._graphql(_LIST, {"path": path, "id": gid, "after": after}, deadline)
            if data is None:
                return None
            page = (data.get("project") or {}).get("incidentManagementTimelineEvents") or {}
            for node in page.get("nodes") or ():
                found.add((str(node.get("note")), _second(datetime.fromisoformat(str(node.get("occurredAt"))))))
            following = page.get("pageInfo") or {}
            if not following.get("hasNextPage"):
                break
            after = following.get("endCursor")
        return found

    async def _graphql(
        self, query: str, variables: dict[str, Any], deadline: float, *, what: str = "timeline events"
    ) -> dict[str, Any] | None:
        """Return the data; None where this GitLab, or our role, does not have it. Raises IssuesUnavailable."""
        try:
            reply = await self._api.post("/api/graphql", deadline, {"query": query, "variables": variables})
        except IssuesRefused as exc:
            if exc.status == 404:
                self._lacks(what, str(exc))
                return None
            raise
        problems = graphql_problems(reply)
        if any(_AGAIN in problem for problem in problems):
            raise IssuesUnavailable(f"gitlab: {problems[0]}")
        if problems:
            self._lacks(what, "; ".join(problems))
            return None
        data = reply.get("data")
        return data if isinstance(data, dict) else None

    async def _acknowledge(self, shown: dict[str, Any], path: str, deadline: float) -> None:
        """Say that somebody knows of it, unless people have set another status there."""
        if "escalation status" in self._missing:
            return
        of_issue = {"path": path, "iid": str(shown.get("iid"))}
        data = await self._graphql(_STATUS, of_issue, deadline, what="escalation status")
        status = (((data or {}).get("project") or {}).get("issue") or {}).get("escalationStatus")
        if status == "TRIGGERED":
            wanted = {"projectPath": path, "iid": str(shown.get("iid")), "status": "ACKNOWLEDGED"}
            await self._graphql(_SET_STATUS, {"in": wanted}, deadline, what="escalation status")

    async def _relate(self, at: str, shown: dict[str, Any], related: Sequence[int], deadline: float) -> None:
        linked, _ = await self._api.page(f"{at}/links", deadline, [("per_page", "100")])
        there = {issue.get("iid") for issue in linked}
        for iid in related:
            if iid in there or iid == shown.get("iid"):
                continue
            wanted = {"target_project_id": shown.get("project_id"), "target_issue_iid": iid, "link_type": "relates_to"}
            try:
                await self._api.post(f"{at}/links", deadline, wanted)
            except IssuesRefused as exc:
                if exc.status == 409:  # linked meanwhile
                    continue
                if exc.status == 404:  # that issue was deleted
                    continue
                self._lacks("links to issues", str(exc))
                return

    def _lacks(self, what: str, why: str) -> None:
        if what not in self._missing:
            self._missing.add(what)
            log.warning(FEATURE_MISSING, what=what, error=why, instead="it stands in the summary of the description")


def _second(moment: datetime) -> datetime:
    """Return the moment to the second: GitLab keeps no more of a timeline event for sure."""
    return moment.replace(microsecond=0)
