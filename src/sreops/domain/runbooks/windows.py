"""Time windows in which nothing is done: maintenance, freezes; of a day and hour that come again, or once. Pure.

A window that comes again is read in its own time zone, so it moves with the clocks there.
"""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_validator

from sreops.domain.runbooks.fields import Globs, Line, described, fault, one_of
from sreops.domain.text.patterns import glob_matches

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::00)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def moment_of(text: str) -> datetime | None:
    """Read an RFC 3339 time, with its zone, as UTC; None where it is none."""
    if not _MOMENT.fullmatch(text.strip()):
        return None
    try:
        return datetime.fromisoformat(text.strip().upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _moment(value: object) -> object:
    if isinstance(value, datetime):
        return value
    read = moment_of(value) if isinstance(value, str) else None
    if read is None:
        raise fault(f"must be a time with its zone, as 2026-12-24T18:00:00+01:00, not {described(value)}")
    return read


def _clock(value: object) -> object:
    if isinstance(value, time):
        return value
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise fault(f"must be a time of day from 00:00 to 23:59, not {described(value)}")
    return time(int(found[1]), int(found[2]))


def _days(value: object) -> object:
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list | tuple) or not named:
        raise fault(f"must be a list of days of the week, not {described(value)}")
    days = []
    for name in named:
        word = str(name).strip().lower()
        day = next((day for day in _DAYS if len(word) >= 3 and day.startswith(word)), None)
        if day is None:
            raise fault(f"{word[:40]!r} is no day of the week; {one_of(word, _DAYS)}")
        days.append(day)
    return tuple(days)


def _zone(value: object) -> str:
    try:
        return ZoneInfo(str(value)).key
    except (ValueError, OSError, LookupError) as exc:
        raise fault(f"{str(value)[:40]!r} is no time zone that this machine knows, as Europe/Berlin") from exc


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Clock = Annotated[
    time, BeforeValidator(_clock), WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"})
]
Days = Annotated[
    tuple[str, ...],
    BeforeValidator(_days),
    WithJsonSchema({"anyOf": [{"enum": list(_DAYS)}, {"type": "array", "items": {"enum": list(_DAYS)}}]}),
]
Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema({"type": "string"})]


class TimeWindow(BaseModel):
    """A time in which nothing is done: from ``start`` to ``end``, or each of ``days`` from ``after`` to ``before``.

    Of both kinds each end may be left out. ``before`` that is not later than ``after`` is of the next day. ``subjects``
    are globs of whom it is for; without them it is for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Line = ""
    start: Moment | None = None
    end: Moment | None = None
    days: Days = ()
    after: Clock | None = None
    before: Clock | None = None
    timezone: Zone = "UTC"
    subjects: Globs = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.start or self.end or self.days or self.after or self.before):
            raise fault("says no time: give start and end, or days, after and before")
        if self.start and self.end and self.end <= self.start:
            raise fault("ends before it starts")
        return self

    def holds(self, now: datetime) -> bool:
        """Say whether it holds now; its start belongs to it, its end does not."""
        if (self.start and now < self.start) or (self.end and now >= self.end):
            return False
        if not (self.days or self.after or self.before):
            return True
        local = now.astimezone(ZoneInfo(self.timezone))
        after, before, at = self.after or time(0), self.before or time(0), local.time()
        if before > after:
            return after <= at < before and self._on(local)
        if at >= after and self._on(local):
            return True
        return at < before and self._on(local - timedelta(days=1))  # it began the evening before

    def _on(self, local: datetime) -> bool:
        return not self.days or _DAYS[local.weekday()] in self.days

    def is_for(self, names: Collection[str]) -> bool:
        """Say whether it is for somebody of one of these names."""
        return not self.subjects or any(glob_matches(glob, name) for glob in self.subjects for name in names)

    @property
    def told(self) -> str:
        """The window in words, its name first."""
        parts = [f"{word} {at:%Y-%m-%d %H:%M} UTC" for word, at in (("from", self.start), ("to", self.end)) if at]
        parts += [f"on {', '.join(self.days)}"] if self.days else []
        if self.after or self.before:
            hours = f"{self.after or time(0):%H:%M} to {self.before or time(0):%H:%M}"
            parts.append(f"{hours} {self.timezone}")
        when = " ".join(parts)
        return f"{self.name} ({when})" if self.name else when


def holding(windows: Sequence[TimeWindow], names: Collection[str], now: datetime) -> tuple[str, ...]:
    """Return, in words, the windows that hold now for somebody of one of these names."""
    return tuple(window.told for window in windows if window.is_for(names) and window.holds(now))


def held_by_label(value: str, now: datetime) -> bool:
    """Say whether a label that names a maintenance holds: ``true``, or a time until which it does.

    What can't be read holds: somebody has meant to say that hands are to be kept off.
    """
    word = value.strip().lower()
    if word in ("", "false", "no", "off", "0"):
        return False
    until = moment_of(value)
    return until is None or now < until
