"""close_or_escalate: the end of every path, on the record and on the issue."""

from sreops.agent.end import end_incident
from sreops.agent.remediation.recovery import closes_on_life, confirm
from sreops.agent.state import State
from sreops.agent.visit import Visit, escalated, wait
from sreops.domain.incidents.incident import Reason


async def close_or_escalate(visit: Visit) -> State:
    """End the incident as the state says; a state without an outcome is a bug and goes to a person.

    What would be closed as recovered waits here until its target has lived for long enough.
    """
    if visit.state.get("recovered_at"):
        wait(visit.state, visit.now())
    outcome = visit.state.get("outcome") or escalated(Reason.internal_error, "the graph ended without an outcome")
    if closes_on_life(outcome) and not visit.incident.status.ended:
        confirmed = await confirm(visit, outcome)
        if confirmed.get("wait_until") or confirmed.get("outcome") is None:
            return confirmed
        outcome = confirmed["outcome"] or outcome
    await end_incident(visit.tools, visit.lease, visit.incident, outcome)
    return State(outcome=outcome, wait_until=None)
