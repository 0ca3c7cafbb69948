"""A probe: of an alert's subject, what was asked for and found where, in order, and what is missing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sreops.domain.evidence.evidence import Evidence, EvidenceKind


class Part(StrEnum):
    """What an incident's evidence is made of."""

    container = "container"
    logs = "logs"
    metrics = "metrics"
    other = "other"


class Answer(StrEnum):
    """What came back."""

    found = "found"
    nothing = "nothing"  # it is configured, and had nothing or did not answer
    not_configured = "not configured"


@dataclass(frozen=True)
class Asked:
    """One question: which part, what came back, the query that was used, what was tried before, and the cure."""

    part: Part
    source: str
    answer: Answer
    query: str
    found: str
    tried: tuple[str, ...] = ()
    cure: str = ""


_PARTS: Mapping[EvidenceKind, Part] = {
    EvidenceKind.container: Part.container,
    EvidenceKind.logs: Part.logs,
    EvidenceKind.metric: Part.metrics,
}
_SOURCES: Mapping[str, Part] = {"docker": Part.container, "loki": Part.logs, "prometheus": Part.metrics}
"""Whose gap belongs to which part."""


def probed(evidence: Sequence[Evidence]) -> tuple[Asked, ...]:
    """Return what the evidence of one incident tells of where it looked: container, logs, metrics, then the rest.

    Its neighbours, its history and what was concluded are no part of it.
    """
    asked = [
        _asked(piece, part) for piece in evidence if (part := _PARTS.get(piece.kind) or _part_of_gap(piece)) is not None
    ]
    return tuple(sorted(asked, key=lambda one: list(Part).index(one.part)))


def lacking(asked: Sequence[Asked]) -> tuple[Part, ...]:
    """Return the parts that are configured and of which nothing was found."""
    found = {one.part for one in asked if one.answer is Answer.found}
    configured = {one.part for one in asked if one.answer is Answer.nothing}
    return tuple(part for part in Part if part in configured - found)


def _part_of_gap(piece: Evidence) -> Part | None:
    return _SOURCES.get(piece.source, Part.other) if piece.kind is EvidenceKind.gap else None


def _asked(piece: Evidence, part: Part) -> Asked:
    why = str(piece.data.get("why", ""))
    if piece.kind is EvidenceKind.gap:
        answer = Answer.not_configured if why == "not configured" else Answer.nothing
    else:
        answer = Answer.nothing if part is Part.logs and not piece.data.get("lines") else Answer.found
    return Asked(
        part=part,
        source=piece.source,
        answer=answer,
        query=piece.query,
        found=piece.finding,
        tried=_tried(piece.data),
        cure=str(piece.data.get("cure", "")),
    )


def _tried(data: Mapping[str, Any]) -> tuple[str, ...]:
    tried = data.get("tried")
    return tuple(str(one) for one in tried) if isinstance(tried, list | tuple) else ()
