"""Fields of a payload that nothing guarantees: every reader returns a usable value and notes what was wrong."""

import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeGuard
from urllib.parse import urlsplit

from sreops.domain.text.unicode import whole

_MAX_NOTES = 20
_SHOWN_CHARS = 60
_MAX_URL_CHARS = 4096
_MAX_VALUES = 64
_MAX_READ = 1024  # entries of one object that are looked at: beyond it a payload only costs time
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_ROOM = timedelta(days=1)
_MILLISECONDS_FROM = 1e11  # as seconds this is the year 5138: such a number is milliseconds
_JSON_BYTES_PER_CHAR = 6  # the worst that JSON makes of one character ("\u0001")
_URL = re.compile(r"https?://[^\s<>\"`\\\x00-\x1f\x7f]+", re.IGNORECASE)
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?#][!#-;=?-\[\]-_a-~]*)?")
"""An address of the usual kind, for which nothing more needs to be looked at: of every alert's three or four."""


class Notes:
    """What was wrong with the fields of one alert, bounded so that a hostile payload can't grow it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._more = 0

    def add(self, field: str, what: str) -> None:
        """Note that ``field`` (untrusted text, shortened here) was ``what``."""
        if len(self._lines) < _MAX_NOTES:
            self._lines.append(f"{shorten(whole(field), _SHOWN_CHARS)}: {what}")
        else:
            self._more += 1

    def take(self, other: "Notes") -> None:
        """Add all of another's notes."""
        room = _MAX_NOTES - len(self._lines)
        self._lines += other._lines[:room]
        self._more += other._more + len(other._lines[room:])

    def lines(self) -> tuple[str, ...]:
        """Return the notes, the last one counting those that did not fit."""
        return (*self._lines, f"and {self._more} more") if self._more else tuple(self._lines)


@dataclass(frozen=True)
class MapLimits:
    """How much of a map of texts is kept; ``max_bytes`` is of its JSON form."""

    max_count: int
    max_name_chars: int
    max_value_chars: int
    max_bytes: int


def shorten(text: str, chars: int) -> str:
    """Return at most ``chars`` characters, the last one an ellipsis where something was cut."""
    return text if len(text) <= chars else text[: chars - 1] + "…"


