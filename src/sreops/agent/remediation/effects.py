"""Effects: the intent before, the request itself, and what became of it, which is found by looking if it was lost.

Nothing is written here: the node writes the intent that ``intended`` returns, sends, and writes the outcome.
"""

from datetime import timedelta
from typing import Final

from sreops.agent.remediation import engine_commands
from sreops.agent.remediation.decision import Escalate, WaitUntil
from sreops.agent.remediation.external_effects import EXTERNAL_EFFECTS, EXTERNAL_TIMER
from sreops.agent.remediation.life import target_pulse
from sreops.agent.remediation.request import Request
from sreops.domain.incidents.incident import Effect, EffectOutcome, Reason
from sreops.domain.remediation.effects import Settled
from sreops.domain.remediation.life import Pulse
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown, Refused, SreopsError, Unavailable
from sreops.telemetry import log

ANSWER_LOST: Final = "effect.answer_lost"

_SETTLING = "settling"
_MORE_PATIENCE_S = 60.0
"""How long one that does not answer is asked, beyond the time in which the effect has ended one way or the other."""


async def intended(request: Request) -> Effect | Escalate:
    """Return the step's effect as it is to stand in the ledger before it is done, or why it can't be begun."""
    step = request.step
    try:
        if step.action.on_engine:
            return await engine_commands.intended(request)
        standing, snapshot = await EXTERNAL_EFFECTS[step.action].before(request)
    except SreopsError as exc:
        if step.action.on_engine and not isinstance(exc, EngineUnavailable | EngineRefused):
            raise
        return Escalate(reason=Reason.step_failed, why=f"{step.action.value} {step.target}: {exc}")
    return request.intent(request.index, step, snapshot, standing)


async def send(request: Request, effect: Effect) -> Settled | WaitUntil:
    """Ask for it, once; raises LeaseLost where that is no longer ours to do."""
    step = request.step
    try:
        if step.action.on_engine:
            settled = await engine_commands.send(request, step, effect)
        else:
            engine_commands.refuse_when_late(request, effect)
            settled = await EXTERNAL_EFFECTS[step.action].send(request, effect)
    except (Unavailable, Refused) as exc:
        return Settled.failed(str(exc))
    except OutcomeUnknown as exc:
        log.warning(ANSWER_LOST, target=effect.target, error=str(exc))
        whose = "The engine's answer" if step.action.on_engine else "The answer"
        return WaitUntil(
            until=request.now() + timedelta(seconds=1),
            timer=_SETTLING,
            thought=f"{whose} was lost ({exc}): looking instead of repeating",
            answer_lost=str(exc),
        )
    return _open(request, settled) if settled.outcome is None else settled


async def follow(request: Request, effect: Effect) -> Settled | WaitUntil:
    """Say by looking what became of an effect that an earlier visit has begun, or when to look again."""
    step, now, on_engine = request.step, request.now(), request.step.action.on_engine
    try:
        looks = engine_commands.follow if on_engine else EXTERNAL_EFFECTS[step.action].look
        settled = await looks(request, effect)
    except (Unavailable, Refused) as exc:
        if now < effect.intent_at + timedelta(seconds=_patience_s(request, effect)):
            return WaitUntil(until=now + timedelta(seconds=2), timer=_SETTLING)
        who = "the engine does not answer, so " if on_engine else ""
        settled = Settled.unknown(f"{who}what became of it can't be known: {exc}")
        return settled if on_engine else _with_the_lost(request, settled)
    if settled.outcome is None:
        return _open(request, settled)
    if on_engine:
        settled = settled.model_copy(update={"why": f"settled by looking: {settled.why}"})
    return _with_the_lost(request, settled)


def _patience_s(request: Request, effect: Effect) -> float:
    step, docker = request.step, request.tools.settings.docker
    longest_s = step.timeout_s
    if step.action.on_engine:
        stop_s = float(effect.snapshot.get("stop_timeout_s", docker.stop_timeout_s))
        longest_s = max(engine_commands.patience_s(step), stop_s)
    return longest_s + docker.settle_margin_s + _MORE_PATIENCE_S


def _open(request: Request, settled: Settled) -> WaitUntil:
    """Wait for an effect that may still come true."""
    if request.step.action.on_engine:
        return WaitUntil(until=settled.look_again_at or request.now() + timedelta(seconds=1), timer=_SETTLING)
    told = "" if request.waited_for == EXTERNAL_TIMER else settled.why  # told once, not at every look
    until = settled.look_again_at or request.now() + timedelta(seconds=2)
    return WaitUntil(until=until, timer=EXTERNAL_TIMER, thought=told)


def _with_the_lost(request: Request, settled: Settled) -> Settled:
    """Tell with what was found which answer was lost before."""
    if not request.answer_lost:
        return settled
    whose = "the engine's answer" if request.step.action.on_engine else "the first answer"
    return settled.model_copy(update={"why": f"{settled.why} ({whose}: {request.answer_lost})"})


async def in_words(request: Request, effect: Effect) -> str:
    """Say what became of an effect: first of all that the target is down, where it is, for that outranks all else."""
    outcome = effect.outcome
    text = f"{effect.action} {effect.target}: {outcome.value if outcome else 'unknown'}"
    if effect.detail:
        text += f" ({effect.detail})"
    if outcome is EffectOutcome.succeeded or not request.step.action.on_engine:
        return text
    pulse = await target_pulse(request.tools, request.step)
    return f"DOWN: {pulse.told} after {request.step.action.value}; {text}" if pulse.vital.dead else text


async def left_behind(request: Request) -> Pulse | None:
    """Return the target's life after its effect: a death between that and the first poll shows against it."""
    return await target_pulse(request.tools, request.step) if request.step.action.on_engine else None
