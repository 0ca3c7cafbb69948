"""A decision about a plan in a comment on the incident's issue: what counts as one, and what does not. Pure."""

import re
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_TAG = re.compile(r"<[A-Za-z!/?]")
_INDENTED = re.compile(r"(?: {4}| {0,3}\t)")


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
    if not plan_hash or _TAG.search(body):
        return None
    wanted = {f"sreops approve {plan_hash}": True, f"sreops reject {plan_hash}": False}
    said = {wanted[line.strip()] for line in _said_lines(body) if line.strip() in wanted}
    return said.pop() if len(said) == 1 else None


def why_not(*, created_at: datetime, edited: bool, requested_at: datetime) -> WhyNot | None:
    """Return why a comment that reads like a decision is none; None where only its author's role is left to see."""
    if edited:
        return WhyNot.edited
    return WhyNot.older if created_at < requested_at else None


def _said_lines(body: str) -> Iterator[str]:
    """Return the lines of paragraphs that are neither quoted nor code."""
    for paragraph in _paragraphs(body.replace("\r\n", "\n").split("\n")):
        quoted = any(line.lstrip().startswith(">") for line in paragraph)  # the lines after it go on with the quote
        if quoted or any("`" in line for line in paragraph):
            continue
        yield from (line for line in paragraph if not _INDENTED.match(line))


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Return runs of lines between blank ones, without fenced blocks and ``>>>`` quotes, which span blank lines."""
    paragraph: list[str] = []
    fence = ""
    in_quote = False
    for line in lines:
        if line.strip() == ">>>":
            in_quote = not in_quote
            continue
        found = _FENCE.match(line)
        if fence:
            if found and found[1][0] == fence[0] and len(found[1]) >= len(fence) and line.strip() == found[1]:
                fence = ""
            continue
        if found:
            fence = found[1]
            continue
        if in_quote:
            continue
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield paragraph
            paragraph = []
    if paragraph:
        yield paragraph
