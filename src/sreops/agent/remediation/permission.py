"""Asking policy: gathers what policy decides from, at the moment it is asked."""

import math
from datetime import datetime, timedelta
from typing import NamedTuple

from sreops.agent.alerts import Alerts
from sreops.agent.remediation.limits import limits_of
from sreops.agent.remediation.not_when import ask_not_when
from sreops.agent.remediation.proof import second_proof
from sreops.agent.remediation.quiet_times import quiet_times
from sreops.agent.remediation.request import Request
from sreops.agent.remediation.targets import Targets, target_facts
from sreops.domain.causes.analysis import Analysis
from sreops.domain.remediation.meanwhile import Hand, our_hands, started_by_somebody_else
from sreops.domain.remediation.policy import (
    PolicyDecision,
    PolicyFacts,
    PolicyInput,
    TargetFacts,
    decide,
    most_cautious,
)
from sreops.domain.remediation.proof import points_elsewhere
from sreops.domain.remediation.stopping import stops_on_purpose
from sreops.domain.remediation.what_if import decide_otherwise


class Permission(NamedTuple):
    """Policy's decision; why a target could not be known, if so; and the second proof that it was decided by.

    ``would`` is the decision were it no shadow and no dry run; None where it is neither.
    """

    decision: PolicyDecision
    trouble: str
    proof: tuple[str, ...]
    would: PolicyDecision | None = None


async def ask_policy(request: Request, alerts: Alerts, analysis: Analysis, *, begun: bool = False) -> Permission:
    """Ask policy about a plan now; one that has ``begun`` keeps the proof that it began with.

    Its own steps change what a new look would see.
    """
    tools, incident, event, plan = request.tools, request.incident, request.event, request.plan
    found = await target_facts(tools, plan, incident_id=incident.id, begun=begun)
    targets = found.facts
    wishes = most_cautious(alerts.standing)
    facts: PolicyFacts = await tools.store.policy_facts(
        incident.id,
        incident.service,
        plan.runbook_id,
        now=request.now(),
        targets=sorted({name for target in targets for name in (target.name, *target.aliases)}),
        standings=sorted({target.standing for target in targets if target.standing}),
    )
    if (why := await tools.paused_by_file()) is not None:
        facts = facts.model_copy(update={"paused": True, "paused_why": why})
    evidence = () if begun else await tools.store.evidence(incident.id)
    proof = request.proof if begun else await second_proof(request, analysis.category, evidence)
    own = {incident.service, event.service, *(name for target in targets for name in target.aliases)}
    elsewhere = points_elsewhere(evidence, own)
    exclusion = await ask_not_when(request, alerts, analysis)
    quiet = await quiet_times(request, alerts, targets, {*own, *(target.name for target in targets)})
    unasked = (*quiet.unasked, *([exclusion.unknown] if exclusion.unknown else []))
    given = PolicyInput(
        now=request.now(),
        tier=wishes.tier,
        agent_action=wishes.agent_action,
        autonomy=plan.autonomy,
        shadow=plan.shadow,
        cooldown_s=plan.cooldown_s,
        targets=_with_their_starts(request, found, facts.last_effect_at),
        facts=facts,
        limits=limits_of(tools.settings),
        event_received_at=event.received_at,
        alert_started_at=event.starts_at,
        approved=request.approved,
        second_proof=proof,
        elsewhere=elsewhere,
        always_asked=stops_on_purpose(plan),
        effects_before=sum(effect.episode < incident.episode for effect in incident.effects),
        asked_at=request.asked_at,
        begun=begun,
        excluded=exclusion.holds,
        quiet=quiet.holds,
        unasked=unasked if not begun else (),
    )
    return Permission(decide(given), found.trouble, proof, decide_otherwise(given))


def _with_their_starts(request: Request, found: Targets, last_effect_at: datetime | None) -> tuple[TargetFacts, ...]:
    """Return the targets with when somebody else has started each since the alert began."""
    began, now = request.event.starts_at, request.now()

    def started_at(target: TargetFacts) -> datetime | None:
        ours = _our_hands(request, target, last_effect_at, now)
        return started_by_somebody_else(found.lives.get(target.name), began, ours)

    return tuple(target.model_copy(update={"started_at": started_at(target)}) for target in found.facts)


def _our_hands(
    request: Request, target: TargetFacts, last_effect_at: datetime | None, now: datetime
) -> tuple[Hand, ...]:
    settings = request.tools.settings.docker
    hands = our_hands(tuple(request.incident.effects), target.standing, target.name, now, settings.settle_margin_s)
    if last_effect_at is None:
        return hands
    grace_s = target.stop_grace_s if math.isfinite(target.stop_grace_s) else float(settings.stop_timeout_s)
    until = last_effect_at + timedelta(seconds=grace_s + settings.settle_margin_s)
    return (*hands, Hand(since=last_effect_at, until=until))
