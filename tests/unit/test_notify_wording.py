"""What people read: everything they need, within each service's limits; and of hostile text nothing works."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from markdown_it import MarkdownIt

from contract.injections import INJECTIONS
from sreops.adapters.notify.wording import harmless, worded
from sreops.domain.records.message import Link, Message
from sreops.domain.records.notice import NoticeKind

INCIDENT = "https://sreops.example/incidents/0f0e"
SERVICES = ("mail", "webhook", "ntfy", "slack", "teams", "mattermost", "telegram", "pagerduty", "opsgenie", "other")
MARKDOWN = ("slack", "teams", "mattermost", "telegram", "other")
HOSTILE = (
    *(text for _, text in INJECTIONS),
    "<!channel> <!here> <!everyone> <@U123> <#C123|general>",
    "@channel @here @everyone @all @ada ada@evil.com",
    "[click me](https://evil.example/x) ![pixel](https://evil.example/p.png)",
    "<https://evil.example|your bank> <a href='https://evil.example'>x</a>",
    "www.evil.com evil.com/login http://evil.example HTTPS://EVIL.EXAMPLE ftp://x mailto:x@evil.com tel:112",
    "javascript:alert(1) data:text/html;base64,x slack://open",
    "*bold* _italic_ ~strike~ `code` ```block``` > quote # heading - item 1. item || spoiler ||",
    "**x** __y__ ~~z~~ \\* | a | b |",
    "line\r\nSubject: injected\r\nBcc: everyone@evil.com\r\n\r\nbody",
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "\u202egnp.exe \u2066hidden\u2069 \u200bzero\u200b \ufeff",
    "&lt;script&gt; <script>alert(1)</script> <img src=x onerror=alert(1)>",
    "{{ 7*7 }} ${7*7} %s %(x)s {0}",
    ":tada: :warning: #incident !!",
    "a" * 100_000,
)
ACTIVE = re.compile(
    r"://|\bwww\.|@\w|<[!@#a-z/]|\]\(|mailto:|tel:|javascript:|data:|"
    "[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]"
)
"""What would act, notify or link somewhere."""


def message(text: str = "fine", **fields: Any) -> Message:
    given: dict[str, Any] = {
        "kind": NoticeKind.attention,
        "key": "0f0e",
        "severity": "critical",
        "needs": "attention",
        "status": "escalated",
        "service": text,
        "alertname": text,
        "headline": f"[critical] {text} needs you",
        "what": text,
        "cause": text,
        "done": text,
        "asked": text,
        "at": datetime(2026, 3, 1, tzinfo=UTC),
        "links": (Link(label="incident", url=INCIDENT),),
    }
    return Message(**(given | fields))


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_that_others_wrote_acts(service: str) -> None:
    for text in HOSTILE:
        for words in (
            worded(service, [message(text)], digest=False, maybe_again=False),
            worded(service, [message(text), message(text, key="other")], digest=True, maybe_again=True),
        ):
            shown = words.body.replace(INCIDENT, "")
            for said in (shown, words.title):
                assert not ACTIVE.search(said), (text[:80], ACTIVE.search(said))
            assert "\n" not in words.title
            assert INCIDENT in words.body


@pytest.mark.parametrize("service", MARKDOWN)
def test_nothing_that_others_wrote_is_formatted_where_markdown_is_read(service: str) -> None:
    markdown = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"])
    for text in HOSTILE[len(INJECTIONS) :]:
        rendered = markdown.render(f"x {harmless(text, service)}")
        assert not re.search(r"<(?!/?p>)", rendered.replace("<br />", "")), (text[:80], rendered)


@pytest.mark.parametrize(
    ("service", "most"), [("teams", 1000), ("pagerduty", 1024), ("telegram", 4096), ("ntfy", 4096), ("other", 2000)]
)
def test_the_longest_message_fits_its_service_with_its_link(service: str, most: int) -> None:
    words = worded(service, [message("lorem ipsum " * 2000)], digest=False, maybe_again=True)
    assert len(words.body) <= most
    assert INCIDENT in words.body
    assert len(words.title) <= 200


@pytest.mark.parametrize("service", SERVICES)
def test_a_message_says_what_cause_done_asked_and_where(service: str) -> None:
    told = message("payments", what="memory at 98 %", cause="a leak", done="Nothing.", asked="Restart it.")
    body = worded(service, [told], digest=False, maybe_again=False).body
    places = [body.index(said) for said in ("memory at 98 %", "a leak", "Nothing.", "Restart it.", INCIDENT)]
    assert places == sorted(places)


def test_names_stay_as_they_are_written() -> None:
    for name in (
        "payments-api",
        "payments_api",
        "High_Error_Rate",
        "10.0.0.7:8080",
        "shop.cart",
        "node-1.eu-1.internal",
    ):
        for service in SERVICES:
            assert harmless(name, service) == name


def test_incidents_of_a_pager_are_put_together_and_closed_there() -> None:
    begun = worded("pagerduty", [message()], digest=False, maybe_again=False)
    over = worded("pagerduty", [message(kind=NoticeKind.resolved)], digest=False, maybe_again=False)
    assert begun.parameters == over.parameters == {"dedup": "0f0e", "action": "map"}
    assert (begun.kind, over.kind) == ("failure", "success")


def test_of_several_the_last_word_of_each_incident_counts_and_who_asks_comes_first() -> None:
    over = message("cart", key="c", kind=NoticeKind.resolved, headline="cart is resolved")
    words = worded(
        "mail",
        [message("cart", key="c", headline="cart needs you"), over, message("db", headline="db needs you")],
        digest=True,
        maybe_again=False,
    )
    assert words.title.startswith("2 incidents, 1 ask")
    assert words.body.index("db needs you") < words.body.index("cart is resolved")
    assert "cart needs you" not in words.body
