"""A command in a container: prepared before its intent, started once, and settled by its record."""

import asyncio
from typing import Any

from sreops.agent.context import Tools
from sreops.agent.remediation.request import Request
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.incidents.incident import Effect, EffectOutcome
from sreops.domain.remediation.command import settle_command
from sreops.domain.remediation.effects import Settled
from sreops.domain.runbooks.runbook import StepAction

COMMAND_ID = "command_id"
_LOOKS_AT_THE_END, _UNTIL_IT_IS_NOTED_S = 10, 0.1
"""The engine notes an end a moment after the output has come to its own; what was said is told with it."""
_LOOKED_BACK = 50
"""How many commands that a target was given are asked after: those that may still run are among the last."""


async def prepared(request: Request, container_id: str) -> dict[str, Any]:
    """Make a record of the step's command, whose id belongs into the intent; raises what its port does."""
    timeout_s = request.tools.settings.docker.timeout_s
    words = [str(word) for word in request.step.params["command"]]
    command_id = await request.tools.engine.prepare_command(container_id, words, timeout_s=timeout_s)
    return {COMMAND_ID: command_id, "command": words}


async def start(request: Request, effect: Effect) -> Settled:
    """Start it and follow it; one that takes longer than a run may is followed by looking."""
    container_id, command_id = effect.snapshot["id"], effect.snapshot[COMMAND_ID]
    timeout_s = min(request.step.timeout_s, request.longest_request_s)
    output = await request.tools.engine.run_command(container_id, command_id, timeout_s=timeout_s)
    # masked with the incident's own placeholders, and as one text: a secret may go over several lines
    said = request.redact("\n".join(output.lines)).split("\n")
    for _ in range(_LOOKS_AT_THE_END if output.whole else 0):
        settled = await look(request, effect, said=said)
        if settled.outcome is not None:
            return settled
        await asyncio.sleep(_UNTIL_IT_IS_NOTED_S)
    return await look(request, effect, said=said)


async def look(request: Request, effect: Effect, *, said: list[str] | None = None) -> Settled:
    """Settle it by its record; raises EngineUnavailable, EngineRefused where that can't be asked now."""
    settings = request.tools.settings.docker
    container_id, command_id = effect.snapshot["id"], effect.snapshot[COMMAND_ID]
    seen = await request.tools.engine.command_state(container_id, command_id, timeout_s=settings.timeout_s)
    return settle_command(
        effect,
        seen,
        now=request.now(),
        timeout_s=request.step.timeout_s,
        margin_s=settings.settle_margin_s,
        said=said or (),
    )


async def still_runs(tools: Tools, target: ContainerState, standing: str) -> str:
    """Say which command that was given to this target before still runs in it, or nothing.

    Raises EngineUnavailable, EngineRefused: what can't be known holds nothing back, it denies.
    """
    given = await tools.store.effects_on(standing, (StepAction.exec_in_container.value,), limit=_LOOKED_BACK)
    for effect in given:
        if effect.outcome is not EffectOutcome.unknown or effect.snapshot.get("id") != target.id:
            continue
        seen = await tools.engine.command_state(
            target.id, effect.snapshot[COMMAND_ID], timeout_s=tools.settings.docker.timeout_s
        )
        if seen is not None and seen.running:
            return f"a command that incident {effect.incident_id} began at {effect.intent_at:%H:%M:%S} UTC runs in it"
    return ""
