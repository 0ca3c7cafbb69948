"""Who started the targets of a plan: their own restart policy, we, or somebody else."""

import math
from datetime import datetime, timedelta

from sreops.agent.remediation.targets import Targets
from sreops.agent.visit import Visit
from sreops.domain.remediation.meanwhile import Hand, our_hands, started_by_somebody_else
from sreops.domain.remediation.policy import TargetFacts


def with_their_starts(visit: Visit, found: Targets, last_effect_at: datetime | None) -> tuple[TargetFacts, ...]:
    """Return the targets with when somebody else has started each since the alert began."""
    began, now = visit.event.starts_at, visit.now()

    def started_at(target: TargetFacts) -> datetime | None:
        ours = _our_hands(visit, target, last_effect_at, now)
        return started_by_somebody_else(found.lives.get(target.name), began, ours)

    return tuple(target.model_copy(update={"started_at": started_at(target)}) for target in found.facts)


def _our_hands(visit: Visit, target: TargetFacts, last_effect_at: datetime | None, now: datetime) -> tuple[Hand, ...]:
    settings = visit.tools.settings.docker
    hands = our_hands(tuple(visit.incident.effects), target.standing, target.name, now, settings.settle_margin_s)
    if last_effect_at is None:
        return hands
    grace_s = target.stop_grace_s if math.isfinite(target.stop_grace_s) else float(settings.stop_timeout_s)
    until = last_effect_at + timedelta(seconds=grace_s + settings.settle_margin_s)
    return (*hands, Hand(since=last_effect_at, until=until))
