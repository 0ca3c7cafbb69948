"""Asking policy: gathers what policy decides from, at the moment it is asked."""

from datetime import datetime
from typing import NamedTuple

from sreops.agent.remediation.errands import errand_facts
from sreops.agent.remediation.exclusion import ask_not_when
from sreops.agent.remediation.limits import limits_of
from sreops.agent.remediation.proof import second_proof
from sreops.agent.remediation.quiet_times import quiet_times
from sreops.agent.remediation.starts import with_their_starts
from sreops.agent.remediation.targets import target_facts
from sreops.agent.visit import Visit
from sreops.domain.remediation.policy import (
    PolicyDecision,
    PolicyFacts,
    PolicyInput,
    decide,
    most_cautious,
)
from sreops.domain.remediation.proof import points_elsewhere
from sreops.domain.remediation.stopping import stops_on_purpose
from sreops.domain.remediation.what_if import decide_otherwise
from sreops.domain.runbooks.runbook import Plan


class Permission(NamedTuple):
    """Policy's decision; why a target could not be known, if so; and the second proof that it was decided by.

    ``would`` is the decision were it no shadow and no dry run; None where it is neither.
    """

    decision: PolicyDecision
    trouble: str
    proof: tuple[str, ...]
    would: PolicyDecision | None = None


async def ask_policy(visit: Visit, plan: Plan, *, approved: bool, begun: bool = False) -> Permission:
    """Ask policy about a plan now; one that has ``begun`` stands on the proof of its beginning, for it acts on it."""
    tools, event = visit.tools, visit.event
    found = await target_facts(tools, plan, errand_facts, incident_id=visit.incident.id, begun=begun)
    targets = found.facts
    wishes = most_cautious(await visit.alerts())
    facts: PolicyFacts = await tools.store.policy_facts(
        visit.incident.id,
        visit.incident.service,
        plan.runbook_id,
        now=visit.now(),
        targets=sorted({name for target in targets for name in (target.name, *target.aliases)}),
        standings=sorted({target.standing for target in targets if target.standing}),
    )
    if (why := await tools.paused_by_file()) is not None:
        facts = facts.model_copy(update={"paused": True, "paused_why": why})
    proof = tuple(visit.state.get("proof", ())) if begun else await second_proof(visit, plan)
    own = {visit.incident.service, visit.event.service, *(name for target in targets for name in target.aliases)}
    elsewhere = () if begun else points_elsewhere(await tools.store.evidence(visit.incident.id), own)
    exclusion = await ask_not_when(visit, plan)
    quiet = await quiet_times(visit, plan, targets, {*own, *(target.name for target in targets)})
    unasked = (*quiet.unasked, *([exclusion.unknown] if exclusion.unknown else []))
    asked_at = visit.state.get("asked_at")
    given = PolicyInput(
        now=visit.now(),
        tier=wishes.tier,
        agent_action=wishes.agent_action,
        autonomy=plan.autonomy,
        shadow=plan.shadow,
        cooldown_s=plan.cooldown_s,
        targets=with_their_starts(visit, found, facts.last_effect_at),
        facts=facts,
        limits=limits_of(tools.settings),
        event_received_at=event.received_at,
        alert_started_at=event.starts_at,
        approved=approved,
        second_proof=proof,
        elsewhere=elsewhere,
        always_asked=stops_on_purpose(plan),
        effects_before=sum(effect.episode < visit.incident.episode for effect in visit.incident.effects),
        asked_at=datetime.fromisoformat(asked_at) if asked_at else None,
        begun=begun,
        excluded=exclusion.holds,
        quiet=quiet.holds,
        unasked=unasked if not begun else (),
    )
    return Permission(decide(given), found.trouble, proof, decide_otherwise(given))
