"""Ending an incident: used by close_or_escalate, and by the worker where a graph can't get there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sreops.agent.context import Tools
from sreops.agent.state import Outcome
from sreops.agent.tickets import drain_quietly
from sreops.domain.incidents.incident import Incident, IncidentStatus
from sreops.domain.records import handover
from sreops.domain.records.record import Action, Thought
from sreops.ports import Changes, Lease, TicketOp
from sreops.telemetry import INCIDENT_SECONDS, INCIDENTS_ENDED, log

_SHOWN_ALERTS = 20
INCIDENT_ENDED: Final = "incident.ended"
NOT_CLOSED: Final = "incident.not_closed"


def ticket_op(incident: Incident, outcome: Outcome, account: str) -> TicketOp:
    """Return the last ticket write of the episode: close with the account, or escalate with it."""
    resolved = outcome["end"] == "resolved"
    return TicketOp(
        op_id=f"{incident.id}:{incident.episode}:end",
        incident_id=incident.id,
        kind="close" if resolved else "escalate",
        body={
            "note": account,
            "add_labels": ["sreops-resolved" if resolved else "sreops-escalated", f"reason-{_ended_as(outcome)}"],
            "remove_labels": ["sreops-escalated"] if resolved else [],
        },
    )


async def end_incident(
    tools: Tools,
    lease: Lease,
    incident: Incident,
    outcome: Outcome,
    *,
    also: Sequence[Action] = (),
    plainly: bool = False,
) -> None:
    """Write the end in one transaction, once per episode, and try the issue's update at once.

    ``also`` is audited with it. ``plainly`` leaves out the account of what was found, which may be what fails.
    """
    if incident.status.ended and incident.episode == lease.episode:
        await drain_quietly(tools.tickets, incident.id)  # a crash came between the end and its checkpoint
        return
    now = tools.clock.now()
    evidence = [] if plainly else await tools.store.evidence(incident.id)
    missing = {name: health.cure or health.detail for name, health in (tools.missing or {}).items()}
    account = f"## Ended: {_ended_as(outcome)}\n\n{handover.fenced(outcome['why'])}"
    if not plainly:
        alerts = await tools.store.alerts(incident.id, limit=_SHOWN_ALERTS)
        account = handover.closing(incident, outcome, evidence, incident.decision, missing, alerts)
    resolved = outcome["end"] == "resolved"
    fields: dict[str, Any] = {
        "status": IncidentStatus.resolved if resolved else IncidentStatus.escalated,
        "resolution": outcome.get("resolution"),
        "reason": outcome.get("reason"),
        "ended_at": now,
        "decision": {**(incident.decision or {}), "why": outcome["why"], "handover": account, "missing": missing},
    }
    ended_as = _ended_as(outcome)
    changes = Changes(
        incident=fields,
        thoughts=[
            Thought(
                node="close_or_escalate",
                text=f"{'Resolved' if resolved else 'Escalated'} ({ended_as}): {outcome['why']}",
            )
        ],
        actions=[
            Action(
                action="close" if resolved else "escalate",
                phase="outcome",
                target=incident.service,
                detail=outcome["why"],
                data={"as": ended_as},
            ),
            *also,
        ],
        tickets=[ticket_op(incident, outcome, account)],
        covered_until=datetime.fromisoformat(outcome["at"]) if resolved and "at" in outcome else None,
    )
    written = await tools.store.write(lease, changes, now=now)
    if not written.status.ended:  # somebody has joined since: it is open again, in a new episode
        log.info(NOT_CLOSED, why=written.joins.began_why if written.joins else "")
        return
    _count(incident, outcome, now)
    log.info(INCIDENT_ENDED, end=outcome["end"], ended_as=ended_as, why=outcome["why"])
    await drain_quietly(tools.tickets, incident.id)


def _ended_as(outcome: Outcome) -> str:
    return outcome.get("resolution") or outcome.get("reason") or "unknown"


def _count(incident: Incident, outcome: Outcome, now: datetime) -> None:
    INCIDENTS_ENDED.labels(outcome["end"], _ended_as(outcome)).inc()
    INCIDENT_SECONDS.labels(outcome["end"]).observe(max(0.0, (now - incident.episode_at).total_seconds()))
