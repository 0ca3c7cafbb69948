"""await_approval: a person decides, by compare-and-set in the store; this node only reads what was decided."""

from datetime import timedelta

from sreops.agent.resolve import ended_meanwhile
from sreops.agent.state import State
from sreops.agent.tickets import drain_quietly
from sreops.agent.visit import Visit, escalated, wait, waiting
from sreops.domain.incidents.incident import IncidentStatus, Reason
from sreops.domain.runbooks.runbook import Plan


async def await_approval(visit: Visit) -> State:
    """Ask at the first visit; at each later one look for the decision, the expiry, or a resolve."""
    wait(visit.state, visit.now())
    plan = Plan.model_validate(visit.state["plan"])
    now = visit.now()
    approval = await visit.tools.store.request_approval(
        visit.lease,
        plan_hash=plan.plan_hash,
        now=now,
        expires_at=now + timedelta(seconds=visit.tools.settings.policy.approval_ttl_s),
    )
    if outcome := await ended_meanwhile(visit):
        return State(outcome=outcome, wait_until=None)
    if approval.decision == "approved":
        visit.think(f"{approval.by} approved: {approval.reason or 'no reason given'}")
        await visit.write({"status": IncidentStatus.remediating})
        return State(approval="approved", wait_until=None)
    if approval.decision == "rejected":
        why = f"{approval.by} rejected the plan: {approval.reason or 'no reason given'}"
        return State(outcome=escalated(Reason.approval_rejected, why), wait_until=None)
    if approval.decision == "expired" or now >= approval.expires_at:
        why = f"nobody decided before {approval.expires_at.isoformat()}"
        return State(outcome=escalated(Reason.approval_expired, why), wait_until=None)
    if visit.incident.status is not IncidentStatus.awaiting_approval:
        await _ask(visit, plan, approval.expires_at.isoformat())
    if visit.incident.all_resolved_at is not None:  # a resolve that is not believed, until its sender is seen to agree
        again = visit.now() + timedelta(seconds=visit.tools.settings.verify.poll_s)
        return State(disbelieved=True, **waiting(min(again, approval.expires_at), "approval"))
    return waiting(approval.expires_at, "approval")


async def _ask(visit: Visit, plan: Plan, until: str) -> None:
    steps = ", then ".join(f"{step.action.value} {step.target}" for step in plan.steps)
    why = "; ".join(visit.state.get("approval_why", []))
    visit.think(f"A person must approve: {steps} ({why})", plan_hash=plan.plan_hash, expires_at=until)
    visit.note("approval", f"Waits for approval until {until}: {steps}.\n\nPlan `{plan.plan_hash}`; {why}.")
    await visit.write({"status": IncidentStatus.awaiting_approval, "plan_hash": plan.plan_hash})
    await drain_quietly(visit.tools.tickets, visit.incident.id)
