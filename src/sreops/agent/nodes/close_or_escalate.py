"""close_or_escalate: the end of every path, on the record and on the issue."""

from datetime import datetime
from typing import Final

from sreops.agent.end import end_incident
from sreops.agent.remediation.decision import Escalate, WaitUntil
from sreops.agent.remediation.measure import alerts_now
from sreops.agent.remediation.resolve_proof import target_lives
from sreops.agent.state import Outcome, State
from sreops.agent.visit import Visit, escalated, wait, waiting
from sreops.domain.incidents.incident import IncidentStatus, Reason, Resolution

_NEED_A_LIVING_TARGET: Final = (Resolution.recovered.value, Resolution.false_alarm.value)
_FIRES_AGAIN: Final = "alert fires again before the target had lived for long enough after the resolve"


async def close_or_escalate(visit: Visit) -> State:
    """End the incident as the state says; a state without an outcome is a bug and goes to a person.

    What would be closed as recovered waits here until its target has lived for long enough.
    """
    if visit.state.get("recovered_at"):
        wait(visit.state, visit.now())
    outcome = visit.state.get("outcome") or escalated(Reason.internal_error, "the graph ended without an outcome")
    if _says_that_all_is_well(outcome) and not visit.incident.status.ended:
        confirmed = await _confirm(visit, outcome)
        if confirmed.get("wait_until") or confirmed.get("outcome") is None:
            return confirmed
        outcome = confirmed["outcome"] or outcome
    await end_incident(visit.tools, visit.lease, visit.incident, outcome)
    return State(outcome=outcome, wait_until=None)


def _says_that_all_is_well(outcome: Outcome) -> bool:
    """Whether this end says that the service is well though nothing was done: then its target must live."""
    return outcome["end"] == "resolved" and outcome.get("resolution") in _NEED_A_LIVING_TARGET


async def _confirm(visit: Visit, outcome: Outcome) -> State:
    """Look whether the target lives before an incident is closed as recovered; wait for it, or return the end.

    Returns a state without an outcome where an alert fires again: the work begins anew, once.
    """
    told_at = visit.state.get("recovered_at")
    if told_at and await _fires_again(visit):
        return await _begin_anew(visit)
    since = datetime.fromisoformat(told_at) if told_at else (visit.incident.all_resolved_at or visit.now())
    found = await target_lives(visit.tools, visit.incident, visit.event, since, outcome["why"])
    if isinstance(found, Escalate):
        return State(outcome=escalated(found.reason, found.why), wait_until=None)
    if not isinstance(found, WaitUntil):
        return State(outcome={**outcome, "why": found.why}, wait_until=None)
    if not told_at:
        visit.think(found.thought)
        await visit.write({"status": IncidentStatus.verifying})
    by_resolve = visit.incident.all_resolved_at is not None
    kept = State(outcome=outcome, recovered_at=since.isoformat(), by_resolve=by_resolve)
    return {**kept, **waiting(found.until, found.timer)}


async def _fires_again(visit: Visit) -> bool:
    if any(alert.firing for alert in await alerts_now(visit.tools, await visit.alerts())):
        return True
    # a resolve that was taken back: an alert fires again, or another has joined
    return visit.incident.all_resolved_at is None and bool(visit.state.get("by_resolve"))


async def _begin_anew(visit: Visit) -> State:
    if visit.state.get("begun_anew"):
        why = f"an {_FIRES_AGAIN}, for the second time"
        return State(outcome=escalated(Reason.resolved_without_proof, why), wait_until=None)
    visit.think(f"An {_FIRES_AGAIN}: looked at anew")
    await visit.write({"status": IncidentStatus.investigating})
    return State(
        outcome=None, begun_anew=True, recovered_at=None, wait_until=None, looks=[], approval="", step=0, plan={}
    )
