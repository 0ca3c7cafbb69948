"""close_or_escalate: the end of every path, on the record and on the issue."""

from sreops.agent.end import end_incident
from sreops.agent.state import State
from sreops.agent.visit import Visit, escalated
from sreops.domain.incidents.incident import Reason


async def close_or_escalate(visit: Visit) -> State:
    """End the incident as the state says; a state without an outcome is a bug and goes to a person."""
    outcome = visit.state.get("outcome") or escalated(Reason.internal_error, "the graph ended without an outcome")
    await end_incident(visit.tools, visit.lease, visit.incident, outcome)
    return State(outcome=outcome, wait_until=None)
