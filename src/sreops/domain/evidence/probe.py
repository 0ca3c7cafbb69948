"""A probe: of an alert's subject, what was asked for and found where, in order, and what is missing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sreops.domain.evidence.evidence import Evidence, EvidenceKind


class EvidencePart(StrEnum):
    """What an incident's evidence is made of."""

    container = "container"
    logs = "logs"
    metrics = "metrics"
    other = "other"


class ProbeAnswer(StrEnum):
    """What came back."""

    found = "found"
    nothing = "nothing"  # it is configured, and had nothing or did not answer
    not_configured = "not configured"


@dataclass(frozen=True)
class Probed:
    """One question: which part, what came back, the query that was used, what was tried before, and the cure."""

    part: EvidencePart
    source: str
    answer: ProbeAnswer
    query: str
    found: str
    tried: tuple[str, ...] = ()
    cure: str = ""


_PARTS: Mapping[EvidenceKind, EvidencePart] = {
    EvidenceKind.container: EvidencePart.container,
    EvidenceKind.logs: EvidencePart.logs,
    EvidenceKind.metric: EvidencePart.metrics,
}
_SOURCES: Mapping[str, EvidencePart] = {
    "docker": EvidencePart.container,
    "loki": EvidencePart.logs,
    "prometheus": EvidencePart.metrics,
}
"""Whose gap belongs to which part."""


def probed(evidence: Sequence[Evidence]) -> tuple[Probed, ...]:
    """Return what the evidence of one incident tells of where it looked: container, logs, metrics, then the rest.

    Its neighbours, its history and what was concluded are no part of it.
    """
    asked = [
        _asked(piece, part) for piece in evidence if (part := _PARTS.get(piece.kind) or _part_of_gap(piece)) is not None
    ]
    return tuple(sorted(asked, key=lambda probe: list(EvidencePart).index(probe.part)))


def lacking(asked: Sequence[Probed]) -> tuple[EvidencePart, ...]:
    """Return the parts that are configured and of which nothing was found."""
    found = {probe.part for probe in asked if probe.answer is ProbeAnswer.found}
    configured = {probe.part for probe in asked if probe.answer is ProbeAnswer.nothing}
    return tuple(part for part in EvidencePart if part in configured - found)


def _part_of_gap(piece: Evidence) -> EvidencePart | None:
    return _SOURCES.get(piece.source, EvidencePart.other) if piece.kind is EvidenceKind.gap else None


def _asked(piece: Evidence, part: EvidencePart) -> Probed:
    why = str(piece.data.get("why", ""))
    if piece.kind is EvidenceKind.gap:
        answer = ProbeAnswer.not_configured if why == "not configured" else ProbeAnswer.nothing
    else:
        answer = ProbeAnswer.nothing if part is EvidencePart.logs and not piece.data.get("lines") else ProbeAnswer.found
    return Probed(
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
    return tuple(str(query) for query in tried) if isinstance(tried, list | tuple) else ()
