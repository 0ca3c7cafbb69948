"""Which document fits an alert: BM25F over name, title and text, with an abstention. Pure.

Names carry most: they are split as people build them (``KubePodNotReady``, ``kube_pod_not_ready``). BM25F is that of
Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), §3.6. A ranking always has a first; whether it
*fits* is judged apart, by how much of what the alert says the document accounts for.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

K1 = 1.2
FIELDS: Mapping[str, tuple[float, float]] = {"name": (6.0, 0.3), "title": (2.0, 0.3), "text": (1.0, 0.75)}
"""Per field its weight and how far its length is discounted (``b``)."""
NAME_FITS = 0.9
"""Share of the rarer words that two names must have in common to mean the same."""
NAME_APART = 0.9
"""Where the alert and the document have different names: share of what the alert says that the text must hold."""
HOLDS_LEAST, HOLDS, HOLDS_MOST = 0.4, 0.6, 0.75
"""Where the alert has no name: the most alone suffices, less must be ahead, the least far ahead."""
AHEAD, FAR_AHEAD = 1.15, 1.5
"""How far ahead of the next one's score."""
_MAX_CHARS = 40_000
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_TEMPLATE = re.compile(r"\{\{[^{}]{0,300}\}\}")  # what an alert rule fills in later is no word of its own
_STOP = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "been", "being", "by", "can", "for", "from", "had", "has", "have",
    "if", "in", "into", "is", "it", "its", "more", "most", "no", "not", "of", "on", "or", "since", "some", "than",
    "that", "the", "then", "there", "this", "to", "too", "was", "were", "when", "which", "while", "will", "with",
    "within", "you", "your",
})  # fmt: skip
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s", "ly")


@dataclass(frozen=True)
class Document:
    """What may be found: ``name`` is its id as people write it, ``text`` its body."""

    id: str
    name: str
    title: str = ""
    text: str = ""


@dataclass(frozen=True)
class Lookup:
    """What is looked for: the alert's ``name``, its ``text`` (summary, description), and ``more`` (labels, query)."""

    name: str = ""
    text: str = ""
    more: str = ""


@dataclass(frozen=True)
class Found:
    """Ids with their scores, best first; ``fits`` is False where the best one should not be taken, ``why`` says so."""

    ranked: tuple[tuple[str, float], ...]
    fits: bool
    why: str

    @property
    def best(self) -> str | None:
        """The id to take, or None: an abstention."""
        return self.ranked[0][0] if self.fits and self.ranked else None


def words(text: str) -> list[str]:
    """Split into stems: at CamelCase, underscores and all that is no letter or digit; lower case, no endings."""
    plain = _TEMPLATE.sub(" ", text[:_MAX_CHARS])
    found = (match[0].lower() for match in _WORD.finditer(plain))
    return [_stem(word) for word in found if word not in _STOP and (len(word) > 1 or word.isdigit())]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


@dataclass
class _Entry:
    document: Document
    fields: dict[str, Counter[str]]
    name: frozenset[str]
    all: frozenset[str] = field(default_factory=frozenset)


class Library:
    """Documents made ready to be searched."""

    def __init__(self, documents: Iterable[Document]) -> None:
        """Split and count every document once."""
        self._entries = []
        for document in documents:
            fields = {
                "name": Counter(words(document.name)),
                "title": Counter(words(document.title)),
                "text": Counter(words(document.text)),
            }
            every = frozenset(word for counts in fields.values() for word in counts)
            self._entries.append(_Entry(document, fields, frozenset(fields["name"]), every))
        total = len(self._entries)
        held = Counter(word for entry in self._entries for word in entry.all)
        self._rarity = {word: math.log(1 + (total - count + 0.5) / (count + 0.5)) for word, count in held.items()}
        self._unheard = math.log(1 + (total + 0.5) / 0.5)
        self._lengths = {
            name: max(1.0, sum(sum(entry.fields[name].values()) for entry in self._entries) / max(1, total))
            for name in FIELDS
        }

    def find(self, question: Lookup, *, most: int = 10) -> Found:
        """Rank the documents for this question and judge whether the best one fits."""
        asked: Counter[str] = Counter()
        for text, weight in ((question.name, 3), (question.text, 2), (question.more, 1)):
            for word in set(words(text)):
                asked[word] = max(asked[word], weight)
        scored = sorted(
            ((self._score(asked, entry), entry) for entry in self._entries),
            key=lambda pair: (-pair[0], pair[1].document.id),
        )
        scored = [item for item in scored if item[0] > 0]
        named = frozenset(words(question.name))
        if named:  # the same name is the strongest sign there is
            scored.sort(key=lambda pair: (-self._same(named, pair[1].name), -pair[0], pair[1].document.id))
        ranked = tuple((entry.document.id, round(score, 3)) for score, entry in scored[:most])
        if not scored:
            return Found((), False, "no document shares a word with the alert")
        return Found(ranked, *self._judge(question, named, scored))

    def _score(self, asked: Mapping[str, int], entry: _Entry) -> float:
        score = 0.0
        for word, times in asked.items():
            if word not in entry.all:
                continue
            weighed = 0.0
            for name, (weight, discount) in FIELDS.items():
                count = entry.fields[name][word]
                if count:
                    length = sum(entry.fields[name].values()) / self._lengths[name]
                    weighed += weight * count / (1 - discount + discount * length)
            score += times * self._rarity[word] * weighed / (K1 + weighed)
        return score

    def _judge(
        self, question: Lookup, named: frozenset[str], scored: Sequence[tuple[float, _Entry]]
    ) -> tuple[bool, str]:
        score, best = scored[0]
        alike = self._alike(named, best.name)
        if named and alike >= NAME_FITS:
            return True, f"its name says the same ({alike:.0%} alike)"
        held = self._held(frozenset(words(question.text)), best.all)
        ahead = score / scored[1][0] if len(scored) > 1 else math.inf
        says = f"holds {held:.0%} of what the alert says, {ahead:.2f} times the next one's score"
        if named:
            return held >= NAME_APART and ahead >= AHEAD, f"another name ({alike:.0%} alike); {says}"
        fits = held >= HOLDS_MOST or (held >= HOLDS and ahead >= AHEAD) or (held >= HOLDS_LEAST and ahead >= FAR_AHEAD)
        return fits, says

    def _weight(self, some: Iterable[str]) -> float:
        return sum(self._rarity.get(word, self._unheard) for word in some)

    def _alike(self, one: frozenset[str], other: frozenset[str]) -> float:
        both = self._weight(one) + self._weight(other)
        return 2 * self._weight(one & other) / both if both else 0.0

    def _same(self, one: frozenset[str], other: frozenset[str]) -> float:
        alike = self._alike(one, other)
        return alike if alike >= NAME_FITS else 0.0

    def _held(self, asked: frozenset[str], held: frozenset[str]) -> float:
        total = self._weight(asked)
        return self._weight(asked & held) / total if total else 0.0
