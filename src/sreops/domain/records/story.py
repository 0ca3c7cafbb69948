"""An incident as a story: what is wrong, what was done, what a person does now. Pure; the page is made of it."""

import re
from collections.abc import Sequence

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.alerts.subject_labels import SubjectKind
from sreops.domain.evidence.evidence import Evidence
from sreops.domain.incidents.incident import Effect, Incident, IncidentStatus, Reason, Resolution, VerificationResult
from sreops.domain.records import clues
from sreops.domain.records.next_step import next_step, only_a_symptom
from sreops.domain.runbooks.runbook import Runbook, Step, StepAction
from sreops.domain.runbooks.template import ValueRefused, fill_text
from sreops.domain.text.redaction import one_line

_SAID_CHARS = 220
_WORD = re.compile(r"\w+")
_LINKING = frozenset({"on", "of", "for", "at", "in", "is", "fires", "firing", "alert"})
_IDS = re.compile(r"\s?\(E[0-9]{1,4}(?:(?:,| and) E[0-9]{1,4}){0,20}\)")
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
    """The three answers that somebody who was woken looks for.

    ``said`` is what the alert says, where ``wrong`` is something else; ``log_line`` the most telling one;
    ``changes`` what was changed of the service lately.
    """

    model_config = ConfigDict(frozen=True)
    wrong: str
    said: str
    numbers: tuple[str, ...]
    log_line: str
    changes: tuple[str, ...]
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
    said, cause = _said(incident, events), incident.known_cause
    wrong = without_ids(cause) if cause else _fires(incident, said)
    changed = clues.changes(evidence, cited)
    why_is_open = not cause or only_a_symptom(incident)
    named = clues.numbers(evidence, cited, wrong)
    if why_is_open:
        seen = clues.standing_out(evidence, incident.service, cited)
        named = (*named, *seen)[: clues.SHOWN]
    return Story(
        wrong=wrong,
        said=said if cause else "",
        numbers=named,
        log_line=clues.log_line(evidence, cited, everywhere=why_is_open),
        changes=changed,
        since=min(firing, default=incident.opened_at),
        cleared_at=incident.cleared_at,
        deeds=tuple(_deed(effect) for effect in mine),
        done=_done(incident, bool(mine), events, evidence),
        asked=_asked(incident, changed),
        guide=_guide(runbook, events) if runbook is not None else None,
    )


def _said(incident: Incident, events: Sequence[AlertEvent]) -> str:
    """Return what the newest firing alert says of itself: its summary, and its description, which has the numbers."""
    if not events:
        return ""
    newest = ([event for event in events if event.status is AlertStatus.firing] or events)[-1]
    given = [one_line(newest.annotations.get(name, ""), _SAID_CHARS) for name in ("summary", "description")]
    known = {*_LINKING, *_words(one_line(incident.alertname, _SAID_CHARS)), *_words(one_line(incident.service, 200))}
    texts = [text for text in dict.fromkeys(given) if text and not known.issuperset(_words(text))]
    both = ". ".join(text.rstrip(".") for text in texts)
    return both if len(both) <= _SAID_CHARS else texts[0]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _fires(incident: Incident, said: str) -> str:
    """Say what is the trouble where no cause is known: what the alert says, else of what it fires."""
    if said:
        return f"{incident.alertname}: {said}"
    scope = ", ".join(f"{name} {value}" for name, value in sorted(incident.subject.scope.items()))
    if incident.subject.kind is SubjectKind.rule:
        return f"{incident.alertname} fires" + (f" for {scope}" if scope else "")
    return f"{incident.alertname} fires on {incident.service}"


def without_ids(text: str) -> str:
    """Return a sentence without the ids of evidence that it names in brackets: people read it where none is seen."""
    return _IDS.sub("", text)


def _deed(effect: Effect) -> Deed:
    return Deed(
        what=f"{effect.action.replace('_', ' ')} {effect.target}",
        at=effect.intent_at,
        tone=effect.outcome.value if effect.outcome else "under_way",
        detail=effect.detail,
    )


def _done(incident: Incident, acted: bool, events: Sequence[AlertEvent], evidence: Sequence[Evidence]) -> str:
    if incident.status.ended:
        end = _ENDS.get(incident.resolution, "") if incident.resolution else ""
        why = _why(incident, events, evidence)
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


def _why(incident: Incident, events: Sequence[AlertEvent], evidence: Sequence[Evidence]) -> str:
    """Say why sreops stopped, in a person's words; the runbook that fits stands with its steps under what to do."""
    if incident.status is IncidentStatus.escalated and incident.reason is Reason.low_confidence:
        return _unsure(incident, events, evidence)
    decision = incident.decision or {}
    return str(decision.get("why") or "").removesuffix(f"; runbook {decision.get('would_have')} fits")


def _unsure(incident: Incident, events: Sequence[AlertEvent], evidence: Sequence[Evidence]) -> str:
    lacking = clues.unseen(evidence)
    saw = f" It could see {lacking} of it." if lacking else ""
    if only_a_symptom(incident):
        return f"What is wrong was seen, but not why.{saw}"
    if not incident.known_cause:
        return f"No cause was found.{saw}"
    threshold = max((event.escalate_threshold for event in events), default=1.0)
    sure = _percent(incident.confidence or 0)
    return f"The cause is only {sure} sure, and sreops acts from {_percent(threshold)} on."


def _percent(share: float) -> str:
    return f"{int(share * 100 + 1e-9)} %"  # cut, not rounded: 69.6 % is not enough where 70 % are asked for


def _asked(incident: Incident, changed: Sequence[str]) -> str:
    if incident.status is IncidentStatus.awaiting_approval:
        return "Decide about the plan above. Reject hands the incident to you and changes nothing; so does waiting."
    if incident.status is IncidentStatus.escalated:
        return next_step(incident.reason, incident, changed=bool(changed))
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
