"""Marks by which sreops finds again what it wrote, without a place to keep ids. Pure.

An issue carries a label (GitLab can filter by it) and, exactly, an HTML comment in its description; a note carries
a comment. Neutralised text can't hold a comment, so no alert can forge one.
"""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

LABEL_CHARS = 255
SUMMARY_BEGINS, SUMMARY_ENDS = "<!-- sreops:summary -->", "<!-- sreops:summary-ends -->"
_ISSUE_COMMENT = re.compile(r"<!-- sreops:incident=[^ ]* -->")


def marker_label(marker: str) -> str:
    """Return the label of one incident's issue; free of commas, colons and anything else that GitLab reads."""
    return f"sreops-incident-{hashlib.sha256(marker.encode('utf-8', 'replace')).hexdigest()[:12]}"


def issue_comment(marker: str) -> str:
    """Return the comment that an issue's description begins with."""
    return f"<!-- sreops:incident={_quoted(marker)} -->"


def note_comment(marker: str) -> str:
    """Return the comment that a note begins with."""
    return f"<!-- sreops:note={_quoted(marker)} -->"


def carries(description: object, marker: str) -> bool:
    """Say whether a labelled issue is this incident's: its comment says so, or somebody rewrote the description."""
    text = description if isinstance(description, str) else ""
    return issue_comment(marker) in text or _ISSUE_COMMENT.search(text) is None


def incident_of(description: object) -> str | None:
    """Return the marker that an issue's description carries."""
    found = _ISSUE_COMMENT.search(description if isinstance(description, str) else "")
    return unquote(found[0].removeprefix("<!-- sreops:incident=").removesuffix(" -->")) if found else None


def with_summary(description: str, summary: str) -> str:
    """Return the description with the summary between our marks; whatever stands around them is somebody's own.

    Where the marks are not there, or not as we wrote them, the summary goes to the end.
    """
    block = f"{SUMMARY_BEGINS}\n{summary}\n{SUMMARY_ENDS}"
    before, begins, rest = description.partition(SUMMARY_BEGINS)
    inside, ends, after = rest.partition(SUMMARY_ENDS)
    if begins and ends and SUMMARY_BEGINS not in inside:
        return f"{before}{block}{after}"
    return f"{description.rstrip()}\n\n{block}\n" if description.strip() else block


def clean_labels(labels: Iterable[str]) -> list[str]:
    """Return labels that GitLab reads as written: a comma would separate, ``None`` and ``Any`` are its filters."""
    cleaned = (" ".join("".join(c if c.isprintable() and c != "," else " " for c in label).split()) for label in labels)
    kept = (label[:LABEL_CHARS] for label in cleaned if label and label.lower() not in ("none", "any"))
    return list(dict.fromkeys(kept))


def _quoted(marker: str) -> str:
    return quote(marker.encode("utf-8", "replace"), safe=":")
