"""A resolve that comes while an incident is worked on: what a node does about it."""

from sreops.agent.remediation.decision import Escalate
from sreops.agent.remediation.resolve_proof import Disbelieved, judge_resolve
from sreops.agent.state import Outcome
from sreops.agent.visit import Visit, escalated, resolved
from sreops.domain.incidents.incident import Resolution


async def ended_meanwhile(visit: Visit) -> Outcome | None:
    """Return the end that a resolve gives an incident on which nothing was done yet; None: the work goes on."""
    if visit.incident.all_resolved_at is None:
        return None
    judged = await judge_resolve(visit.tools, visit.incident, await visit.alerts())
    if isinstance(judged, Disbelieved):
        visit.doubted_resolve_at = visit.incident.all_resolved_at
        if not visit.state.get("disbelieved"):
            firing = ", ".join(judged.firing[:5])
            visit.think(f"Told that every alert is resolved, but {firing} still fires: the work goes on")
            await visit.write()
        return None
    if isinstance(judged, Escalate):
        return escalated(judged.reason, judged.why)
    return resolved(Resolution.recovered, judged.why)
