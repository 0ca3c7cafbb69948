"""A decision about a plan in a comment on the incident's issue: what counts as one, and what does not. Pure.

What is quoted, code or struck out is told by a CommonMark parser; what GitLab adds to CommonMark (``>>>`` quotes, front
matter) is known here. Where two readings are possible, nothing is decided.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum

from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_CHARS = 10_000
"""A longer comment decides nothing: anyone may write one, and all are read."""
_MARKDOWN = MarkdownIt("commonmark").enable("strikethrough")
_TAG = re.compile(r"<[A-Za-z!/?]")
_FRONT_MATTER = re.compile(r"\s*(?:---|\+\+\+|;;;)")
_LINE_END = re.compile(r"\r\n?|\n")
_LONG_QUOTE = re.compile(r" {0,3}>{3,}\s*")


class WhyNot(StrEnum):
    """Why a comment is no decision, though it may read like one."""

    edited = "it was edited after it was written"
    older = "it is older than the plan"
    no_role = "its author has not the role for it in the project"


def decision_in(body: str, plan_hash: str) -> bool | None:
    """Return True for an approval, False for a rejection of exactly this plan; None for neither, or for both.

    It must be a whole line ``sreops approve HASH`` or ``sreops reject HASH``, outside of quotes and code: text that
    somebody quotes or shows is not what they say. A comment with HTML in it says nothing, since a tag may do either.
    """
    if not plan_hash or len(body) > MAX_CHARS or _TAG.search(body) or _FRONT_MATTER.match(body):
        return None
    wanted = {f"sreops approve {plan_hash}": True, f"sreops reject {plan_hash}": False}
    said = {wanted[line] for line in _said_lines(body) if line in wanted}
    return said.pop() if len(said) == 1 else None


def why_not(*, created_at: datetime, edited: bool, requested_at: datetime) -> WhyNot | None:
    """Return why a comment that reads like a decision is none; None where only its author's role is left to see."""
    if edited:
        return WhyNot.edited
    return WhyNot.older if created_at < requested_at else None


def _said_lines(body: str) -> Iterator[str]:
    """Return the lines that are nothing but text, as it is written and as it is read, neither quoted nor code."""
    lines, tokens = _LINE_END.split(body), _MARKDOWN.parse(body)
    long_quote = _long_quote(lines, tokens)
    quotes = 0
    for token in tokens:
        quotes += token.nesting if token.type.startswith("blockquote") else 0
        if token.children and token.map is not None and not quotes:
            written = {lines[at].strip() for at in range(*token.map) if at not in long_quote}
            # what is deeper is struck out, or stands in a link
            read = {part.content.strip() for part in token.children if part.type == "text" and not part.level}
            yield from written & read


def _long_quote(lines: Sequence[str], tokens: Sequence[Token]) -> range:
    """Return where quotes between GitLab's ``>>>`` lines are: from the first on, to the last if all are plain."""
    marks = [at for at, line in enumerate(lines) if _LONG_QUOTE.fullmatch(line)]
    if not marks:
        return range(0)
    code = {at for token in tokens if token.type == "fence" and token.map is not None for at in range(*token.map)}
    plain = code.isdisjoint(marks) and len({lines[at].strip() for at in marks}) == 1
    return range(marks[0], marks[-1] if plain and len(marks) % 2 == 0 else len(lines))
