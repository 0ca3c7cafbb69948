"""Replicas one after another: none is taken down while another one is."""

from datetime import datetime, timedelta

from sreops.agent.remediation.undo import give_up
from sreops.agent.state import State
from sreops.agent.visit import Visit, escalated, waiting
from sreops.domain.evidence.engine_events import ails
from sreops.domain.incidents.incident import Reason, VerificationResult
from sreops.domain.runbooks.runbook import PlannedStep
from sreops.errors import EngineRefused, EngineUnavailable

_LOOK_EVERY_S = 2.0


async def others_up(visit: Visit, step: PlannedStep) -> State | None:
    """Return nothing where all other replicas are up; else what to do: wait for them, or hand over.

    The step's own time-out is how long they are waited for.
    """
    why = await _not_up(visit, step)
    if not why:
        return None
    now, began = visit.now(), visit.state.get("step_began")
    since = datetime.fromisoformat(began) if began else now
    if now < since + timedelta(seconds=step.timeout_s):
        return State(step_began=since.isoformat(), **waiting(now + timedelta(seconds=_LOOK_EVERY_S), "replicas"))
    told = f"{step.action.value} {step.target} was not begun, since {why}"
    if not visit.state.get("acted_at"):
        return State(outcome=escalated(Reason.step_failed, told), wait_until=None)
    await visit.write({"verification": VerificationResult.not_fixed})
    return await give_up(visit, step, Reason.remediation_ineffective, told)


async def _not_up(visit: Visit, step: PlannedStep) -> str:
    containers, timeout_s = visit.tools.containers, visit.tools.settings.docker.timeout_s
    if containers is None or step.of == 1:
        return ""
    try:
        replicas = await containers.standing(step.standing, timeout_s=timeout_s)
    except (EngineRefused, EngineUnavailable) as exc:
        return f"it can't be known whether the others are up: {exc}"
    others = [one for one in replicas if one.name != step.target]
    if len(others) < step.of - 1:
        return f"of {step.of} replicas only {len(replicas)} are there"
    down = [f"{one.name}: {ails(one) or 'it is starting'}" for one in others if ails(one) or one.health == "starting"]
    return f"another replica is not up ({'; '.join(down)})" if down else ""