def text_of(value: object) -> str | None:
    """Return clean text of a JSON scalar, or None for null, lists, objects and numbers without a short form."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        try:
            return str(value)
        except ValueError:  # more digits than Python prints
            return None
    return None


def texts(
    value: object, field: str, limits: MapLimits, first: Collection[str], notes: Notes
) -> tuple[dict[str, str], dict[str, str]]:
    """Read an object of texts: return all of them, and those that fit the limits, names in ``first`` before others.

    Numbers become text, values are cut; anything else and over-long names are left out, each with a note.
    """
    if plain_texts(value, limits):
        return value, value
    read = _texts(value, field, notes)
    return read, _within(read, field, limits, first, notes)


def plain_texts(value: object, limits: MapLimits) -> TypeGuard[dict[str, str]]:
    """Say whether nothing in it needs cleaning or measuring, as in nearly every alert: ASCII texts, far from limits."""
    if not isinstance(value, dict):
        return False
    try:
        names, values = "".join(value), "".join(value.values())  # raises where one is no text
    except TypeError:
        return False
    return (
        len(value) <= limits.max_count
        and (len(names) <= limits.max_name_chars or max(map(len, value)) <= limits.max_name_chars)
        and len(values) <= limits.max_value_chars  # all together, so each
        and (len(names) + len(values)) * _JSON_BYTES_PER_CHAR + len(value) * 8 <= limits.max_bytes
        and names.isascii()
        and values.isascii()
        and "\x00" not in values
        and "\x00" not in names
    )


def _texts(value: object, field: str, notes: Notes) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        notes.add(field, "is not an object, left out")
        return {}
    read: dict[str, str] = {}
    if len(value) > _MAX_READ:
        notes.add(field, f"has {len(value)} entries, only {_MAX_READ} read")
    for raw_name, raw in islice(value.items(), _MAX_READ):
        name, text = text_of(raw_name), text_of(raw)
        if name is None or text is None:
            notes.add(f"{field}.{name}", "is neither text nor number, left out")
            continue
        if not isinstance(raw, str):
            notes.add(f"{field}.{name}", "is not text, read as text")
        read[name] = text
    return read


def _within(
    read: dict[str, str], field: str, limits: MapLimits, first: Collection[str], notes: Notes
) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = limits.max_bytes
    for name in sorted(read, key=lambda name: name not in first):
        value = read[name]
        if len(value) > limits.max_value_chars:
            value = shorten(value, limits.max_value_chars)
            notes.add(f"{field}.{name}", f"cut to {limits.max_value_chars} characters")
        cost = _json_bytes(name) + _json_bytes(value)
        if len(kept) == limits.max_count or len(name) > limits.max_name_chars or cost > room:
            notes.add(f"{field}.{name}", "left out: too many or too long")
            continue
        room -= cost
        kept[name] = value
    return {name: kept[name] for name in read if name in kept}


def _json_bytes(text: str) -> int:
    if text.isascii() and text.isprintable():
        return len(text) + text.count('"') + text.count("\\") + 4  # quotes, colon, comma
    return len(text) * _JSON_BYTES_PER_CHAR + 4


def timestamp(value: object, field: str, *, received_at: datetime, notes: Notes) -> datetime | None:
    """Read an instant as aware UTC: RFC 3339 to nanoseconds (cut to micro), or a Unix time.

    None where it is missing, Go's zero time (year 1), unreadable, before 1970, or more than a day ahead of
    ``received_at``: what is kept can be added to and subtracted from without leaving the calendar.
    """
    if value is None or value == "":
        return None
    moment = _moment(value, field, notes)
    if moment is None:
        notes.add(field, "is no readable time, left out")
        return None
    if moment.year == 1:
        return None
    try:
        moment = moment.astimezone(UTC)
    except (OverflowError, ValueError):
        notes.add(field, "is outside the calendar, left out")
        return None
    if not _EARLIEST <= moment <= received_at + _CLOCK_ROOM:
        notes.add(field, "is before 1970 or more than a day ahead, left out")
        return None
    return moment


def _moment(value: object, field: str, notes: Notes) -> datetime | None:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) >= _MILLISECONDS_FROM else value
            moment = datetime.fromtimestamp(seconds, UTC)
            notes.add(field, "is a number, read as Unix time")
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    if moment.tzinfo is None:
        notes.add(field, "has no offset, read as UTC")
        return moment.replace(tzinfo=UTC)
    return moment


def web_url(value: object, field: str, notes: Notes) -> str:
    """Return an http or https address, or "" (with a note) for anything else: people will click on it."""
    if value is None or value == "":
        return ""
    if isinstance(value, str) and len(value) <= _MAX_URL_CHARS and _PLAIN_URL.fullmatch(value):
        return value
    if isinstance(value, str) and len(value) <= _MAX_URL_CHARS and _URL.fullmatch(value):
        address = whole(value)
        try:
            if urlsplit(address).hostname:
                return address
        except ValueError:  # an unclosed bracket
            pass
    notes.add(field, "is no http(s) address of reasonable length, left out")
    return ""


def numbers(value: object, field: str, notes: Notes) -> dict[str, float] | None:
    """Read an object of finite numbers; others are left out with a note, null is None."""
    if value is None:
        return None
    if not isinstance(value, dict):
        notes.add(field, "is not an object, left out")
        return None
    read: dict[str, float] = {}
    for raw_name, raw in islice(value.items(), _MAX_READ):
        name, number = text_of(raw_name), _finite(raw)
        if name is None or number is None or len(name) > _SHOWN_CHARS or len(read) == _MAX_VALUES:
            notes.add(f"{field}.{name}", "is no finite number, or one too many, left out")
        else:
            read[name] = number
    return read


def _finite(value: object) -> float | None:
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def fraction(value: str, field: str, notes: Notes) -> float | None:
    """Read a number from 0 to 1; anything else is None with a note."""
    number = _finite(value)
    if number is None or not 0 <= number <= 1:
        notes.add(field, "is no number from 0 to 1, the default taken")
        return None
    return number


def json_text(value: object) -> str:
    """Return one spelling per value: sorted keys, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
