"""A question about an incident, answered from its record without a model. Pure."""

import re
from collections.abc import Sequence

from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.text.redaction import one_line

MOST = 5
_WORD = re.compile(r"[\w.:-]{3,40}")
_EMPTY = {
    *("the", "and", "was", "were", "why", "what", "when", "did", "does", "has", "have", "had", "this", "that", "with"),
    *("from", "for", "not", "are", "you", "how", "who", "which", "there", "then", "than", "been", "its", "our", "can"),
}


def evidence_about(question: str, evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the pieces that share most words with the question, the best first; none where none shares any."""
    asked = _words(question)
    scored = [(len(asked & _words(f"{piece.source} {piece.finding} {piece.text[:4000]}")), piece) for piece in evidence]
    found = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])
    return [piece for _, piece in found[:MOST]]


def from_the_record(question: str, cause: str | None, evidence: Sequence[Evidence]) -> tuple[str, list[str]]:
    """Return what the record says about a question, and the ids that it rests on."""
    found = evidence_about(question, evidence)
    cause = one_line(cause or "").rstrip(".")
    concluded = f"The cause that was concluded: {cause}." if cause else "No cause was established."
    if not found:
        gaps = [piece.source for piece in evidence if piece.kind is EvidenceKind.gap]
        missing = f" Not available were: {', '.join(dict.fromkeys(gaps))}." if gaps else ""
        return f"Nothing in the record speaks of that.{missing} {concluded}", []
    lines = "\n".join(f"{piece.id} ({piece.source}): {one_line(piece.finding)}" for piece in found)
    text = f"No model is asked, so this is what the record has about it:\n{lines}\n{concluded}"
    return text, [piece.id for piece in found]


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)} - _EMPTY
