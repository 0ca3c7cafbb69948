"""Steps that change nothing: health, a wait, a query, an HTTP check, a notice. One look per visit."""

import sys
from datetime import datetime, timedelta

from sreops.agent.remediation.measure import container_word
from sreops.agent.remediation.targets import find_target
from sreops.agent.remediation.undo import give_up
from sreops.agent.state import State
from sreops.agent.visit import Visit, escalated, waiting
from sreops.domain.evidence.evidence import ServiceState
from sreops.domain.incidents.incident import Reason, VerificationResult
from sreops.domain.remediation.verification import read_condition
from sreops.domain.runbooks.runbook import Condition, Plan, PlannedStep, StepAction
from sreops.errors import SreopsError

_LOOK_EVERY_S = 2.0
_ANY = f">= {-sys.float_info.max!r}"


async def check_step(visit: Visit, plan: Plan, index: int, step: PlannedStep) -> State:
    """Carry out one visit of a step that changes nothing; a required one that fails goes to a person."""
    now = visit.now()
    began = visit.state.get("step_began")
    since = datetime.fromisoformat(began) if began else now
    if step.action is StepAction.wait:
        until = since + timedelta(seconds=float(step.params["seconds"]))
        return _next(index) if now >= until else _again(until, "wait", since)
    if step.action is StepAction.notify:
        visit.note(f"step-{index}", str(step.params.get("message", f"Runbook {plan.runbook_id} asks to notify.")))
        visit.think("A notice was left on the issue")
        await visit.write()
        return _next(index)
    passed, why = await _look(visit, step)
    if passed:
        visit.think(f"{step.action.value} {step.target}: {why}")
        await visit.write()
        return _next(index)
    if now < since + timedelta(seconds=step.timeout_s):
        return _again(now + timedelta(seconds=_LOOK_EVERY_S), step.action.value, since)
    visit.think(f"{step.action.value} {step.target} failed: {why}")
    visit.note(f"step-{index}", f"{step.action.value} {step.target} failed: {why}")
    await visit.write()
    if step.may_fail:
        return _next(index)
    told = f"{step.action.value} {step.target}: {why}"
    if not visit.state.get("acted_at"):
        return State(outcome=escalated(Reason.step_failed, told), wait_until=None)
    # after a disruptive step a failed check says that the remedy did not help, not that a step broke
    await visit.write({"verification": VerificationResult.not_fixed})
    return await give_up(visit, step, Reason.remediation_ineffective, told)


def _next(index: int) -> State:
    return State(step=index + 1, step_began=None, wait_until=None)


def _again(until: datetime, timer: str, since: datetime) -> State:
    return State(step_began=since.isoformat(), **waiting(until, timer))


async def _look(visit: Visit, step: PlannedStep) -> tuple[bool, str]:
    try:
        if step.action is StepAction.check_health:
            return await _healthy(visit, step)
        if step.action is StepAction.query_prometheus:
            return await _query(visit, step)
        return await _http(visit, step)
    except SreopsError as exc:
        return False, str(exc)


async def _healthy(visit: Visit, step: PlannedStep) -> tuple[bool, str]:
    if visit.tools.containers is None:
        return False, "no container engine is configured"
    seen = await find_target(visit.tools, step)
    if seen is None:
        return False, "the engine knows no such container"
    if isinstance(seen, ServiceState):
        return seen.running >= seen.replicas > 0, f"{seen.running} of {seen.replicas} tasks run"
    word = container_word(seen)
    return word in ("healthy", "running"), f"the container is {word}"


async def _query(visit: Visit, step: PlannedStep) -> tuple[bool, str]:
    if visit.tools.metrics is None:
        return False, "Prometheus is not configured"
    promql, wanted = str(step.params["promql"]), step.params.get("condition")
    timeout_s = min(step.timeout_s, visit.tools.settings.prometheus.timeout_s)
    series = await visit.tools.metrics.instant(promql, at=None, timeout_s=timeout_s)
    # without a condition it asks for data, whatever they say
    reading = read_condition(Condition(promql=promql, condition=str(wanted or _ANY)), series, "")
    values = ", ".join(f"{value:g}" for value in reading.values) or "no data"
    return reading.holds is True, f"{values} (wanted {wanted or 'any value'})"


async def _http(visit: Visit, step: PlannedStep) -> tuple[bool, str]:
    url, wanted = str(step.params["url"]), int(step.params.get("status", 200))
    status = await visit.tools.prober.status(url, timeout_s=min(step.timeout_s, 10.0))
    return status == wanted, f"GET {url} answered {status if status is not None else 'nothing'} (wanted {wanted})"
