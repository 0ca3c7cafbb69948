"""Alerts that join an incident: what each of them changes, and whether the incident is analysed again. Pure.

Which incident an alert joins is `correlation.py`'s.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, Severity
from sreops.domain.alerts.severity import RANK

MAX_ANALYSES = 3
"""So often an incident is analysed again because of who joins: after that a person knows more than a fourth would."""
APART_S = 300.0
"""Between two such analyses: what joins meanwhile is taken up by the next one, together."""
FLAPS, FLAP_WINDOW_S = 4, 600.0
"""An alert that began to fire so often within so long flaps."""
REJOIN_TIMER = "rejoin"
"""The timer of an incident that stands still, before its first effect, so that it can be analysed again."""
_STANDS_STILL = frozenset({"escalated", "awaiting_approval"})
MAX_NAMES = 200
"""Names of alerts that are remembered as analysed."""


class Joined(BaseModel):
    """An alert that has joined; ``new_name``: the incident had none of its name before."""

    model_config = ConfigDict(frozen=True)
    event_id: str
    alertname: str
    severity: Severity
    new_name: bool

    @classmethod
    def of(cls, event: AlertEvent, *, new_name: bool) -> "Joined":
        """Make it of the event that brought it."""
        return cls(event_id=event.event_id, alertname=event.alertname, severity=event.severity, new_name=new_name)


class Pending(BaseModel):
    """An analysis that is due because of who joined; the episode is about ``event_id``, the worst of them."""

    model_config = ConfigDict(frozen=True)
    due_at: AwareDatetime
    event_id: str
    severity: Severity
    names: tuple[str, ...]
    why: str


class Flapping(BaseModel):
    """An alert that began to fire ``times`` within ``FLAP_WINDOW_S`` of ``since``."""

    model_config = ConfigDict(frozen=True)
    alertname: str
    times: int
    since: AwareDatetime

    @property
    def in_words(self) -> str:
        """Return it for people."""
        return f"{self.alertname} is flapping: it began to fire {self.times} times since {self.since:%H:%M:%S} UTC"


class Joins(BaseModel):
    """What an incident remembers of those who joined: how often, when and about what it was analysed again.

    ``began_by``: the event that the running episode is about, where somebody's joining began it, with ``began_why``.
    """

    model_config = ConfigDict(frozen=True)
    analyses: int = 0
    last_at: AwareDatetime | None = None
    names: tuple[str, ...] = ()
    pending: Pending | None = None
    began_by: str | None = None
    began_why: str = ""
    flapping: Flapping | None = None

    def begun(self, now: datetime) -> "Joins":
        """Return what is remembered once the pending analysis has begun."""
        if self.pending is None:
            return self
        return self.model_copy(
            update={
                "analyses": self.analyses + 1,
                "last_at": now,
                "names": tuple(dict.fromkeys((*self.names, *self.pending.names)))[:MAX_NAMES],
                "pending": None,
                "began_by": self.pending.event_id,
                "began_why": self.pending.why,
            }
        )

    def uncovered(self, joined: Sequence["Joined"], now: datetime) -> "Joins":
        """Return what is remembered where these joined after the incident was last looked at: they are due at once."""
        worst = min(joined, key=lambda newcomer: RANK[newcomer.severity])
        names = tuple(dict.fromkeys(newcomer.alertname for newcomer in joined))
        why = f"{_listed(names)} joined while it was being closed, and nothing that was looked at covers that"
        pending = Pending(due_at=now, event_id=worst.event_id, severity=worst.severity, names=names, why=why)
        return self.model_copy(update={"pending": pending})

    def settled(self) -> "Joins":
        """Return what is remembered where the analysis that was due is not needed any more."""
        return self.model_copy(update={"pending": None})

    def fresh(self) -> "Joins":
        """Return what is remembered in an episode that something else began: a refire, a person."""
        return self.model_copy(update={"pending": None, "began_by": None, "began_why": ""})


class Standing(BaseModel):
    """Where the incident stands when somebody joins; ``begun``: the running episode's analysis has begun."""

    model_config = ConfigDict(frozen=True)
    status: str
    severity: Severity
    begun: bool
    is_storm: bool = False


class News(BaseModel):
    """What people are told of those who joined, if anything; ``joins`` is what the incident remembers from now on."""

    model_config = ConfigDict(frozen=True)
    worse: bool = False
    names: tuple[str, ...] = ()  # new to the incident
    event_id: str = ""  # of the worst who joined
    joins: Joins
    why: str = ""

    @property
    def told(self) -> bool:
        """Whether people are told again."""
        return self.worse or bool(self.names)


def news_of(standing: Standing, joined: Sequence[Joined], joins: Joins, now: datetime) -> News:
    """Say what those who have just joined an incident change."""
    worst = min(joined, key=lambda newcomer: RANK[newcomer.severity])
    worse = RANK[worst.severity] < RANK[standing.severity]
    # a storm gathers alerts of any name: only that it gets worse is news
    new_names = tuple(dict.fromkeys(newcomer.alertname for newcomer in joined if newcomer.new_name))
    names = () if standing.is_storm else new_names
    if not worse and not names:
        return News(joins=joins)
    changes = [f"it is {worst.severity.value} now ({worst.alertname})"] if worse else []
    changes += [f"{_listed(names)} joined"] if names else []
    why = " and ".join(changes)
    news = worst if worse else next(newcomer for newcomer in joined if newcomer.new_name)
    remembered = _with_analysis(standing, joined, joins, why, now)
    return News(worse=worse, names=names, event_id=news.event_id, joins=remembered, why=why)


def _with_analysis(standing: Standing, joined: Sequence[Joined], joins: Joins, why: str, now: datetime) -> Joins:
    """Add the analysis that is due: at once, or ``APART_S`` after the last one of its kind."""
    rank = RANK[standing.severity]
    news = [newcomer for newcomer in joined if newcomer.new_name or RANK[newcomer.severity] < rank]
    news = [newcomer for newcomer in news if newcomer.alertname not in joins.names]
    if not news or not _is_analysed_again(standing, joins):
        return joins
    worst = min(news, key=lambda newcomer: RANK[newcomer.severity])
    names = tuple(dict.fromkeys(newcomer.alertname for newcomer in news))
    if (before := joins.pending) is not None:
        instead = {"event_id": worst.event_id, "severity": worst.severity}
        keep = RANK[before.severity] <= RANK[worst.severity]
        all_names = tuple(dict.fromkeys((*before.names, *names)))[:MAX_NAMES]
        changed = {"names": all_names, "why": f"{before.why}; {why}"[:500], **({} if keep else instead)}
        return joins.model_copy(update={"pending": before.model_copy(update=changed)})
    due_at = now if joins.last_at is None else max(now, joins.last_at + timedelta(seconds=APART_S))
    pending = Pending(due_at=due_at, event_id=worst.event_id, severity=worst.severity, names=names[:MAX_NAMES], why=why)
    return joins.model_copy(update={"pending": pending})


def _is_analysed_again(standing: Standing, joins: Joins) -> bool:
    if standing.is_storm or joins.analyses >= MAX_ANALYSES:
        return False
    # what joins before the analysis has begun is part of it
    return standing.begun or standing.status != "investigating"


def is_safe_point(status: str) -> bool:
    """Say whether an incident may be analysed again now: it was handed over, or a plan of it waits for a person."""
    return status in _STANDS_STILL


def flapping(alertname: str, times: int, since: datetime) -> Flapping | None:
    """Return the alert as flapping where it began to fire so often since then, else None."""
    return Flapping(alertname=alertname, times=times, since=since) if times >= FLAPS else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
