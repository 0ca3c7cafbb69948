"""Three hundred hostile strings through every field: on the page, in mail and chat, on the issue, in the log."""

import io
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.message import EmailMessage
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from hostile_strings import STRINGS
from sreops.adapters.gitlab.neutralise import neutralise, neutralise_title
from sreops.adapters.notify.wording import worded
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.subject import Subject
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Effect, Incident
from sreops.domain.records.handover import title
from sreops.domain.records.message import compose
from sreops.domain.records.notice import Notice, NoticeKind
from sreops.domain.records.record import Record, RecordKind
from sreops.domain.records.summary import summary
from sreops.domain.records.timeline import timeline
from sreops.ports import Approval
from sreops.telemetry import configure_logging, log
from sreops.web.incident_view import view_incident
from sreops.web.rendering import Assets, Templates
from sreops.web.words import safe_link
from unit.test_markdown import assert_inert
from unit.test_notify_wording import ACTIVE, SERVICES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://sreops.example"
ID = "0f0e0d0c"
PLAN_HASH = "9f2c41d0a7b35e88"


def an_event(text: str) -> AlertEvent:
    return AlertEvent.model_validate(
        {"event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing", "tier": "supervised",
         "labels": {"alertname": text, "service": text, text: text}, "annotations": {"summary": text, text: text},
         "startsAt": NOW, "received_at": NOW, "severity": "critical", "service": text, "warnings": (text,),
         "generatorURL": text, "dashboardURL": text, "panelURL": text, "silenceURL": text}
    )  # fmt: skip


def an_incident(text: str, **fields: Any) -> Incident:
    effect = Effect(
        effect_id="e", incident_id=ID, episode=1, step=0, action="restart_container", target=text, service=text,
        runbook_id=text, snapshot={}, intent_at=NOW, outcome="failed", outcome_at=NOW, detail=text,
    )  # fmt: skip
    step = {"action": text, "target": text, "params": {text: text}}
    decision = {
        "analysis": {"reasoning": text, "recommended_action": text, "evidence": ["E1"]}, "model": text, "why": text,
        "confidence": {"claimed": text, "taken_down": [text]}, "model_usage": {"model": text, "calls": 1},
        "selection": {"runbook_id": text, "how": text, "why": text}, "would_have": text, "missing": {text: text},
        "plan": {"steps": [step], "verify": [{"promql": text, "condition": text}]}, "plan_hash": PLAN_HASH,
        "policy": {"verdict": "needs_approval", "reasons": [text]},
    }  # fmt: skip
    given = {
        "id": ID, "status": "escalated", "reason": "low_confidence", "service": text, "alertname": text,
        "severity": "critical", "tier": "supervised", "fingerprints": ("f",), "event_count": 1, "opened_at": NOW,
        "episode_at": NOW, "ended_at": NOW, "analyst": text, "analyst_why": text, "root_cause": text, "category": text,
        "confidence": 0.4, "runbook_id": text, "plan_hash": PLAN_HASH, "issue": {"iid": 1, "url": text},
        "acknowledged_by": text, "effects": (effect,), "decision": decision,
        "feedback": {"by": text, "right": False, "cause": text}, "closed": {"by": text, "was": "other", "cause": text},
        "subject": Subject(name=text, scope={text: text}, read_from=text),
    }  # fmt: skip
    return Incident.model_validate(given | fields)


def pieces(text: str) -> list[Evidence]:
    kinds = (EvidenceKind.logs, EvidenceKind.metric, EvidenceKind.neighbour, EvidenceKind.change, EvidenceKind.gap)
    data = {"cure": text, "service": text, "role": "caller", "deployment": 1, "points": [[0, text], [1, 2], [2, 3]],
            "top": [f"ERROR {text}"], "own": [text]}  # fmt: skip
    return [
        Evidence(id=f"E{n}", kind=kind, source=text, query=text, url=text, finding=text, text=text, data=data)
        for n, kind in enumerate(kinds, 1)
    ]


def records(text: str) -> list[Record]:
    reading = {"promql": text, "condition": "< 1", "holds": None, "values": [2.0], "why": text}
    look = {"look": {"readings": [reading, text], "container": text}, "baseline": {"readings": [reading]}}
    bodies = [
        (RecordKind.thought, {"node": text, "text": text, "data": {"reasoning": text}}),
        (RecordKind.thought, {"node": "analyze_root_cause", "text": f"Cause: {text}", "data": {}}),
        (RecordKind.thought, {"node": "verify_success", "text": text, "data": look}),
        (RecordKind.action, {"action": text, "phase": "intent", "target": text, "by": text, "detail": text}),
        (RecordKind.action, {"action": "approve", "phase": "decision", "target": text, "by": text, "detail": text}),
    ]
    return [
        Record(seq=n, incident_id=ID, kind=kind, at=NOW, body=body, prev_hash=None, hash=None)
        for n, (kind, body) in enumerate(bodies, 1)
    ]


