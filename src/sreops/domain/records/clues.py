"""Clues: what of the evidence a person who was woken is told first, beside what is wrong. Pure.

Numbers, one log line and what was changed lately; short, without ids that nobody reads aloud. Untrusted like the
evidence itself.
"""

import re
from collections.abc import Sequence

from sreops.domain.evidence.changes import from_alert
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.evidence.log_mining import severity
from sreops.domain.text.redaction import one_line

SHOWN = 2
"""Numbers, and changes."""
_STANDS_OUT = 0.3
"""The change, relative to the larger of before and now, from which a number is told although no cause rests on it."""
_ASKED_FIRST = ("latency_p95", "error_ratio", "probe", "disk", "memory", "cpu", "node_memory", "node_cpu")
_WRONG_WHEN_LESS = frozenset({"request_rate", "up", "health", "probe", "certificate", "started", "http_status"})
_A_WARNING = 2
_LOG_CHARS = 130
_CHANGE_CHARS = 170
_WITHOUT_NUMBERS = frozenset(
    {EvidenceKind.logs, EvidenceKind.alert, EvidenceKind.gap, EvidenceKind.history, EvidenceKind.change}
)
_LONG_ID = r"\"?(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,64})\"?"
_NAMED_ID = re.compile(rf"\s?\b[A-Za-z_.-]{{1,40}}[=:]{_LONG_ID}(?![0-9a-zA-Z])")
_BARE_ID = re.compile(rf"(?<![0-9a-zA-Z]){_LONG_ID}(?![0-9a-zA-Z])")
_CLOCK = re.compile(r" \(at [0-9:]{8} UTC\)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UNSEEN = {
    "loki": ("no logs", EvidenceKind.logs),
    "prometheus": ("no metrics", EvidenceKind.metric),
    "docker": ("no container", EvidenceKind.container),
}


def numbers(evidence: Sequence[Evidence], cited: Sequence[str], headline: str) -> tuple[str, ...]:
    """Return the measured findings that the cause rests on, unless the headline holds their numbers already."""
    pieces = [piece for piece in evidence if piece.id in cited and piece.kind not in _WITHOUT_NUMBERS]
    said = set(_NUMBER.findall(headline))
    return tuple(piece.finding for piece in pieces if not _said_already(piece, said))[:SHOWN]


def _said_already(piece: Evidence, said: set[str]) -> bool:
    """Whether a headline says it all; a counter's name, such as that of errors, says more than its numbers."""
    named = str(piece.data.get("signal", "")).startswith("errors:")
    found = set(_NUMBER.findall(piece.finding)) - {"95"}  # of the percentile, which the headline tells in words
    return piece.kind is EvidenceKind.metric and not named and bool(found) and found <= said


def standing_out(evidence: Sequence[Evidence], service: str, cited: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what changed most, where it is not known why: who of all services, and what of its own, less the cited."""
    first = next((piece for piece in evidence if piece.kind is EvidenceKind.suspects), None)
    other = str(first.data.get("first") or "") if first is not None and first.data.get("abstained") is False else ""
    lines = [f"of all services {one_line(other, 80)} changed most"] if other and other != service else []
    measured = [piece for piece in evidence if piece.kind is EvidenceKind.metric and piece.id not in cited]
    own = [piece for piece in measured if _change(piece) >= _STANDS_OUT]
    own.sort(key=_change, reverse=True)
    if not own and not cited:
        own = _usual(measured)
    return tuple([*lines, *(piece.finding for piece in own)][:SHOWN])


def _usual(measured: Sequence[Evidence]) -> list[Evidence]:
    """Return how it does by what everybody asks first, where nothing has changed much."""
    found = {str(piece.data.get("signal")): piece for piece in measured}
    return [found[name] for name in _ASKED_FIRST if name in found]


def _change(piece: Evidence) -> float:
    """Return by how much it went the wrong way; fewer errors than before are no trouble."""
    value = piece.data.get("change")
    if not isinstance(value, int | float):
        return 0.0
    return abs(float(value)) if piece.data.get("signal") in _WRONG_WHEN_LESS else max(0.0, float(value))


def log_line(evidence: Sequence[Evidence], cited: Sequence[str], *, everywhere: bool) -> str:
    """Return the line that complains most, of the logs that the cause rests on, or ``everywhere`` of its own."""
    for piece in evidence:
        if piece.kind is not EvidenceKind.logs or (piece.id not in cited and not everywhere):
            continue
        lines = piece.data.get("top")
        for line in lines if isinstance(lines, list) else ():
            text = one_line(str(line))
            if severity(text) >= _A_WARNING:
                return one_line(without_long_ids(text), _LOG_CHARS)
    return ""


def without_long_ids(text: str) -> str:
    """Return a line without trace ids, UUIDs and digests: what follows them is cut away otherwise."""
    return _BARE_ID.sub("…", _NAMED_ID.sub("", text))


def changes(evidence: Sequence[Evidence], cited: Sequence[str]) -> tuple[str, ...]:
    """Return what was changed of the service lately, deployments first; not what the cause names already."""
    found = [piece for piece in evidence if piece.kind is EvidenceKind.change and piece.id not in cited]
    lines = [_deployed(piece) for piece in found if piece.data.get("deployment")][:1]
    for piece in found:
        own = piece.data.get("own")
        lines += [str(line) for line in own[:1]] if isinstance(own, list) else []
    return tuple(one_line(_CLOCK.sub("", line), _CHANGE_CHARS) for line in lines[:SHOWN])


def _deployed(piece: Evidence) -> str:
    """Say when, by whom, and of what: in an order in which a short screen cuts the least of it."""
    if "sha" not in piece.data:
        return piece.finding
    verb = "rolled back" if piece.data.get("back") is True else "deployed"
    who = f" by {piece.data['by']}" if piece.data.get("by") else ""
    what = f"{str(piece.data.get('sha', ''))[:8]} of {piece.data.get('project', '')}".strip()
    where = f" to {piece.data['environment']}" if piece.data.get("environment") else ""
    return f"{from_alert(float(piece.data.get('before_s') or 0.0))}: {verb}{who}{where}, {what}"


def unseen(evidence: Sequence[Evidence]) -> str:
    """Say which of logs, metrics and container could not be seen at all; empty where all were."""
    gaps = {piece.source for piece in evidence if piece.kind is EvidenceKind.gap}
    had = {piece.kind for piece in evidence if piece.data.get("lines") != 0}
    lacking = [words for source, (words, kind) in _UNSEEN.items() if source in gaps and kind not in had]
    return " and ".join([", ".join(lacking[:-1]), lacking[-1]] if len(lacking) > 1 else lacking)
