"""create_gitlab_issue: one issue per incident, found before created; GitLab being away holds nothing up."""

from collections.abc import Sequence

from sreops.agent.resolve import ended_meanwhile
from sreops.agent.state import State
from sreops.agent.tickets import drain_quietly
from sreops.agent.visit import Visit
from sreops.domain.incidents.incident import storm_of
from sreops.domain.records import handover
from sreops.ports import TicketOp

_PUT_BACK = "A person has put its alert back from the dead letter"


def opening_ops(visit: Visit) -> Sequence[TicketOp]:
    """Return the ticket writes that begin this episode: create, once, and reopen where it is not the first."""
    return [_creation(visit)] if visit.incident.episode == 1 else [_creation(visit), _reopening(visit)]


def _reopening(visit: Visit) -> TicketOp:
    incident, event = visit.incident, visit.event
    if incident.joins is not None and incident.joins.began_by is not None:
        return TicketOp(
            op_id=f"{incident.id}:{incident.episode}:reopen",
            incident_id=incident.id,
            kind="reopen",
            body={
                "note": f"Analysed again: {incident.joins.began_why}.",
                "remove_labels": ["sreops-resolved", "sreops-escalated"],
            },
        )
    if visit.state.get("put_back") or incident.rerun_by:
        whose = f"{incident.rerun_by} has given it back" if incident.rerun_by else _PUT_BACK
        return TicketOp(
            op_id=f"{incident.id}:{incident.episode}:reopen",
            incident_id=incident.id,
            kind="reopen",
            body={
                "note": f"{whose}: it is worked on again.",
                "remove_labels": ["sreops-resolved", "sreops-escalated"],
            },
        )
    return TicketOp(
        op_id=f"{incident.id}:{incident.episode}:reopen",
        incident_id=incident.id,
        kind="reopen",
        body={
            "note": f"Fires again since {event.starts_at.isoformat()}: reopened.",
            "remove_labels": ["sreops-resolved"],
            "add_labels": ["sreops-refired"],
        },
    )


def _creation(visit: Visit) -> TicketOp:
    incident, event = visit.incident, visit.event
    return TicketOp(
        op_id=f"{incident.id}:create",
        incident_id=incident.id,
        kind="create",
        body={
            "title": handover.title(event, storm_of(incident.decision), incident.members),
            "description": handover.opening(event, incident.id, visit.state["alert_count"]),
            "labels": [*visit.tools.settings.gitlab.labels, f"severity-{incident.severity.value}"],
            "severity": incident.severity.value,
        },
    )


async def create_gitlab_issue(visit: Visit) -> State:
    """Queue the issue's creation and try it at once."""
    visit.tickets.extend(opening_ops(visit))
    await visit.write()
    await drain_quietly(visit.tools.tickets, visit.incident.id)
    incident = await visit.refresh()
    if incident.issue:
        visit.think(f"Issue #{incident.issue.iid} holds the record", url=incident.issue.url)
    elif visit.tools.tickets.configured:
        visit.think("GitLab does not take the issue now; the record is caught up later")
    else:
        visit.think("GitLab is not configured; the record is kept here")
    await visit.write()
    return State(outcome=visit.state.get("outcome") or await ended_meanwhile(visit))