class _Skeleton(HTMLParser):
    """The page's elements with the names of their attributes, and where their links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "formaction")]

    def handle_comment(self, data: str) -> None:
        self.found.append(("!--",))


TEMPLATES = Templates(Assets())


def a_page(text: str, *, waits: bool) -> _Skeleton:
    approval = Approval(
        incident_id=ID, episode=1, plan_hash=PLAN_HASH, requested_at=NOW, expires_at=NOW + timedelta(hours=1),
        decision=None if waits else "approved", by=None if waits else text, reason=None if waits else text,
        decided_at=None if waits else NOW,
    )  # fmt: skip
    incident = an_incident(text, **({"status": "awaiting_approval", "ended_at": None} if waits else {}))
    one = SimpleNamespace(status="down", detail=text, cure=text)
    shown = TEMPLATES.answer(
        "incident.html",
        view=view_incident(incident, [(an_event(text), "open")], pieces(text), records(text), approval, NOW),
        now=NOW,
        report=SimpleNamespace(status="degraded", why=[text], checks={text: one}, backlog=None, spool=None),
        automation={"paused": True, "by": text, "reason": text, "at": NOW},
        dry_run=False,
        person={"account": text, "role": "operator", "proven_by": "oidc", "may_act": True},
        version="1",
        form={"by": text, "reason": text, "plan_hash": PLAN_HASH},
        problem=text,
    )
    page = _Skeleton()
    page.feed(bytes(shown.body).decode())
    page.close()
    return page


def test_there_are_three_hundred_of_them() -> None:
    assert len(STRINGS) >= 300


@pytest.mark.parametrize("waits", [False, True])
def test_on_the_page_nothing_becomes_markup_and_no_link_leaves_http(waits: bool) -> None:
    harmless = a_page("plain", waits=waits)
    assert len(harmless.found) > 150
    for text in STRINGS:
        page = a_page(text, waits=waits)
        if safe_link(text) is None:  # an address of http is a link where a link belongs
            assert page.found == harmless.found, text[:80]
        assert all(re.match(r"/(?!/)|#|https?://[^/]", link, re.I) for link in page.links), (text[:80], page.links)


@pytest.mark.parametrize("service", SERVICES)
def test_in_mail_and_chat_nothing_acts(service: str) -> None:
    for text in STRINGS:
        incident = an_incident(text)
        notice = Notice(
            notice_id="n", incident_id=ID, episode=1, kind=NoticeKind.attention, severity="critical", at=NOW, facts={}
        )
        message = compose(notice, incident, [(an_event(text), "open")], expires_at=None, public_url=URL, now=NOW)
        words = worded(service, [message], digest=False, maybe_again=False)
        body = words.body
        for link in message.links:
            assert re.fullmatch(r"https?://[^\s<>|\"`\\]+", link.url, re.IGNORECASE), (text[:80], link)
            body = body.replace(link.url, "")
        for said in (words.title, body):
            assert not ACTIVE.search(said), (text[:80], said)
        assert "\n" not in words.title


def test_a_mail_gets_no_header_from_outside() -> None:
    for text in STRINGS:
        notice = Notice(
            notice_id="n", incident_id=ID, episode=1, kind=NoticeKind.attention, severity="critical", at=NOW, facts={}
        )
        message = compose(notice, an_incident(text), [], expires_at=None, public_url=URL, now=NOW)
        words = worded("mail", [message], digest=False, maybe_again=False)
        mail = EmailMessage()
        mail["Subject"] = words.title
        mail.set_content(words.body)
        assert message_from_string(mail.as_string()).keys() == mail.keys(), text[:80]


def test_on_the_issue_nothing_is_obeyed_mentioned_or_linked() -> None:
    for text in STRINGS:
        incident, events = an_incident(text), [(an_event(text), "open")]
        told = summary(incident, events, pieces(text), timeline(events, records(text)), link=None, now=NOW)
        assert_inert(neutralise(told))
        assert "\n" not in neutralise_title(title(an_event(text)))


@pytest.fixture
def logged() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, kept = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**kept)


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_in_the_log_each_is_one_line_that_a_terminal_does_not_obey(
    logged: None, fmt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in STRINGS:
        kept = io.BytesIO()
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(kept, "utf-8", "backslashreplace"))  # as Python has it
        configure_logging("info", fmt)
        log.warning("tests.happened", error=text, service=text, by=text)
        logging.getLogger("tests").warning("said %s", text)
        sys.stderr.flush()
        shown = kept.getvalue().decode()
        assert shown.count("\n") == 2, text[:80]
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown), text[:80]
