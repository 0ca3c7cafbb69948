"""Steps that change nothing: health, a wait, a query, an HTTP check, a notice. One look per visit."""

import sys
from datetime import timedelta

from sreops.agent.remediation.decision import Decision, Escalate, GiveUp, Next, WaitUntil
from sreops.agent.remediation.measure import container_word
from sreops.agent.remediation.request import Request
from sreops.agent.remediation.targets import find_target
from sreops.domain.evidence.evidence import ServiceState
from sreops.domain.incidents.incident import Reason
from sreops.domain.remediation.verification import read_condition
from sreops.domain.runbooks.runbook import Condition, StepAction
from sreops.errors import SreopsError

_LOOK_EVERY_S = 2.0
_ANY = f">= {-sys.float_info.max!r}"


async def check_step(request: Request) -> Decision:
    """Take one look of a step that changes nothing; a required one that fails goes to a person."""
    step, now = request.step, request.now()
    since = request.step_began or now
    if step.action is StepAction.wait:
        until = since + timedelta(seconds=float(step.params["seconds"]))
        return Next() if now >= until else WaitUntil(until=until, timer="wait", step_began=since)
    if step.action is StepAction.notify:
        asked = str(step.params.get("message", f"Runbook {request.plan.runbook_id} asks to notify."))
        return Next(thought="A notice was left on the issue", note=asked)
    passed, why = await _look(request)
    if passed:
        return Next(thought=f"{step.action.value} {step.target}: {why}")
    if now < since + timedelta(seconds=step.timeout_s):
        return WaitUntil(until=now + timedelta(seconds=_LOOK_EVERY_S), timer=step.action.value, step_began=since)
    failed = f"{step.action.value} {step.target} failed: {why}"
    if step.may_fail:
        return Next(thought=failed, note=failed)
    told = f"{step.action.value} {step.target}: {why}"
    if not request.acted:
        return Escalate(reason=Reason.step_failed, why=told, thought=failed, note=failed)
    # after a disruptive step a failed check says that the remedy did not help, not that a step broke
    return GiveUp(reason=Reason.remediation_ineffective, why=told, thought=failed, note=failed)


async def _look(request: Request) -> tuple[bool, str]:
    try:
        if request.step.action is StepAction.check_health:
            return await _healthy(request)
        if request.step.action is StepAction.query_prometheus:
            return await _query(request)
        return await _http(request)
    except SreopsError as exc:
        return False, str(exc)


async def _healthy(request: Request) -> tuple[bool, str]:
    if request.tools.containers is None:
        return False, "no container engine is configured"
    seen = await find_target(request.tools, request.step)
    if seen is None:
        return False, "the engine knows no such container"
    if isinstance(seen, ServiceState):
        return seen.running >= seen.replicas > 0, f"{seen.running} of {seen.replicas} tasks run"
    word = container_word(seen)
    return word in ("healthy", "running"), f"the container is {word}"


async def _query(request: Request) -> tuple[bool, str]:
    metrics, params = request.tools.metrics, request.step.params
    if metrics is None:
        return False, "Prometheus is not configured"
    promql, wanted = str(params["promql"]), params.get("condition")
    timeout_s = min(request.step.timeout_s, request.tools.settings.prometheus.timeout_s)
    series = await metrics.instant(promql, at=None, timeout_s=timeout_s)
    # without a condition it asks for data, whatever they say
    reading = read_condition(Condition(promql=promql, condition=str(wanted or _ANY)), series, "")
    values = ", ".join(f"{value:g}" for value in reading.values) or "no data"
    return reading.holds is True, f"{values} (wanted {wanted or 'any value'})"


async def _http(request: Request) -> tuple[bool, str]:
    step = request.step
    url, wanted = str(step.params["url"]), int(step.params.get("status", 200))
    status = await request.tools.prober.status(url, timeout_s=min(step.timeout_s, 10.0))
    return status == wanted, f"GET {url} answered {status if status is not None else 'nothing'} (wanted {wanted})"
