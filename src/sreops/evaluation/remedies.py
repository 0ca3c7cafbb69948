"""Which of a closed list of remedies fits, by signs in what is known; none where the signs don't suffice. Pure.

A remedy is known by the words of its name, so that a list spelled another way is understood too. One remedy is
taken only where its signs are strong, come ahead of every other's, and nothing speaks against it: a wrong change to
a running system is worse than none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sreops.domain.text.patterns import first_line, pattern_matches
from sreops.evaluation.remedies_table import REMEDIES, Remedy
from sreops.evaluation.retrieval import Document, Library, Lookup, words

AHEAD = 0.15
"""How far its strength must be above the next one's."""
_BY_WORDS = 0.001  # what likeness of words is worth: it orders what the signs leave equal


@dataclass(frozen=True)
class Clues:
    """What is known, by where it was said: the alert's own text, the cluster's events, logs, states of resources."""

    alert: str = ""
    events: str = ""
    logs: str = ""
    states: str = ""


@dataclass(frozen=True)
class RemedyChoice:
    """All remedies, best first; ``chosen`` is the one to take or None; ``why`` names the signs."""

    ranked: tuple[str, ...]
    chosen: str | None
    strength: float
    why: str


def choose(candidates: Sequence[str], known: Clues) -> RemedyChoice:
    """Rank the candidates by their signs and choose one, or none where that would be a guess."""
    texts = {"alert": known.alert, "events": known.events, "logs": known.logs, "states": known.states}
    likeness = _likeness(candidates, known)
    scored: list[_Scored] = []
    for candidate in candidates:
        remedy = _remedy_of(candidate)
        strength, why = _strength(remedy, texts) if remedy else (0.0, "")
        scored.append(_Scored(candidate, remedy, strength, likeness.get(candidate, 0.0), why))
    scored.sort(key=lambda item: (-item.strength - _BY_WORDS * item.likeness, item.candidate))
    ranked = tuple(item.candidate for item in scored)
    if not scored or scored[0].remedy is None or scored[0].strength < scored[0].remedy.enough:
        return RemedyChoice(ranked, None, scored[0].strength if scored else 0.0, "no remedy's signs suffice")
    best = scored[0]
    for other in scored[1:]:
        if best.strength - other.strength >= AHEAD:
            break
        if not best.remedy or not other.remedy or best.remedy.family != other.remedy.family or not best.remedy.family:
            why = f"{best.candidate} and {other.candidate} fit equally well: {best.why}; {other.why}"
            return RemedyChoice(ranked, None, best.strength, why)
    return RemedyChoice(ranked, best.candidate, best.strength, best.why)


@dataclass(frozen=True)
class _Scored:
    candidate: str
    remedy: Remedy | None
    strength: float
    likeness: float
    why: str


def _remedy_of(candidate: str) -> Remedy | None:
    """Return the declared remedy whose name's words the candidate has."""
    named = frozenset(words(candidate))
    fitting = [remedy for remedy in REMEDIES if any(frozenset(words(name)) == named for name in remedy.names)]
    return fitting[0] if fitting else None


def _strength(remedy: Remedy, said: Mapping[str, str]) -> tuple[float, str]:
    """Add up the signs: the strongest of each place; nothing where a counter-sign is found."""
    for place, pattern in remedy.against:
        if any(pattern_matches(pattern, said[name]) for name in _places(place, said)):
            return 0.0, ""
    best: dict[str, tuple[float, str]] = {}
    for place, pattern, strength in remedy.signs:
        for name in _places(place, said):
            if strength > best.get(name, (0.0, ""))[0] and pattern_matches(pattern, said[name]):
                line = first_line(pattern, said[name]) or ""
                best[name] = (strength, f"{name}: {' '.join(line.split())[:120]}")
    total = sum(strength for strength, _ in best.values())
    return total, "; ".join(text for _, text in sorted(best.values(), reverse=True)[:3])


def _places(place: str, said: Mapping[str, str]) -> Iterable[str]:
    return said if place == "any" else place.split("|")


def _likeness(candidates: Sequence[str], known: Clues) -> Mapping[str, float]:
    """Return how alike the words are, from 0 to 1: only to order what has no signs."""
    library = Library(Document(candidate, candidate) for candidate in candidates)
    question = Lookup(text=f"{known.alert} {known.logs[:4000]}", more=f"{known.events[:8000]} {known.states[:8000]}")
    ranked = library.find(question, most=len(candidates)).ranked
    most = ranked[0][1] if ranked else 1.0
    return {candidate: score / most for candidate, score in ranked}
