"""An incident as a story: what is wrong, what was done, what a person does now. Pure; the page is made of it."""

import re
from collections.abc import Sequence

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Effect, Incident, IncidentStatus, Resolution, VerificationResult
from sreops.domain.records.handover import NEXT_STEPS
from sreops.domain.runbooks.runbook import Runbook, Step, StepAction
from sreops.domain.runbooks.template import ValueRefused, fill_text

SHOWN_NUMBERS = 2
_IDS = re.compile(r"\s?\(E[0-9]{1,4}(?:(?:,| and) E[0-9]{1,4}){0,20}\)")
_WITHOUT_NUMBERS = frozenset({EvidenceKind.logs, EvidenceKind.alert, EvidenceKind.gap, EvidenceKind.history})
_ENDS = {
    Resolution.fixed: "It was fixed.",
    Resolution.recovered: "It recovered by itself.",
    Resolution.false_alarm: "Nothing was wrong with it.",
    Resolution.closed: "A person closed it.",
}


class Deed(BaseModel):
    """One thing that sreops did to what runs, told once; ``tone`` is an outcome's name or ``under_way``."""

    model_config = ConfigDict(frozen=True)
    what: str
    at: AwareDatetime
    tone: str
    detail: str = ""


class Guide(BaseModel):
    """The runbook that a person follows: its title, its steps in words, and where to read on."""

    model_config = ConfigDict(frozen=True)
    title: str
    steps: tuple[str, ...]
    docs: str


class Story(BaseModel):
    """The three answers that somebody who was woken looks for."""

    model_config = ConfigDict(frozen=True)
    wrong: str
    numbers: tuple[str, ...]
    since: AwareDatetime
    cleared_at: AwareDatetime | None
    deeds: tuple[Deed, ...]
    done: str
    asked: str
    guide: Guide | None = None


def tell(
    incident: Incident,
    events: Sequence[AlertEvent],
    evidence: Sequence[Evidence],
    cited: Sequence[str],
    runbook: Runbook | None,
) -> Story:
    """Tell an incident; ``events`` are its alerts, oldest first.

    ``runbook`` is the one that was chosen, or would have been.
    """
    firing = [event.starts_at for event in events if event.status is AlertStatus.firing]
    mine = [effect for effect in incident.effects if effect.episode == incident.episode]
    return Story(
        wrong=_wrong(incident, events),
        numbers=_numbers(evidence, cited),
        since=min(firing, default=incident.opened_at),
        cleared_at=incident.cleared_at,
        deeds=tuple(_deed(effect) for effect in mine),
        done=_done(incident, bool(mine)),
        asked=_asked(incident),
        guide=_guide(runbook, events) if runbook is not None else None,
    )


def _wrong(incident: Incident, events: Sequence[AlertEvent]) -> str:
    """Say what is the trouble, not why sreops stopped: the cause, else what the alert says."""
    if incident.root_cause:
        return without_ids(incident.root_cause)
    newest = events[-1] if events else None
    said = (
        next((newest.annotations[n] for n in ("summary", "description") if newest.annotations.get(n)), "")
        if newest
        else ""
    )
    return f"{incident.alertname}: {said}" if said.strip() else f"{incident.alertname} fires on {incident.service}"


def without_ids(text: str) -> str:
    """Return a sentence without the ids of evidence that it names in brackets: people read it where none is seen."""
    return _IDS.sub("", text)


def _numbers(evidence: Sequence[Evidence], cited: Sequence[str]) -> tuple[str, ...]:
    """Return the measured findings that the cause rests on."""
    told = [piece for piece in evidence if piece.id in cited and piece.kind not in _WITHOUT_NUMBERS]
    return tuple(piece.finding for piece in told[:SHOWN_NUMBERS])


def _deed(effect: Effect) -> Deed:
    return Deed(
        what=f"{effect.action.replace('_', ' ')} {effect.target}",
        at=effect.intent_at,
        tone=effect.outcome.value if effect.outcome else "under_way",
        detail=effect.detail,
    )


def _done(incident: Incident, acted: bool) -> str:
    if incident.status.ended:
        end = _ENDS.get(incident.resolution, "") if incident.resolution else ""
        why = str((incident.decision or {}).get("why") or "")
        proof = f"Proof: {_sentence(why)}" if why and incident.verification is VerificationResult.fixed else ""
        parts = ["" if acted else "Nothing was changed.", end, proof or (_sentence(why) if not end else "")]
        return " ".join(part for part in parts if part)
    if incident.status is IncidentStatus.awaiting_approval:
        return (
            "Nothing is done until somebody decides." if not acted else "Nothing more is done until somebody decides."
        )
    return {
        IncidentStatus.investigating: "It looks for the cause. Nothing was changed so far.",
        IncidentStatus.remediating: "It carries out the runbook.",
        IncidentStatus.verifying: "It measures whether that helped.",
    }.get(incident.status, "")


def _asked(incident: Incident) -> str:
    if incident.status is IncidentStatus.awaiting_approval:
        return "Decide about the plan above. Reject hands the incident to you and changes nothing; so does waiting."
    if incident.status is IncidentStatus.escalated:
        told = NEXT_STEPS.get(incident.reason) if incident.reason else None
        return told or "Investigate by hand."
    return "Nothing: it is over." if incident.status.ended else "Nothing yet: sreops is at work."


def _guide(runbook: Runbook, events: Sequence[AlertEvent]) -> Guide:
    return Guide(
        title=runbook.title or runbook.id,
        steps=tuple(_step(step, events[-1] if events else None) for step in runbook.steps),
        docs=runbook.docs,
    )


def _step(step: Step, event: AlertEvent | None) -> str:
    """Return a step in words: a notice's own, else what it does and with what."""
    params = [_filled(str(value), event) for value in step.params.values()]
    if step.action is StepAction.notify:
        return " ".join(params)
    return " ".join([step.action.value.replace("_", " "), *params])


def _filled(text: str, event: AlertEvent | None) -> str:
    try:
        return text if event is None else fill_text(text, event)
    except ValueRefused:
        return text  # a label that the alert lacks: the template says which


def _sentence(text: str) -> str:
    flat = text.strip()
    return "" if not flat else flat[0].upper() + flat[1:] + ("" if flat.endswith((".", "!", "?")) else ".")
