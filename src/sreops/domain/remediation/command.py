"""A command run in a container: what the engine says of it, and what follows for its effect. Pure.

The engine keeps a record of each command (an *exec*) in its memory. A record is made first and started then, once,
ever; so its id, kept before the start, tells what became of a start whose answer was lost. Some minutes after the end
the record is gone, and so it is where the container or the engine was started anew: then nobody knows. Nothing can
end a command from outside.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.effects import Settled
from sreops.domain.text.redaction import one_line

LAST_LINES = 8
"""How many of its last lines are told."""
_LINE_CHARS = 200


class CommandState(BaseModel):
    """A record as the engine shows it; ``exit_code`` None: it runs, or was never started (``pid`` 0)."""

    model_config = ConfigDict(frozen=True)
    running: bool
    exit_code: int | None
    pid: int = 0


class CommandOutput(BaseModel):
    """The last lines that a command wrote (untrusted); ``whole``: its output came to an end, and so did it."""

    model_config = ConfigDict(frozen=True)
    lines: tuple[str, ...] = ()
    whole: bool = False


def settle_command(
    effect: Effect,
    seen: CommandState | None,
    *,
    now: datetime,
    timeout_s: float,
    margin_s: float,
    said: Sequence[str] = (),
    look_every_s: float = 2.0,
) -> Settled:
    """Say what became of a command; ``seen`` None: the engine has no such record (any more).

    ``said`` are its last lines, already masked. One that still runs after ``timeout_s`` may end either way.
    """
    if seen is None:
        why = "the engine has no record of the command (any more), so whether it ran, and how it ended, can't be known"
        return Settled(outcome=EffectOutcome.unknown, why=why)
    told = _told(said)
    if not seen.running and seen.exit_code is not None:
        if seen.exit_code == 0:
            return Settled(outcome=EffectOutcome.succeeded, why=f"the command ended with exit code 0{told}")
        return Settled(outcome=EffectOutcome.failed, why=f"the command ended with exit code {seen.exit_code}{told}")
    started = seen.running or seen.pid != 0
    until = effect.intent_at + timedelta(seconds=max(timeout_s, margin_s) if started else margin_s)
    if now < until:
        again = min(until, now + timedelta(seconds=look_every_s))
        doing = "the command runs" if started else "nothing shows yet that the command was started"
        return Settled(outcome=None, why=doing, look_again_at=again)
    if not started:
        why = f"the command was not started within {margin_s:.0f} s, and nothing shows that it will not be"
        return Settled(outcome=EffectOutcome.unknown, why=why)
    why = (
        f"the command still runs after {(now - effect.intent_at).total_seconds():.0f} s, and nothing can end it from "
        f"outside; nothing else is done to its container until it has ended{told}"
    )
    return Settled(outcome=EffectOutcome.unknown, why=why)


def _told(said: Sequence[str]) -> str:
    lines = [one_line(line, _LINE_CHARS) for line in said[-LAST_LINES:]]
    return f"; its last lines: {' | '.join(line for line in lines if line)}" if any(lines) else ""
