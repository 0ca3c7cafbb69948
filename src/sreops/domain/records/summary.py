"""The living summary of an incident on its issue: what is wrong, done, next, seen, and when. Pure Markdown.

Who keeps the issue neutralises the whole text; here what others wrote is only kept short and inside code.
"""

from collections.abc import Sequence
from datetime import datetime

from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Incident, IncidentStatus, VerificationResult
from sreops.domain.incidents.needs import Need, need_of
from sreops.domain.records.handover import code, cost_in_words
from sreops.domain.records.next_step import next_step
from sreops.domain.records.timeline import TimelineEntry

_EVIDENCE = 12
_LINES = 40


def summary(
    incident: Incident,
    events: Sequence[tuple[AlertEvent, str]],
    evidence: Sequence[Evidence],
    timeline: Sequence[TimelineEntry],
    *,
    link: str | None,
    now: datetime,
) -> str:
    """Return the summary as the incident stands at ``now``; ``link`` is its page."""
    return "\n".join(
        [
            "## What is wrong",
            "",
            *_wrong(incident, events),
            "",
            "## What was done",
            "",
            *_done(incident),
            "",
            "## What you do now",
            "",
            *_next(incident, now, link),
            "",
            "## Evidence",
            "",
            *_evidence(evidence),
            "",
            "## Timeline",
            "",
            *_timeline(timeline),
        ]
    )


def _wrong(incident: Incident, events: Sequence[tuple[AlertEvent, str]]) -> list[str]:
    firing = [event for event, _ in events if event.status is AlertStatus.firing]
    told = next((event.annotations["summary"] for event in reversed(firing) if event.annotations.get("summary")), "")
    since = f"since {_clock(firing[0].starts_at)}" if firing else f"since {_clock(incident.opened_at)}"
    state = f"cleared {_clock(incident.cleared_at)}" if incident.cleared_at else "still firing"
    lines = [f"{code(incident.service)}: {code(incident.alertname)} ({incident.severity.value}), {since}, {state}."]
    if told:
        lines.append(f"The alert says: {code(told)}")
    if incident.known_cause:
        sure = f", {incident.confidence:.0%} sure" if incident.confidence is not None else ""
        lines.append(f"Cause ({incident.analyst or 'rules'}{sure}): {code(incident.known_cause)}")
    else:
        lines.append("No cause is known yet." if not incident.status.ended else "No cause was established.")
    if incident.feedback:
        verdict = "was right" if incident.feedback.get("right") else "was wrong"
        lines.append(f"{code(str(incident.feedback.get('by')))} says that the cause {verdict}.")
    return [f"- {line}" for line in lines]


def _done(incident: Incident) -> list[str]:
    lines = [
        f"- {_clock(effect.intent_at)} {effect.action.replace('_', ' ')} {code(effect.target)}: "
        + (effect.outcome.value if effect.outcome else "under way")
        for effect in incident.effects
    ] or ["- Nothing was changed."]
    if incident.verification:
        why = str((incident.decision or {}).get("why") or "")
        proof = f": {code(why)}" if why and incident.verification is VerificationResult.fixed else ""
        lines.append(f"- Afterwards: {incident.verification.value.replace('_', ' ')}{proof}.")
    usage = (incident.decision or {}).get("model_usage") or {}
    if usage.get("calls"):
        lines.append(f"- The model took {cost_in_words(usage)}.")
    return lines


def page_line(link: str) -> str:
    """Return the line that leads to the incident's page."""
    return f"- Its page: {link}"


def _next(incident: Incident, now: datetime, link: str | None) -> list[str]:
    page = [page_line(link)] if link else []
    if incident.status is IncidentStatus.resolved:
        closed = incident.closed
        how = f"{code(str(closed['by']))} closed it as {closed['was']}" if closed else f"{incident.resolution}"
        return [f"- Nothing: {how}.", *page]
    if need_of(incident, now) is Need.approval:
        plan = ((incident.decision or {}).get("plan") or {}).get("steps", ())
        steps = ", then ".join(f"{step.get('action')} {step.get('target')}" for step in plan)
        return [f"- Decide about the plan {code(incident.plan_hash)}: {code(steps)}", *page]
    if incident.status is IncidentStatus.escalated:
        why = str((incident.decision or {}).get("why") or "")
        known = [f"- {code(incident.acknowledged_by)} knows of it."] if incident.acknowledged_by else []
        return [f"- {next_step(incident.reason, incident)}", *([f"- Why: {code(why)}"] if why else []), *known, *page]
    return ["- Nothing yet: sreops is at work.", *page]


def _evidence(evidence: Sequence[Evidence]) -> list[str]:
    items = [item for item in evidence if item.kind not in (EvidenceKind.alert, EvidenceKind.gap)]
    lines = [f"- **{item.id}** {item.source}: {code(item.finding)}" for item in items[:_EVIDENCE]]
    if gaps := [item.source for item in evidence if item.kind is EvidenceKind.gap]:
        lines.append(f"- Not available: {', '.join(dict.fromkeys(gaps))}.")
    return lines or ["- Nothing yet."]


def _timeline(timeline: Sequence[TimelineEntry]) -> list[str]:
    shown = [f"- {_clock(entry.at)} {code(entry.text)}" for entry in timeline[-_LINES:]]
    left_out = len(timeline) - len(shown)
    return [*([f"- {left_out} earlier ones are left out."] if left_out > 0 else []), *shown] or ["- Nothing yet."]


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
