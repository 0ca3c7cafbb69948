"""How long a target may take to stop: as long as it says itself, else what the settings say. Pure.

Source: Engine API, ``Config.StopTimeout`` and Swarm's ``StopGracePeriod``. A negative one is "for ever": such a
restart may be pending for days, and starts the container again after somebody has stopped it by hand.
"""

import math

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.runbooks.runbook import Plan, StepAction

LONGEST_STOP_S = 600.0
"""What sreops waits for by itself; a target that asks for more is for a person to decide about."""


def stop_grace_s(target: ContainerState | ServiceState, default_s: float) -> float:
    """Return the seconds until the engine kills it; infinite where it waits for ever."""
    own = target.stop_timeout_s
    grace_s = default_s if own is None else own
    return math.inf if grace_s < 0 else grace_s


def waited_for_s(grace_s: float) -> float:
    """Return for how long the end of a stop is waited for: what never ends is given up like the longest."""
    return LONGEST_STOP_S if math.isinf(grace_s) else grace_s


def stop_too_long(name: str, grace_s: float) -> str:
    """Say why a person decides about stopping it, or nothing."""
    if math.isinf(grace_s):
        return f"target {name!r} is never killed while it stops (its StopTimeout is -1): the restart may never end"
    if grace_s > LONGEST_STOP_S:
        return f"target {name!r} may take {grace_s:.0f} s to stop, and {LONGEST_STOP_S:.0f} s are waited for unasked"
    return ""


def stops_on_purpose(plan: Plan) -> tuple[str, ...]:
    """Say which of a plan's steps take something away that nothing brings back by itself: a person always decides."""
    targets = dict.fromkeys(step.target for step in plan.steps if step.action is StepAction.stop_container)
    return tuple(f"target {target!r} is stopped, and stays so until somebody starts it" for target in targets)
