"""What a person does next about an incident that was handed over, for every reason of an escalation. Pure."""

from collections.abc import Mapping

from sreops.domain.causes.analysis import Category, RecommendedAction
from sreops.domain.causes.taxonomy import CAUSES
from sreops.domain.incidents.incident import Incident, Reason

_NOTHING = RecommendedAction.none
NEXT_STEPS: Mapping[Reason, str] = {
    Reason.low_confidence: "Check whether the cause is right; if so, mend it by hand.",
    Reason.no_runbook_matched: "No runbook covers this. Remedy it by hand, then consider writing one.",
    Reason.unknown_runbook: "The named runbook does not exist. Correct the alert's runbook_id label or add it.",
    Reason.action_not_remediation: "A restart or scaling would not mend this. Mend the cause by hand.",
    Reason.observe_only: "The alert asks for observation only. Decide whether the recommended action is wanted.",
    Reason.policy_denied: "Policy forbids acting here, for the reasons given. Act by hand, or widen the policy.",
    Reason.approval_rejected: "A person rejected the plan. Remedy it another way.",
    Reason.approval_expired: "Nobody decided in time. Decide now and act by hand.",
    Reason.step_failed: "A step could not be carried out. See its error, and act by hand.",
    Reason.outcome_unknown: "Look at the target first: whether the step happened could not be known.",
    Reason.remediation_ineffective: "The remedy was applied and did not help. Do not repeat it; look elsewhere.",
    Reason.verification_unknown: "The remedy was applied, but nothing could prove that it helped. Check the service.",
    Reason.analysis_failed: "No analysis could be made. Investigate from the evidence below.",
    Reason.already_healthy: "The runbook's conditions hold while the alert fires. Check the alert rule or the runbook.",
    Reason.resolved_without_proof: "The alert ended, and nothing proves that the service is well. Check the service.",
    Reason.refired: "It comes back: whatever was done, or happened by itself, does not last. Look behind it.",
    Reason.merged: "It joined an older incident of the same target. Go on there.",
    Reason.storm: "Many alerts came at once. Look for what they share.",
    Reason.timed_out: "The incident took too long. See where it stood below.",
    Reason.internal_error: "sreops failed while working on this. Investigate by hand, and report the error.",
}
"""What a person needs to do next, for every reason of an escalation."""

_SYMPTOM = "That is a symptom, and what is behind it is not known."
_CHANGED = "begin with what was changed"


def next_step(reason: Reason | None, incident: Incident, *, changed: bool = False) -> str:
    """Return what is asked of a person about an incident that was handed over for this reason.

    ``changed``: it is told beside this what was changed lately. Nobody is sent to check a cause that is not there, or
    to follow a runbook that nobody names.
    """
    if reason is None:
        return "Investigate by hand."
    unclear = reason is Reason.action_not_remediation and _asks_for_a_look(incident)
    if reason is not Reason.low_confidence and not unclear:
        return NEXT_STEPS[reason]
    named = incident.runbook_id or str((incident.decision or {}).get("would_have") or "")
    follow = f"follow runbook {named}" if named else ""
    steps = ", then ".join(step for step in (_CHANGED if changed else "", follow) if step)
    if only_a_symptom(incident):
        steps = steps or "look for it by hand"
        return f"{_SYMPTOM} {steps[0].upper()}{steps[1:]}."
    if not incident.known_cause:
        return f"Look for the cause by hand{f': {steps}' if steps else ''}."
    return f"Check whether the cause is right; if so, {follow or 'mend it by hand: no runbook fits'}."


def _asks_for_a_look(incident: Incident) -> bool:
    """Whether nothing was recommended because the cause is not clear, and not because a restart would not mend it."""
    analysis = (incident.decision or {}).get("analysis") or {}
    return analysis.get("recommended_action") == RecommendedAction.investigate.value


def only_a_symptom(incident: Incident) -> bool:
    """Whether what was found says how it shows and not why: slow, failing, crashing."""
    cause = CAUSES.get(Category(incident.category)) if incident.category in set(Category) else None
    return cause is not None and cause.depth == 1 and not cause.action.acts and cause.action is not _NOTHING
