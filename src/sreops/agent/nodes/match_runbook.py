"""match_runbook: which runbook, whether the analysis is sure enough, and whether policy lets it act."""

from dataclasses import replace
from typing import Any

from sreops.agent.patient import subject_of
from sreops.agent.remediation.concrete_plan import concrete_plan
from sreops.agent.remediation.measure import nothing_fires
from sreops.agent.remediation.permission import ask_policy
from sreops.agent.remediation.request import request_of
from sreops.agent.state import Outcome, State
from sreops.agent.visit import Visit, escalated, resolved
from sreops.domain.causes.analysis import Analysis, Category
from sreops.domain.incidents.incident import IncidentStatus, Reason, Resolution
from sreops.domain.remediation.policy import PolicyDecision, Verdict, most_cautious
from sreops.domain.runbooks.matching import Selection, select_runbook
from sreops.domain.runbooks.runbook import Plan
from sreops.errors import PlanRefused

_MATCHED_ALERTS = 200  # the newest: ten thousand against every runbook would hold the loop up


async def match_runbook(visit: Visit) -> State:
    """Select, plan, and ask policy."""
    analysis = Analysis.model_validate(visit.state["analysis"])
    selection = await _select(visit, analysis)
    decision = {
        **(visit.incident.decision or {}),
        "selection": {
            "runbook_id": selection.runbook.id if selection.runbook else None,
            "how": selection.how,
            "why": selection.why,
        },
        "would_have": selection.would_have,
    }
    early = await _not_to_be_acted_on(visit, analysis, selection)
    if early is not None or selection.runbook is None:
        return await _without_a_plan(visit, early, decision, selection.would_have)
    subject = subject_of(visit.event, visit.incident)
    try:
        plan = await concrete_plan(visit.tools, subject, selection.runbook, visit.event)
    except PlanRefused as exc:
        await visit.write({"decision": decision})
        return State(
            outcome=escalated(Reason.policy_denied, f"runbook {selection.runbook.id} can't be made concrete: {exc}")
        )
    request = replace(request_of(visit.tools, visit.incident, visit.event, plan, visit.state), approved=False)
    verdict, trouble, _, would = await ask_policy(request, await visit.alerts(), analysis)
    reasons = [*verdict.reasons, *([trouble] if trouble else [])]
    decision.pop("standing", None)
    decision |= {
        "plan": plan.model_dump(mode="json"),
        "plan_hash": plan.plan_hash,
        "policy": {
            "verdict": verdict.verdict.value,
            "reasons": reasons,
            **({"would": _would(visit, would)} if would is not None else {}),
        },
    }
    visit.think(
        f"Runbook {plan.runbook_id} ({selection.how}: {selection.why}); policy: {verdict.verdict.value}"
        + (f" ({'; '.join(reasons)})" if reasons else ""),
    )
    return await _act_on(visit, plan, verdict, reasons, decision)


def _would(visit: Visit, otherwise: PolicyDecision) -> dict[str, Any]:
    """Return what would be done were it no shadow and no dry run, for `report shadow`."""
    return {
        "verdict": otherwise.verdict.value,
        "reasons": list(otherwise.reasons),
        "at": visit.now().isoformat(),
    }


async def _without_a_plan(
    visit: Visit, outcome: Outcome | None, decision: dict[str, Any], would_have: str | None
) -> State:
    """End, unless a plan of the analysis before still waits for a person: it stands until another replaces it."""
    standing = decision.pop("standing", None)
    if outcome is None or outcome["end"] == "resolved" or standing is None or not standing["plan"]:
        await visit.write({"decision": decision})
        return State(outcome=outcome, would_have=would_have)
    visit.think(f"The new analysis brings no other plan ({outcome['why']}): the one that waits stands")
    reasons = list(standing["why"])
    decision |= {
        "plan": standing["plan"],
        "plan_hash": standing["plan_hash"],
        "policy": {"verdict": Verdict.needs_approval.value, "reasons": reasons},
    }
    await visit.write({"decision": decision, "runbook_id": standing["runbook_id"]})
    return State(plan=standing["plan"], approval="needed", approval_why=reasons, step=0)


async def _select(visit: Visit, analysis: Analysis) -> Selection:
    pairs = await visit.pairs()
    newest = [event for event, _ in reversed(pairs[-_MATCHED_ALERTS:])]
    evidence = await visit.tools.store.evidence(visit.incident.id)
    return select_runbook(
        visit.tools.runbooks.of(visit.state.get("runbooks")),
        (*newest, visit.event) if len(pairs) > len(newest) else tuple(newest) or (visit.event,),
        analysis,
        analyst=visit.state["analyst"],
        evidence=tuple(evidence),
    )


async def _not_to_be_acted_on(visit: Visit, analysis: Analysis, selection: Selection) -> Outcome | None:
    named = f"; runbook {selection.would_have} fits" if selection.would_have else ""
    if visit.incident.storm_id is not None:
        why = "it is one of many alerts that came at once: analysed by itself, and not remediated by itself"
        return escalated(Reason.storm, why + named)
    if analysis.category is Category.false_alarm and selection.reason is not Reason.low_confidence:
        if await nothing_fires(visit.tools, await visit.alerts()):
            return resolved(Resolution.false_alarm, analysis.root_cause)
        return escalated(Reason.action_not_remediation, "looks like a false alarm, but the alert may still fire")
    if selection.runbook is None:
        return escalated(selection.reason or Reason.no_runbook_matched, selection.why + named)
    if most_cautious((await visit.alerts()).standing).agent_action == "observe":
        return escalated(Reason.observe_only, f"an alert of the incident asks for observation only{named}")
    return None


async def _act_on(
    visit: Visit, plan: Plan, verdict: PolicyDecision, reasons: list[str], decision: dict[str, object]
) -> State:
    fields: dict[str, object] = {"decision": decision, "runbook_id": plan.runbook_id, "plan_hash": plan.plan_hash}
    state = State(plan=plan.model_dump(mode="json"), approval="", step=0)
    if verdict.verdict is Verdict.deny:
        state["outcome"] = escalated(Reason.policy_denied, "; ".join(reasons) or "policy denies")
    elif verdict.verdict is Verdict.needs_approval:
        state["approval"], state["approval_why"] = "needed", reasons
        state["asked_at"] = visit.now().isoformat()
    else:
        fields["status"] = IncidentStatus.remediating
        steps = ", then ".join(f"{step.action.value} {step.target}" for step in plan.steps)
        visit.note("plan", f"Runbook `{plan.runbook_id}`: {steps}.")
    await visit.write(fields)
    return state
