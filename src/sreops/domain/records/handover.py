"""The account given to people: what was seen, what was done, what to do next. Plain Markdown.

Untrusted text goes through the issue adapter's neutralising again; here it is only kept short.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.subject_labels import SubjectKind
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Incident, IncidentAlert, Reason, Storm
from sreops.domain.records.next_step import next_step


def title(event: AlertEvent, storm: Storm | None = None, members: int = 1) -> str:
    """Return the issue's title, at most 255 characters; ``storm``: that which the incident is."""
    if storm is not None:
        return f"[{event.severity.value}] Storm: {storm.name(members)}"[:255]
    return f"[{event.severity.value}] {event.service}: {event.alertname}"[:255]


def opening(event: AlertEvent, incident_id: str, alert_count: int) -> str:
    """Return the issue's description."""
    lines = [
        "## Alert",
        "",
        f"- service: {code(event.service)}",
        f"- alert: {code(event.alertname)} ({event.severity.value}, tier {event.tier.value})",
        f"- firing since: {event.starts_at.isoformat()}",
        f"- alerts in this incident when it was opened: {alert_count}",
        f"- incident: {code(incident_id)}",
    ]
    for name in ("summary", "description"):
        if text := event.annotations.get(name):
            lines += ["", f"### {name}", "", fenced(text[:4000])]
    if event.warnings:
        lines += ["", "### How it was read", "", *_read(event.warnings)]
    lines += ["", "### labels", "", fenced("\n".join(f"{k}={v}" for k, v in sorted(event.labels.items()))[:8000])]
    return "\n".join(lines)


def closing(
    incident: Incident,
    outcome: Mapping[str, Any],
    evidence: Sequence[Evidence],
    decision: Mapping[str, Any] | None,
    missing: Mapping[str, str],
    alerts: Sequence[IncidentAlert] = (),
) -> str:
    """Return the full account that ends an incident; ``missing`` maps what is not configured to its cure.

    ``alerts``: those of the incident, what fires before what does not, the worst first.
    """
    ended = outcome.get("resolution") or outcome.get("reason")
    lines = [
        f"## {'Resolved' if outcome.get('end') == 'resolved' else 'Escalated'}: {ended}",
        "",
        outcome.get("why", ""),
    ]
    if outcome.get("end") == "escalated":
        lines += ["", "### What to do next", "", next_step(Reason(str(outcome["reason"])), incident)]
        if would_have := (decision or {}).get("would_have"):
            lines += [
                "",
                f"Runbook {code(str(would_have))} would have matched: follow it, unless the reason above forbids.",
            ]
    lines += _place(incident, evidence, alerts)
    lines += ["", "### Alerts", "", *_alerts(incident, alerts)] if alerts else []
    lines += ["", "### Cause", "", *_cause(incident)]
    if changes := _changes(evidence):
        lines += ["", "### What changed", "", *changes]
    lines += ["", "### What was done", "", *_done(incident)]
    lines += ["", "### What was seen", "", *_seen(evidence), *_read((decision or {}).get("warnings", ()))]
    if decision and (policy := decision.get("policy")):
        lines += [
            "",
            "### Policy",
            "",
            f"- verdict: {policy.get('verdict')}",
            *[f"- {reason}" for reason in policy.get("reasons", ())],
        ]
    if usage := (decision or {}).get("model_usage"):
        lines += ["", "### What it cost", "", f"- the model: {cost_in_words(usage)}"]
    if incident.subject.kind in _PLACES:
        missing = {name: cure for name, cure in missing.items() if name != "docker"}  # no engine holds it
    if missing and outcome.get("end") == "escalated":
        lines += ["", "### What was missing", "", *[f"- {name}: {cure}" for name, cure in sorted(missing.items())]]
    return "\n".join(lines)


_PLACES: Mapping[SubjectKind, str] = {SubjectKind.host: "host", SubjectKind.target: "target"}
_TELLING = ("probe", "http_status", "certificate", "disk", "inodes", "node_memory", "load", "node_cpu", "up")
_PLACE_LINES = 6


