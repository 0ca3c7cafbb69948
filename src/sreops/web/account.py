"""The hand-over as a structure that a template shows: the few forms of Markdown that ``domain/handover`` writes. Pure.

Nothing here makes markup: every text ends in a template that escapes it, and no link, image or HTML is recognised, so
what alerts, logs or a model wrote stays text. What is no known form is a paragraph, as it stands.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

MAX_CHARS = 200_000
_FENCE = re.compile(r"(`{3,})[^`]*")
_HEADING = re.compile(r"(#{1,4}) (.+)")
_CODE = re.compile(r"`([^`\n]{1,2000})`|\*\*([^*\n]{1,200})\*\*")

Span = tuple[Literal["text", "code", "strong"], str]


@dataclass(frozen=True)
class Block:
    """One block: ``heading`` (of ``level`` 1 to 4), ``paragraph``, ``items`` (each a row of spans) or ``code``."""

    kind: Literal["heading", "paragraph", "items", "code"]
    rows: Sequence[Sequence[Span]]
    level: int = 0


def blocks(markdown: str) -> list[Block]:
    """Read the account; an open fence ends with the text."""
    return list(_blocks(markdown[:MAX_CHARS].split("\n")))


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if fence := _FENCE.fullmatch(line):
            end = next((n for n in range(at, len(lines)) if _closes(lines[n], fence[1])), len(lines))
            yield Block("code", [[("text", "\n".join(lines[at:end]))]])
            at = end + 1
        elif heading := _HEADING.fullmatch(line):
            yield Block("heading", [_spans(heading[2])], len(heading[1]))
        elif line.startswith("- "):
            end = next((n for n in range(at, len(lines)) if not lines[n].startswith("- ")), len(lines))
            yield Block("items", [_spans(item[2:]) for item in lines[at - 1 : end]])
            at = end
        elif line.strip():
            yield Block("paragraph", [_spans(line)])


def _closes(line: str, fence: str) -> bool:
    return len(line) >= len(fence) and not line.strip("`")


def _spans(text: str) -> list[Span]:
    spans: list[Span] = []
    last = 0
    for found in _CODE.finditer(text):
        if found.start() > last:
            spans.append(("text", text[last : found.start()]))
        spans.append(("code", found[1]) if found[1] is not None else ("strong", found[2]))
        last = found.end()
    if last < len(text):
        spans.append(("text", text[last:]))
    return spans
