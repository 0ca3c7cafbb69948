"""Hostile text becomes inert, whatever its own Markdown does to the blocks around it."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from growth import assert_linear
from sreops.adapters.gitlab.neutralise import BREAK, neutralise, neutralise_title
from sreops.domain.records.handover import fenced
from sreops.sandbox.gitlab import markdown as gitlab
from sreops.sandbox.gitlab import quick_actions

HOSTILE = [
    "/close", "/assign @root", "/label ~bug", " /close", "   /close", "\t/close", "> /close", "- /close", "//close",
    "\u200b/close", "\ufeff/close", "\u2060/close", "\\/close", "&#47;close", "/CLOSE", "/shrug", "@root",
    "@all", "\\@root", "&#64;root",
    "&commat;root", "`@root`", "<b>@root", "#1", "ops/x#1", "!45", "~bug", '~"a b"', "%1", '%"v 1"', "$1", "&1",
    "^alert#1", "GL-1", "[issue:1]", "[vulnerability:12]", "[[wiki]]", "[a](http://x)", "![a](http://x/p.png)",
    "[a][b]", "[b]: http://x", "<http://x>", "<script>alert(1)</script>", "<img src=x>", "<!-- x", "-->",
    "<!-- sreops:note=x -->",
    "<details>", "<pre>", "</pre>", "https://gitlab/ops/x/-/issues/1", "www.x.org", "a@b.org",
    "mailto:a@b.org", "```", "````", "~~~", "```mermaid", "``` glql", "   ```",
    ">>>", ">>>>", "> >>>", ">>> ", " >>>", "`", "``", "`` ` ``", "$$", "$`x`$", "{{", "[^1]", "[^1]: x",
    "[TOC]", "::include{file=x}",
    "---", "===", "***", "| a | b |", "|---|---|", "\r", "\r\n", "\u2028", "\x85", "\x0b", "\x0c", "\x00",
    "\x1b[31m", "\u202e", "\ud800",
    "\U000e0041", "deadbeef", "0123456789abcdef0123456789abcdef01234567", "    ", "* ", "1. ", "plain words",
]  # fmt: skip

hostile = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.sampled_from(["\n", "\n\n", " "]), st.text(max_size=5)), max_size=14
).map("".join)
bodies = st.one_of(
    hostile,
    st.tuples(hostile, hostile, hostile).map(
        lambda parts: f"## Alert\n\n{parts[0]}\n\n{fenced(parts[1])}\n\n{parts[2]}"
    ),
)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)
        self._code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_comment(self, data: str) -> None:
        self.found.append("!--")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.text.append(data)


OWN_TAGS = frozenset(
    {"h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "code", "pre", "em", "strong", "blockquote", "hr", "br"}
    | {"table", "thead", "tbody", "tr", "th", "td", "s"}
)
REFERENCES = [
    r"(?<![\w@])@[A-Za-z0-9_.]", r"[#!]\d", r"~[\w\"]", r"%[\w\"]", r"\$\d", r"&\d", r"\bGL-\d", r"://",
    r"\[[a-z_]+:\w", r"&(?:#\d+|#x[0-9a-fA-F]+|[A-Za-z]+);",
]  # fmt: skip


def assert_inert(text: str) -> None:
    assert gitlab.mentions(text) == []
    assert quick_actions.extract(text) == (text, [])
    for line in text.split("\n"):
        assert not re.match(r"\s*/\w", line), line
        assert not re.match(r"\s*>{3,}", line), line
    for pattern in REFERENCES:
        assert not re.search(pattern, text), pattern
    page = _Tags()
    page.feed(MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(text))
    page.close()
    assert set(page.found) <= OWN_TAGS, set(page.found) - OWN_TAGS


@given(bodies)
@settings(max_examples=1500, deadline=None)
def test_nothing_in_any_text_acts_notifies_refers_links_or_loads(text: str) -> None:
    assert_inert(neutralise(text))


@given(bodies)
@settings(max_examples=400, deadline=None)
def test_what_goes_out_can_be_sent_and_is_left_alone_the_second_time(text: str) -> None:
    out = neutralise(text)
    out.encode()  # no surrogates
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out)
    assert len(out) <= 3 * len(text)
    assert neutralise(out) == out


@given(bodies.map(lambda text: "".join(c for c in text if c == "\n" or (c.isprintable() and c != BREAK))))
@settings(max_examples=400, deadline=None)
def test_it_reads_as_before(text: str) -> None:
    visible = neutralise(text).replace(BREAK, "")
    assert visible.startswith(text)
    assert re.fullmatch(r"(?:\n[`~]{3,})?", visible[len(text) :])  # a block that was left open is closed


@given(hostile)
@settings(max_examples=600, deadline=None)
def test_a_title_is_one_inert_line_within_its_limit(text: str) -> None:
    title = neutralise_title(text * 5)
    assert len(title) <= 255
    assert "\n" not in title
    assert gitlab.mentions(title, is_title=True) == []
    for pattern in REFERENCES:
        assert not re.search(pattern, title), pattern


def test_ordinary_text_is_left_as_it_is() -> None:
    text = (
        "## Escalated: low_confidence\n\n- service: `web-1` at 10:00, 95 % of 8 GiB < 9 (p = 0.01)\n"
        "- **E1** loki: `12 lines`\n\n```\n2026-11-22T10:00:00Z [error] GET /api/v1 500 "
        "trace=4bf92f3577b34da6a3ce929d0e0e4736\n```"
    )
    assert neutralise(text) == text


def test_commit_ids_are_broken_in_prose_and_kept_in_code() -> None:
    out = neutralise("see deadbeef and `deadbeef`, ``a ` deadbeef``, `open deadbeef")
    assert out == f"see deadbe{BREAK}ef and `deadbeef`, ``a ` deadbeef``, `open deadbe{BREAK}ef"


def test_a_block_left_open_is_closed() -> None:
    assert neutralise("````\nlog ```").endswith("log ```\n````")
    assert neutralise("~~~\nlog\n~~~") == "~~~\nlog\n~~~"


@pytest.mark.parametrize(
    "piece", ["`", "~", "/", ">", "@", "[", "](", "<", " ", "a", "&", "` ", "``` ", "/ ", "deadbeef", "- `", ">\t"]
)
def test_time_grows_with_the_length_alone(piece: str) -> None:
    def work(size: int) -> None:
        text = piece * (size // len(piece))
        neutralise(text)
        neutralise_title(text)

    assert_linear(work, 75_000)
