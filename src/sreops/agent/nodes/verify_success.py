"""verify_success: baseline before, measured after; fixed, not fixed, or unknown. One poll per visit."""

from datetime import datetime, timedelta
from typing import Any

from sreops.agent.remediation.measure import look
from sreops.agent.remediation.request import Request, request_of
from sreops.agent.remediation.undo import undo
from sreops.agent.state import Outcome, State
from sreops.agent.visit import Visit, escalated, resolved, wait, waiting
from sreops.domain.incidents.incident import IncidentStatus, Reason, Resolution, VerificationResult
from sreops.domain.remediation.life import Pulse
from sreops.domain.remediation.verification import Judgement, Look, Standard, judge
from sreops.domain.runbooks.runbook import Plan

Looks = list[tuple[datetime, Look]]
_KEPT_LOOKS = 200  # state is rewritten at every checkpoint: a bound, far above timeout / poll


async def verify_success(visit: Visit) -> State:
    """Look once; decide, or leave the time of the next look."""
    due = wait(visit.state, visit.now())
    plan = Plan.model_validate(visit.state["plan"])
    settings, now = visit.tools.settings.verify, visit.now()
    since = datetime.fromisoformat(visit.state.get("acted_at") or now.isoformat())
    settled_at = since + timedelta(seconds=settings.settle_s)
    if visit.incident.status is not IncidentStatus.verifying:
        visit.think(f"Verifying: first look after {settings.settle_s:g} s, then every {settings.poll_s:g} s")
        await visit.write({"status": IncidentStatus.verifying})
    if now < settled_at:
        return waiting(settled_at, "settle")
    # a resolve ends the wait for the alert's own state: it is looked at once more at once
    if not due and visit.incident.all_resolved_at is None:
        return State()
    deadline = settled_at + timedelta(seconds=settings.timeout_s)
    request = request_of(visit.tools, visit.incident, visit.event, plan, visit.state)
    looks = _earlier(visit.state)
    looks.append((now, await look(request, await visit.alerts())))
    baseline = visit.state.get("baseline")
    judgement = judge(
        looks,
        _standard(visit, plan, since),
        baseline=Look.model_validate(baseline) if baseline else None,
        now=now,
        deadline=deadline,
    )
    if not judgement.final:
        next_poll = min(now + timedelta(seconds=settings.poll_s), max(deadline, now + timedelta(seconds=1)))
        if judgement.again_at is not None and judgement.again_at > now:
            next_poll = min(next_poll, judgement.again_at)
        return State(looks=_dumped(looks), **waiting(next_poll, "poll"))
    return await _conclude(visit, request, judgement, looks)


def _standard(visit: Visit, plan: Plan, since: datetime) -> Standard:
    left_as = {
        target: (datetime.fromisoformat(left["at"]), Pulse.model_validate(left["pulse"]))
        for target, left in visit.state.get("left_as", {}).items()
    }
    return Standard(
        conditions=plan.verify,
        targets=tuple(dict.fromkeys(step.target for step in plan.steps if step.action.on_engine)),
        left_as=left_as,
        since=since,
        settle_s=visit.tools.settings.verify.settle_s,
    )


def _earlier(state: State) -> Looks:
    kept = state.get("looks", [])[-_KEPT_LOOKS:]
    return [(datetime.fromisoformat(entry["at"]), Look.model_validate(entry["look"])) for entry in kept]


def _dumped(looks: Looks) -> list[dict[str, Any]]:
    return [{"at": at.isoformat(), "look": look.model_dump(mode="json")} for at, look in looks]


async def _conclude(visit: Visit, request: Request, judgement: Judgement, looks: Looks) -> State:
    why = judgement.why
    if judgement.result is not VerificationResult.fixed and (undone := await undo(request, visit.lease)):
        why = f"{why}; {undone}"
    data = {"look": looks[-1][1].model_dump(mode="json"), "baseline": visit.state.get("baseline")}
    visit.think(f"Verification: {judgement.result.value.replace('_', ' ')} ({why})", **data)
    visit.note("verification", f"Verification: {judgement.result.value}. {why}")
    await visit.write({"verification": judgement.result})
    return State(outcome=ending(judgement.result, why), verification=judgement.result.value, wait_until=None)


def ending(result: VerificationResult, why: str) -> Outcome:
    """Return the end that a verdict gives: only fixed resolves."""
    if result is VerificationResult.fixed:
        return resolved(Resolution.fixed, why)
    if result is VerificationResult.not_fixed:
        return escalated(Reason.remediation_ineffective, why)
    return escalated(Reason.verification_unknown, why)
