"""Right before an effect: policy, age, whether it is needed at all, and whether the other replicas are up."""

from datetime import timedelta

from sreops.agent.alerts import Alerts
from sreops.agent.remediation.decision import Ask, Decision, Escalate, GiveUp, Proceed, Prove, Recovered, WaitUntil
from sreops.agent.remediation.measure import look, nothing_fires
from sreops.agent.remediation.permission import ask_policy
from sreops.agent.remediation.request import Request
from sreops.domain.causes.analysis import Analysis
from sreops.domain.evidence.engine_events import ails
from sreops.domain.incidents.incident import Reason
from sreops.domain.incidents.joins import REJOIN_TIMER
from sreops.domain.remediation.policy import Verdict
from sreops.domain.remediation.verification import already_met
from sreops.domain.runbooks.runbook import StepAction
from sreops.errors import EngineRefused, EngineUnavailable

_FOR_A_NEW_ANALYSIS_S = 30.0  # the store begins it within a second or two; until then nothing is done
_LOOK_EVERY_S = 2.0


async def before_effect(request: Request, alerts: Alerts, analysis: Analysis) -> Decision:
    """Decide whether the step is carried out now: Proceed, or what is done instead."""
    first = not request.begun
    verdict, trouble, proof, _ = await ask_policy(request, alerts, analysis, begun=not first)
    if verdict.verdict is Verdict.deny and verdict.wait:
        return _held(request, "Approved, and automation is paused: it is done once that is lifted", "paused")
    if verdict.verdict is Verdict.deny:
        if first and await nothing_fires(request.tools, alerts):
            return Recovered()
        return Escalate(reason=Reason.policy_denied, why="; ".join([*verdict.reasons, trouble]).strip("; "))
    if verdict.verdict is Verdict.needs_approval:
        return Ask(reasons=verdict.reasons)
    if verdict.wait:
        return _held(request, f"Waits for a free slot: {'; '.join(verdict.reasons)}", "slot")
    if not first:
        if await nothing_fires(request.tools, alerts):
            return Prove(thought="No alert of the incident fires any more: no further step is taken")
        return Proceed()
    due_at, now = request.incident.rejoin_at, request.now()
    if due_at is not None and due_at <= now and not request.approved:
        return WaitUntil(
            until=now + timedelta(seconds=_FOR_A_NEW_ANALYSIS_S),
            timer=REJOIN_TIMER,
            thought="Somebody has joined since the analysis: it is made again before anything is done",
        )
    baseline = await look(request, alerts)
    if baseline.nothing_fires:
        return Recovered()
    if already_met(baseline):
        why = "the runbook's conditions hold already, so its effect could prove nothing"
        return Escalate(reason=Reason.already_healthy, why=why)
    return Proceed(baseline=baseline, proof=proof)


def _held(request: Request, why: str, timer: str) -> WaitUntil:
    until = request.now() + timedelta(seconds=request.tools.settings.policy.slot_retry_s)
    # told once, not at every look
    return WaitUntil(until=until, timer=timer, thought="" if request.waited_for == timer else why)


async def others_up(request: Request) -> Decision | None:
    """Return nothing where all other replicas are up; else what to do: wait for them, or hand over.

    No replica is taken down while another replica is down; they are waited for as long as the step's own time-out.
    """
    step = request.step
    if not step.all or step.action is StepAction.stop_container:  # what is stopped anyway waits for no other
        return None
    why = await _not_up(request)
    if not why:
        return None
    now = request.now()
    since = request.step_began or now
    if now < since + timedelta(seconds=step.timeout_s):
        return WaitUntil(until=now + timedelta(seconds=_LOOK_EVERY_S), timer="replicas", step_began=since)
    told = f"{step.action.value} {step.target} was not begun, since {why}"
    if not request.acted:
        return Escalate(reason=Reason.step_failed, why=told)
    return GiveUp(reason=Reason.remediation_ineffective, why=told)


async def _not_up(request: Request) -> str:
    step, containers = request.step, request.tools.containers
    if containers is None or step.of == 1:
        return ""
    try:
        replicas = await containers.standing(step.standing, timeout_s=request.tools.settings.docker.timeout_s)
    except (EngineRefused, EngineUnavailable) as exc:
        return f"it can't be known whether the others are up: {exc}"
    others = [replica for replica in replicas if replica.name != step.target]
    if len(others) < step.of - 1:
        return f"of {step.of} replicas only {len(replicas)} are there"
    down = [
        f"{replica.name}: {ails(replica) or 'it is starting'}"
        for replica in others
        if ails(replica) or replica.health == "starting"
    ]
    return f"another replica is not up ({'; '.join(down)})" if down else ""
