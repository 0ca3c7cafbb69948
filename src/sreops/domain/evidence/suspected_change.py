"""Which change came right before the trouble: by the first line of a kind that a service had never logged before. Pure.

An alert fires minutes after its onset, and a change may lie in between. So the onset is read from the service's own
log: the first of a new kind of error that comes again, or of a flood of new lines. A deployment may take minutes to do
harm (it rolls out, it needs traffic); a flag acts at once. What came after the onset can't have caused it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.log_mining import mask, severity
from sreops.domain.text.redaction import one_line
from sreops.domain.text.spans import span

SOON_S, LATE_S = 300.0, 900.0
"""How long after a deployment the onset is close to it, and how long after it may still be its own."""
FLAG_S = 90.0
_LEAST_BEFORE = 5
"""So many lines of a service must be known from before, to say that one is new."""
_LEAST_ERRORS, _LEAST_WARNINGS, _LEAST_LINES = 2, 3, 8
"""So often a line of a new kind must come: a warning that comes now and then may well be seen twice in a while."""
_WARNING, _ERROR = 2, 3
_MISSED, _SHARE = 3.0, 0.2
"""A kind of line is new, and not only rare, if at its rate since the change so many would have come before; and at
least this share of what the most telling kind would have: of two that are new, chatter hides no onset of trouble."""
_MOST_LINES = 20_000


class SuspectedChange(BaseModel):
    """A change of a service: when it began to act, what it was in words (untrusted), and whether it was a flag."""

    model_config = ConfigDict(frozen=True)
    at: AwareDatetime
    service: str
    text: str
    flag: bool = False
    key: str = ""


class Onset(BaseModel):
    """When something new began in a service's log, and the line (untrusted)."""

    model_config = ConfigDict(frozen=True)
    at: AwareDatetime
    line: str


class Suspicion(BaseModel):
    """A change that the onset followed; ``close``: within minutes."""

    model_config = ConfigDict(frozen=True)
    change: SuspectedChange
    onset: Onset
    lag_s: float
    close: bool

    @property
    def told(self) -> str:
        """The suspicion as a part of a sentence, without the text of the change or of a line."""
        what = "a flag of it was switched" if self.change.flag else "it was deployed"
        return f"lines of a kind that it had never logged before began {span(self.lag_s)} after {what}"


def onset_of(lines: Iterable[tuple[datetime, str]]) -> Onset | None:
    """Return when something new began in a service's own lines (any order); None where nothing did or can be told."""
    ordered = sorted(lines, key=lambda line: line[0])[-_MOST_LINES:]
    first: dict[str, tuple[int, datetime, str]] = {}
    count: dict[str, int] = {}
    for place, (at, text) in enumerate(ordered):
        key = mask(text)
        first.setdefault(key, (place, at, text))
        count[key] = count.get(key, 0) + 1
    missed: list[tuple[float, Onset]] = []
    for key, (place, at, text) in first.items():
        least = {_ERROR: _LEAST_ERRORS, _WARNING: _LEAST_WARNINGS}.get(min(severity(text), _ERROR), _LEAST_LINES)
        expected = place * count[key] / (len(ordered) - place)  # before, at its rate since
        if place >= _LEAST_BEFORE and count[key] >= least and expected >= _MISSED:
            missed.append((expected, Onset(at=at, line=one_line(text, 200))))
    most = max((expected for expected, _ in missed), default=0.0)
    return min(
        (onset for expected, onset in missed if expected >= _SHARE * most), key=lambda onset: onset.at, default=None
    )


def suspect(changes: Sequence[SuspectedChange], onset: Onset | None) -> Suspicion | None:
    """Return the change that the onset followed most closely; a deployment before a flag."""
    if onset is None:
        return None
    found = []
    for change in changes:
        lag_s = (onset.at - change.at).total_seconds()
        if 0 <= lag_s <= (FLAG_S if change.flag else LATE_S):
            found.append(Suspicion(change=change, onset=onset, lag_s=lag_s, close=lag_s <= SOON_S))
    return min(found, key=lambda suspicion: (not suspicion.close, suspicion.change.flag, suspicion.lag_s), default=None)
