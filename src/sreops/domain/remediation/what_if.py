"""What would be chosen and decided otherwise, of a recorded incident and of a plan that is only told. Pure."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, Tier
from sreops.domain.causes.analysis import Analysis, Category
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.remediation.policy import (
    PolicyDecision,
    PolicyFacts,
    PolicyInput,
    PolicyLimits,
    TargetFacts,
    Verdict,
    decide,
    most_cautious,
)
from sreops.domain.runbooks.matching import select_runbook
from sreops.domain.runbooks.plan import make_plan
from sreops.domain.runbooks.runbook import Autonomy, Runbook
from sreops.errors import PlanRefused


class WhatIf(BaseModel):
    """What would come of an incident: the runbook (None: none), policy's verdict on it, and why."""

    model_config = ConfigDict(frozen=True)
    runbook_id: str | None = None
    verdict: Verdict | None = None
    why: str = ""

    def differs(self, other: "WhatIf") -> bool:
        """Say whether another runbook would be chosen, or otherwise decided; in other words is no difference."""
        return (self.runbook_id, self.verdict) != (other.runbook_id, other.verdict)


def what_if(
    runbooks: Sequence[Runbook],
    events: Sequence[AlertEvent],
    analysis: Analysis,
    analyst: str,
    evidence: Sequence[Evidence],
    max_tier: Tier,
) -> WhatIf:
    """Return what would be chosen for these alerts (newest first) and this analysis, and what policy would say."""
    if analysis.category is Category.false_alarm:
        return WhatIf(why="a false alarm, which nothing is done about")
    selection = select_runbook(runbooks, events, analysis, analyst, evidence)
    if selection.runbook is None:
        return WhatIf(why=selection.why)
    chosen = selection.runbook
    try:
        make_plan(chosen, events[0], container=events[0].service)
    except PlanRefused as exc:
        return WhatIf(runbook_id=chosen.id, verdict=Verdict.deny, why=f"it can't be made concrete: {exc}")
    verdict, why = verdict_on(chosen.autonomy, chosen.shadow, events, max_tier)
    return WhatIf(runbook_id=chosen.id, verdict=verdict, why="; ".join(filter(None, [selection.why, why])))


def verdict_on(autonomy: Autonomy, shadow: bool, events: Sequence[AlertEvent], max_tier: Tier) -> tuple[Verdict, str]:
    """Return what policy says where nothing but the alerts' wishes and the runbook speaks against it.

    Targets, limits, proofs and silences are of the moment, and not recorded: they are taken to be in order.
    """
    wishes, at = most_cautious(events), events[0].received_at
    decision = decide(
        PolicyInput(
            now=at,
            tier=wishes.tier,
            agent_action=wishes.agent_action,
            autonomy=autonomy,
            shadow=shadow,
            cooldown_s=0,
            targets=(TargetFacts(name="target", found=True, labels={"sreops.enable": "true"}),),
            facts=PolicyFacts(),
            limits=PolicyLimits(max_tier=max_tier),
            event_received_at=at,
            second_proof=("taken to be there",),
        )
    )
    return decision.verdict, "; ".join(decision.reasons) if decision.verdict is not Verdict.allow else ""


def decide_otherwise(given: PolicyInput) -> PolicyDecision | None:
    """Decide what would be done were it no shadow and no dry run; None where it is neither."""
    if not given.shadow and not given.limits.dry_run:
        return None
    limits = given.limits.model_copy(update={"dry_run": False})
    return decide(given.model_copy(update={"shadow": False, "limits": limits}))
