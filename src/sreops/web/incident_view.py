"""One incident as the page shows it: built from what the store holds, nothing decided here. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.subject import in_words as subject_in_words
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Incident, IncidentStatus
from sreops.domain.records.blast_radius import BlastRadius, blast_radius
from sreops.domain.records.record import Record, RecordKind
from sreops.domain.records.story import Story, tell
from sreops.domain.runbooks.plan import NAMES_TARGET
from sreops.domain.runbooks.runbook import Runbook, StepAction
from sreops.ports import Approval
from sreops.web.measured import MeasuredView, last_look, measured_in
from sreops.web.model_usage import Usage, usage_of
from sreops.web.words import list_in, mapping_in, safe_link, sparkline, text_in, words

_BEFORE = {"correlate": "Correlation"}

STAGES: Mapping[str, str] = {
    "consume_event": "Alert",
    "create_gitlab_issue": "Ticket",
    "enrich_context": "Evidence",
    "analyze_root_cause": "Cause",
    "match_runbook": "Runbook",
    "await_approval": "Approval",
    "execute_remediation": "Remedy",
    "verify_success": "Verification",
    "close_or_escalate": "End",
}
"""The agent's nodes in their order, in a reader's words."""

SHOWN_EVENTS = 30
SHOWN_RECORDS = 1000
"""Entries of the timeline: the newest."""
_EXCERPT_CHARS = 20_000


@dataclass(frozen=True)
class Stage:
    """One stage of the way; ``state`` is ``done``, ``now``, ``skipped`` or ``ahead``."""

    label: str
    state: str
    at: datetime | None = None


@dataclass(frozen=True)
class Line:
    """One thought or action; ``tone`` is ``thought``, ``action`` or ``decision``."""

    seq: int
    at: datetime
    who: str
    text: str
    tone: str
    details: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Piece:
    """One piece of evidence; ``cited`` says that the cause rests on it."""

    id: str
    kind: str
    source: str
    finding: str
    text: str
    query: str
    link: str | None
    partial: bool
    cited: bool
    cure: str
    curve: str


@dataclass(frozen=True)
class StepView:
    """One step of the plan."""

    action: str
    target: str
    params: str
    disruptive: bool = True


@dataclass(frozen=True)
class RunbookChoice:
    """Which runbook was selected, how and why; empty where none was looked for."""

    runbook_id: str
    how: str
    why: str


@dataclass(frozen=True)
class IncidentView:
    """All that the template of one incident needs."""

    incident: Incident
    subject: str  # who it is, what tells it from its namesakes, and why it was taken
    now: datetime
    stages: Sequence[Stage]
    lines: Sequence[Line]
    evidence: Sequence[Piece]
    alerts: Sequence[tuple[AlertEvent, str, str | None]]
    alerts_left_out: int
    lines_cut: bool  # older ones are left out
    issue_link: str | None
    reasoning: str
    recommended: str
    model: str
    selection: RunbookChoice | None
    would_have: str
    steps: Sequence[StepView]
    conditions: Sequence[tuple[str, str]]
    plan_hash: str
    verdict: str
    reasons: Sequence[str]
    measured: Sequence[MeasuredView]
    container: str
    story: Story
    radius: BlastRadius
    links: Sequence[tuple[str, str]]
    usage: Usage | None
    missing: Sequence[tuple[str, str]]
    approval: Approval | None
    decidable: bool
    last_seq: int = 0
    cited: Sequence[str] = field(default_factory=tuple)

    @property
    def evidence_parts(self) -> list[tuple[str, Sequence[Piece]]]:
        """The evidence in the order in which it is read: what the cause rests on, then the rest, folded."""
        cited = self.evidence_cited
        rest = [piece for piece in self.evidence if not piece.cited]
        if not cited or not rest:
            return [("", self.evidence)]
        return [("", cited), (f"{len(rest)} more, on which the cause does not rest", rest)]

    @property
    def evidence_cited(self) -> list[Piece]:
        """The evidence that the cause rests on."""
        return [piece for piece in self.evidence if piece.cited]

    @property
    def disrupts(self) -> str:
        """What the plan does to what runs, in short; empty where it only looks."""
        return ", ".join(f"{step.action} {step.target}" for step in self.steps if step.disruptive)


def view_incident(
    incident: Incident,
    events: Sequence[tuple[AlertEvent, str]],
    evidence: Sequence[Evidence],
    records: Sequence[Record],
    approval: Approval | None,
    now: datetime,
    runbooks: Sequence[Runbook] = (),
) -> IncidentView:
    """Build the view; ``records`` are ascending; ``runbooks`` are those that are in force."""
    decision = incident.decision or {}
    analysis, plan = mapping_in(decision, "analysis"), mapping_in(decision, "plan")
    policy = mapping_in(decision, "policy")
    known = {piece.id for piece in evidence}
    cited = tuple(str(piece_id) for piece_id in list_in(analysis, "evidence") if str(piece_id) in known)
    looked, before = last_look(records, incident.episode_at)
    return IncidentView(
        incident=incident,
        subject=subject_in_words(incident.subject),
        now=now,
        stages=_stages(incident, records),
        lines=[_line(record) for record in records],
        evidence=[_piece(piece, piece.id in cited) for piece in evidence],
        alerts=[(event, how, safe_link(event.generator_url)) for event, how in events[-SHOWN_EVENTS:]],
        alerts_left_out=max(0, max(incident.event_count, len(events)) - SHOWN_EVENTS),
        lines_cut=len(records) >= SHOWN_RECORDS,
        issue_link=safe_link(incident.issue.url) if incident.issue else None,
        reasoning=text_in(analysis, "reasoning"),
        recommended=text_in(analysis, "recommended_action"),
        model=text_in(decision, "model"),
        selection=_choice(mapping_in(decision, "selection")),
        would_have=text_in(decision, "would_have"),
        steps=[_step(step) for step in list_in(plan, "steps") if isinstance(step, Mapping)],
        conditions=[
            (text_in(condition, "promql"), text_in(condition, "condition"))
            for condition in list_in(plan, "verify")
            if isinstance(condition, Mapping)
        ],
        plan_hash=text_in(decision, "plan_hash") or incident.plan_hash or "",
        verdict=text_in(policy, "verdict"),
        reasons=[str(reason) for reason in list_in(policy, "reasons")],
        measured=measured_in(looked, before),
        container=text_in(looked, "container"),
        story=tell(incident, [event for event, _ in events], evidence, cited, _runbook(incident, decision, runbooks)),
        radius=blast_radius(evidence),
        links=_links([event for event, _ in events]),
        usage=usage_of(mapping_in(decision, "model_usage"), mapping_in(decision, "confidence")),
        missing=sorted((str(name), str(cure)) for name, cure in mapping_in(decision, "missing").items()),
        approval=approval,
        decidable=_decidable(incident, approval, now),
        last_seq=records[-1].seq if records else 0,
        cited=cited,
    )


def _runbook(incident: Incident, decision: Mapping[str, Any], runbooks: Sequence[Runbook]) -> Runbook | None:
    """Return the runbook that a person is to follow: the chosen one, else the one that would have matched."""
    name = incident.runbook_id or text_in(decision, "would_have")
    return next((runbook for runbook in runbooks if runbook.id == name), None)


def _links(events: Sequence[AlertEvent]) -> list[tuple[str, str]]:
    """Return where to look on, of the newest alert that names it."""
    found: dict[str, str] = {}
    for event in reversed(events):
        for label, url in (
            ("Dashboard", event.dashboard_url),
            ("Panel", event.panel_url),
            ("Silence", event.silence_url),
            ("Alert rule", event.generator_url),
        ):
            if label not in found and (link := safe_link(url)):
                found[label] = link
    return list(found.items())


def _decidable(incident: Incident, approval: Approval | None, now: datetime) -> bool:
    if incident.status is not IncidentStatus.awaiting_approval or approval is None:
        return False
    return approval.decision is None and now < approval.expires_at


def _stages(incident: Incident, records: Sequence[Record]) -> list[Stage]:
    """Say of each stage whether the running episode has been there: by the first record that it left."""
    first: dict[str, datetime] = {}
    for record in records:
        node = text_in(record.body, "node")
        if record.kind is RecordKind.thought and node in STAGES and record.at >= incident.episode_at:
            first.setdefault(node, record.at)
    names = list(STAGES)
    reached = max((names.index(node) for node in first), default=-1)
    stages = []
    for place, (node, label) in enumerate(STAGES.items()):
        if node not in first:
            state = "skipped" if place < reached or incident.status.ended else "ahead"
        else:
            state = "now" if place == reached and not incident.status.ended else "done"
        if node == "analyze_root_cause" and state == "done" and not incident.known_cause:
            label, state = "No cause found", "skipped"
        stages.append(Stage(label=label, state=state, at=first.get(node)))
    return stages


def _line(record: Record) -> Line:
    body = record.body
    if record.kind is RecordKind.thought:
        node = text_in(body, "node")
        who = STAGES.get(node) or _BEFORE.get(node, words(node))
        return Line(record.seq, record.at, who, text_in(body, "text"), "thought", _details(body))
    target, detail, phase = text_in(body, "target"), text_in(body, "detail"), text_in(body, "phase")
    outcome = text_in(mapping_in(body, "data"), "outcome")
    told = ": ".join(part for part in (outcome, detail) if part)
    text = f"{words(text_in(body, 'action'))} {target}".strip() + (f": {told}" if told else "")
    tone = "decision" if phase == "decision" else "action"
    return Line(record.seq, record.at, f"{phase} by {text_in(body, 'by')}", text, tone)


def _details(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a thought carries for people: its reasoning; the rest is for machines."""
    reasoning = text_in(mapping_in(body, "data"), "reasoning")
    return [("reasoning", reasoning)] if reasoning else []


def _choice(selection: Mapping[str, Any]) -> RunbookChoice | None:
    if not selection:
        return None
    return RunbookChoice(text_in(selection, "runbook_id"), text_in(selection, "how"), text_in(selection, "why"))


def _piece(piece: Evidence, cited: bool) -> Piece:
    return Piece(
        id=piece.id,
        kind=piece.kind.value,
        source=piece.source,
        finding=piece.finding,
        text=piece.text[:_EXCERPT_CHARS],
        query=piece.query,
        link=safe_link(piece.url),
        partial=piece.partial,
        cited=cited,
        cure=text_in(piece.data, "cure"),
        curve=sparkline(list_in(piece.data, "points")),
    )


def _step(step: Mapping[str, Any]) -> StepView:
    params = mapping_in(step, "params")
    shown = ", ".join(f"{name} {value}" for name, value in params.items() if name not in NAMES_TARGET)
    name = text_in(step, "action")
    looks_only = name in set(StepAction) and not StepAction(name).disruptive
    return StepView(action=words(name), target=text_in(step, "target"), params=shown, disruptive=not looks_only)
