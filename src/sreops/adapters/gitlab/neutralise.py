"""Neutralising: text that GitLab shows and does not obey. Pure.

What is sent to an issue mixes our own Markdown (headings, lists, fenced blocks) with alert text, log lines and a
model's words. Who wrote which character is lost by then, and what GitLab takes for a code block differs by release
(a ``>>>`` line ends one). So nothing here depends on where a block begins:
every trigger is broken wherever it stands, in code too, by U+2060 WORD JOINER behind its first character. It has
no width, is neither a word character nor white space, and survives rendering, so that the text reads as before.

Broken everywhere: quick actions, ``>>>``, @mentions, references (issues, merge requests, labels, milestones,
snippets, epics, alerts, named ones as ``[issue:1]``), entities that would decode to one of these, HTML and comments,
links, images, footnotes, URLs (one of this GitLab is a reference), maths, and the language of a fenced block
(diagrams and queries that GitLab would run). Bare commit ids are broken outside of code only, as far as that can be
told line by line: container and trace ids in code must stay fit for copying.
"""

import re

BREAK = "\u2060"
"""U+2060 WORD JOINER, which breaks a trigger."""

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")
# What hides, or reorders what is read: controls but newline and tab, bidi marks, surrogates, tags.
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_TAGS = re.compile("[\U000e0000-\U000e007f]")
_SHOWN_HIDDEN = "\ufffd"

_TRIGGERS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^[^\w\n]*?/(?=\w)",  # a quick action: a slash before any word of its line, behind whatever marks
        r">(?=>>)",
        r"@(?=[^\s\u2060])",
        r"[#!~%](?=[\w\"'`{])",  # issue, merge request, label, milestone
        r"\$(?=[^\s\u2060])",  # snippet, maths
        r"\bGL-(?=\d)",
        r"\^(?=\w)",
        r"&(?=#|\w)",  # epic, entity
        r"<(?=[^\s\u2060])",
        r"\](?=[(\[:{])",
        r"\[(?=[\[^]|_?TOC_?\]|[a-z_]{1,40}:)",
        r":(?=//)|::(?=include)",
        r"\b(?:mailto|glql|www)(?=[:.])",
        r"(?<!`)`{3,}+(?=[^\S\n]*+[^\s`\u2060])|(?<!~)~{3,}+(?=[^\S\n]*+[^\s~\u2060])",
    )
)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_TICKS = re.compile("(`+)")
_COMMIT = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{7,40}(?![0-9A-Za-z])")
_COMMIT_PIECE = re.compile(r"([0-9a-fA-F]{6})(?=[0-9a-fA-F])")


def neutralise(text: str, *, own_line: str = "") -> str:
    """Return the text for a description or note: nothing in it acts, notifies, refers, links or loads.

    A block that is left open is closed at the end, so that what follows is not swallowed by it. At most three
    characters come out for one that goes in. ``own_line`` is a whole line of ours that holds nothing from outside
    (the link to the incident's page): outside of code it stays as it is, since people must be able to follow it.
    """
    kept = {_outside_code(_broken(own_line)): own_line} if own_line else {}
    lines = _broken(text).split("\n")
    shown: list[str] = []
    fence = ""
    for line in lines:
        found = _FENCE.fullmatch(line)
        if fence:
            shown.append(line)
            if found and found[1][0] == fence[0] and len(found[1]) >= len(fence) and not found[2].strip():
                fence = ""
            continue
        if found and not (found[1][0] == "`" and "`" in found[2]):
            fence = found[1]
            shown.append(line)
            continue
        safe = _outside_code(line)
        shown.append(kept.get(safe, safe))
    if fence:
        shown.append(fence)
    return "\n".join(shown)


def neutralise_title(text: str, limit: int = 255) -> str:
    """Return one line of at most ``limit`` characters; a title is not Markdown, and @names in it notify in any case."""
    flat = " ".join(_broken(" ".join(text.split())).split())
    flat = _COMMIT.sub(_break_commit, flat)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _broken(text: str) -> str:
    text = _TAGS.sub(_SHOWN_HIDDEN, _HIDDEN.sub(_SHOWN_HIDDEN, _NEWLINES.sub("\n", text)))
    for trigger in _TRIGGERS:
        text = trigger.sub(lambda found: found[0] + BREAK, text)
    return text


def _outside_code(line: str) -> str:
    """Break commit ids outside of code spans: a run of backticks is closed by the next run of its length."""
    parts = _TICKS.split(line)  # text, run, text, run, … text
    closing: dict[int, int] = {}
    last_of_length: dict[int, int] = {}
    for index in range(len(parts) - 2, 0, -2):
        length = len(parts[index])
        if length in last_of_length:
            closing[index] = last_of_length[length]
        last_of_length[length] = index
    shown, index = [], 0
    while index < len(parts):
        if index in closing:
            shown += parts[index : closing[index] + 1]
            index = closing[index] + 1
        else:
            shown.append(_COMMIT.sub(_break_commit, parts[index]))
            index += 1
    return "".join(shown)


def _break_commit(found: re.Match[str]) -> str:
    return _COMMIT_PIECE.sub(rf"\1{BREAK}", found[0])
