"""Messages: what a notice says, whatever the channel. Pure.

What, how bad, since when · the cause in a sentence · what was done · what is asked · where to look. Its text is that
of alerts and models: short, on one line each, without secrets; a channel's own wording makes it harmless there.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.incidents.incident import Effect, Incident, VerificationResult, storm_of
from sreops.domain.incidents.needs import need_of
from sreops.domain.records.next_step import next_step
from sreops.domain.records.notice import Notice, NoticeKind
from sreops.domain.records.story import without_ids
from sreops.domain.text.redaction import Redactor, one_line

_SHORT = 120
_SENTENCE = 300
_STEPS = 3

ASKS = {
    NoticeKind.approval: "waits for your approval",
    NoticeKind.attention: "needs you",
    NoticeKind.worse: "got worse",
    NoticeKind.returned: "is back",
    NoticeKind.cleared: "has cleared",
    NoticeKind.resolved: "is resolved",
}


class Link(BaseModel):
    """Where to look."""

    model_config = ConfigDict(frozen=True)
    label: str
    url: str


class Message(BaseModel):
    """One message; ``key`` is the incident's, so that a receiver that keeps incidents puts all of one together."""

    model_config = ConfigDict(frozen=True)
    kind: NoticeKind
    key: str
    severity: str
    needs: str | None
    status: str
    service: str
    alertname: str
    headline: str
    what: str
    cause: str = ""
    done: str = ""
    asked: str = ""
    at: AwareDatetime
    links: tuple[Link, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it says that the trouble is over."""
        return not self.kind.asks


def compose(
    notice: Notice,
    incident: Incident,
    events: Sequence[tuple[AlertEvent, str]],
    *,
    expires_at: datetime | None,
    public_url: str | None,
    now: datetime,
) -> Message:
    """Word a notice as its incident stands at ``now``; ``expires_at``: until when its plan waits."""
    event = _speaks_for(events, notice)
    need = need_of(incident, now)
    what = _what(incident, event, now)
    return Message(
        kind=notice.kind,
        key=incident.id,
        severity=notice.severity.value,
        needs=need.value if need else None,
        status=incident.status.value,
        service=_clean(incident.service, _SHORT),
        alertname=_clean(incident.alertname, _SHORT),
        headline=_headline(notice, incident),
        what=what,
        cause=_cause(incident),
        done=_done(incident),
        asked=_asked(notice, incident, expires_at),
        at=notice.at or now,
        links=_links(incident, event, public_url),
    )


def _clean(text: str, limit: int = _SENTENCE) -> str:
    return one_line(Redactor().redact(text[: limit * 8]), limit)


def _headline(notice: Notice, incident: Incident) -> str:
    storm = storm_of(incident.decision)
    subject = f"storm: {storm.name(incident.members)}" if storm is not None else incident.service
    return f"[{notice.severity.value}] {_clean(subject, _SHORT)} {ASKS[notice.kind]}"


def _speaks_for(events: Sequence[tuple[AlertEvent, str]], notice: Notice) -> AlertEvent | None:
    """Return the alert that the message speaks of: the one that the notice names, else the newest that fires."""
    firing = [event for event, _ in events if event.status is AlertStatus.firing]
    named = [event for event in firing if event.alertname == notice.facts.get("alertname")]
    return (named or firing or [None])[-1]  # type: ignore[list-item]  # the last resort is nobody


def _what(incident: Incident, event: AlertEvent | None, now: datetime) -> str:
    if event is None:
        return f"{_clean(incident.alertname, _SHORT)}, since {_clock(incident.opened_at)}"
    text = next((event.annotations[name] for name in ("summary", "description") if event.annotations.get(name)), "")
    summary = f": {_clean(text)}" if text.strip() else ""
    name = _clean(event.alertname, _SHORT)
    if incident.cleared_at is not None:
        return f"{name}{summary}. It fired from {_clock(event.starts_at)} to {_clock(incident.cleared_at)}."
    return f"{name}{summary}. It fires since {_clock(event.starts_at)} ({_age(now - event.starts_at)})."


def _cause(incident: Incident) -> str:
    if incident.closed and incident.closed.get("cause"):
        return f"{_clean(str(incident.closed['cause']))} (says {_clean(str(incident.closed['by']), _SHORT)})"
    if not incident.known_cause:
        return "Not known."
    sure = f" ({incident.confidence:.0%} sure)" if incident.confidence is not None else ""
    return f"{_clean(without_ids(incident.known_cause))}{sure}"


def _done(incident: Incident) -> str:
    mine = [effect for effect in incident.effects if effect.episode == incident.episode]
    if not mine:
        return "Nothing was changed."
    proof = f" Afterwards: {incident.verification.value.replace('_', ' ')}" if incident.verification else ""
    if incident.verification is VerificationResult.fixed and (why := str((incident.decision or {}).get("why") or "")):
        proof += f" ({_clean(why)})"
    return "; ".join(_effect(effect) for effect in mine[-_STEPS:]) + "." + (f"{proof}." if proof else "")


def _effect(effect: Effect) -> str:
    outcome = effect.outcome.value if effect.outcome else "outcome not known"
    verb = effect.action.replace("_", " ")
    return f"{verb} {_clean(effect.target, _SHORT)} at {_clock(effect.intent_at)}: {outcome}"


def _asked(notice: Notice, incident: Incident, expires_at: datetime | None) -> str:
    facts = notice.facts
    if notice.kind is NoticeKind.approval:
        until = f" until {_clock(expires_at)}" if expires_at is not None else ""
        reasons = (incident.decision or {}).get("policy", {}).get("reasons", ())
        why = f" It asks because: {_clean('; '.join(map(str, reasons)))}." if reasons else ""
        return f"Approve or reject{until}: {_plan(incident)}.{why}"
    if notice.kind is NoticeKind.worse:
        alert = f"{_clean(str(facts.get('alertname')), _SHORT)} ({facts.get('severity')})"
        return f"Look again: {alert} joined, firing since {facts.get('starts_at')}. {_clean(str(facts.get('why')))}"
    if notice.kind is NoticeKind.returned:
        return f"It had ended ({_clean(str(facts.get('ended_as')), _SHORT)}) and fires again. sreops is looking at it."
    if notice.kind is NoticeKind.cleared:
        return "None of its alerts fires any more. Close it when you have looked."
    if notice.kind is NoticeKind.resolved:
        by = facts.get("by")
        ended = (
            f"{_clean(str(by), _SHORT)} closed it as {facts.get('was')}" if by else f"{incident.resolution or 'done'}"
        )
        return f"Nothing: {ended}."
    return _handed_over(incident)


def _handed_over(incident: Incident) -> str:
    advice = next_step(incident.reason, incident)
    why = _clean(str((incident.decision or {}).get("why", "")))
    if why.startswith("DOWN:"):  # our own hand left it so: nothing comes before that
        return f"{why}. {advice}"
    return " ".join(part for part in (advice, f"sreops stopped: {why}." if why else "") if part)


def _plan(incident: Incident) -> str:
    steps = ((incident.decision or {}).get("plan") or {}).get("steps", ())
    words = [f"{str(step.get('action', '')).replace('_', ' ')} {step.get('target', '')}".strip() for step in steps]
    return _clean(", then ".join(words)) or "see the plan"


_WEB = re.compile(r"https?://[!#-;=?-\[\]_a-z{}~]{1,2000}", re.IGNORECASE)
"""What is a link and nothing else: no space, no quote, no angle bracket, bar, backtick or backslash."""


def _links(incident: Incident, event: AlertEvent | None, public_url: str | None) -> tuple[Link, ...]:
    found = []
    if public_url:
        found.append(Link(label="incident", url=f"{public_url.rstrip('/')}/incidents/{incident.id}"))
    if event is not None:
        dashboard = event.panel_url or event.dashboard_url
        for label, url in (("dashboard", dashboard), ("silence", event.silence_url)):
            if _WEB.fullmatch(url or ""):
                found.append(Link(label=label, url=url))
    if incident.issue is not None and _WEB.fullmatch(incident.issue.url or ""):
        found.append(Link(label="issue", url=incident.issue.url))
    return tuple(found)


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _age(passed: Any) -> str:
    minutes = max(0, int(passed.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