def _place(incident: Incident, evidence: Sequence[Evidence], alerts: Sequence[IncidentAlert]) -> list[str]:
    """Say of a host or a target which one it is, since when, and what its own series say; it is no container."""
    kind = _PLACES.get(incident.subject.kind)
    if kind is None:
        return []
    since = min((alert.starts_at for alert in alerts), default=incident.opened_at)
    measured = {str(item.data.get("signal")): item for item in evidence if item.kind is EvidenceKind.metric}
    told = [measured[name] for name in _TELLING if name in measured][:_PLACE_LINES]
    lines = ["", f"### The {kind}", "", f"- {kind}: {code(incident.service)}", f"- since: {since.isoformat()}"]
    lines += [f"- {name}: {code(value)}" for name, value in sorted(incident.subject.scope.items())]
    lines += [f"- {code(item.finding)} ({item.id})" for item in told]
    return lines if told else [*lines, "- nothing is known of it but its alerts: see what was asked, below"]


def _alerts(incident: Incident, alerts: Sequence[IncidentAlert]) -> list[str]:
    """Say of each alert whether it fires: none ends with an incident whose end says nothing about it."""
    lines = []
    for alert in alerts:
        severity = f" ({alert.severity.value})" if alert.severity else ""
        state = "still fires" if alert.ended_at is None else f"was resolved at {alert.ended_at.isoformat()}"
        lines.append(f"- {code(alert.alertname)}{severity}, since {alert.starts_at.isoformat()}: {state}")
    more = len(incident.fingerprints) - len(alerts)
    return [*lines, *([f"- … and {more} more"] if more > 0 else [])]


def _cause(incident: Incident) -> list[str]:
    if not incident.known_cause:
        return ["No cause was established."]
    confidence = f"{incident.confidence:.2f}" if incident.confidence is not None else "unknown"
    return [
        fenced(incident.known_cause),
        "",
        f"- confidence {confidence}, by {incident.analyst or 'nobody'}"
        + (f" ({incident.analyst_why})" if incident.analyst_why else ""),
        f"- runbook: {code(incident.runbook_id) if incident.runbook_id else 'none'}",
    ]


def _changes(evidence: Sequence[Evidence]) -> list[str]:
    """Tell what was deployed, the suspected one first, by whom, and the way back."""
    found = [item for item in evidence if item.kind is EvidenceKind.change and item.data.get("deployment")]
    lines = []
    for item in sorted(found, key=lambda item: "suspected" not in item.data):
        lines.append(f"- **{item.id}** {code(item.finding)}" + (f" ({item.url})" if item.url else ""))
        if "suspected" in item.data:
            lines.append(f"  - author: {code(str(item.data.get('by') or 'not known'))}")
            lines.append(f"  - way back: {code(str(item.data.get('way_back')))}")
    return lines


def _done(incident: Incident) -> list[str]:
    mine = [effect for effect in incident.effects if effect.episode == incident.episode]
    if not mine:
        return ["Nothing was changed."]
    return [
        f"- {effect.action} on {code(effect.target)} at {effect.intent_at.isoformat()}: "
        + (effect.outcome.value if effect.outcome else "outcome not known")
        + (f" ({effect.detail})" if effect.detail else "")
        for effect in mine
    ] + ([f"- verification: {incident.verification.value}"] if incident.verification else [])


def _seen(evidence: Sequence[Evidence]) -> list[str]:
    lines: list[str] = []
    for item in evidence:
        mark = " (partial)" if item.partial else ""
        lines.append(f"- **{item.id}** {item.source}{mark}: {code(item.finding)}")
        if item.kind is EvidenceKind.logs and item.text:
            lines += ["", fenced(item.text[:3000]), ""]
    return lines or ["Nothing."]


def _read(warnings: Sequence[str]) -> list[str]:
    """Say what of the alert was read otherwise than it is written, and what its sender left out."""
    return [f"- the alert: {code(warning)}" for warning in warnings]


def cost_in_words(usage: Mapping[str, Any]) -> str:
    """Return what the model has taken for an incident, for people."""
    tokens = int(usage.get("input_tokens") or 0) + int(usage.get("output_tokens") or 0)
    return f"{float(usage.get('usd') or 0):.4f} US dollars, {tokens} tokens, {usage.get('calls')} calls"


def code(text: str | None) -> str:
    """Return inline code that its content can't end or leave."""
    flat = " ".join((text or "").split()).replace("`", "'")
    return f"`{flat[:400]}`"


def fenced(text: str) -> str:
    """Return a fenced block with a fence longer than any run of backticks inside."""
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
