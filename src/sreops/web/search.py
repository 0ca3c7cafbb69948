"""Which incidents are asked for: the query of ``/api/incidents`` and of the page's list, read alike."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from starlette.requests import Request

from sreops.domain.alerts.alert import Severity
from sreops.domain.incidents.incident import IncidentStatus
from sreops.domain.incidents.needs import Need
from sreops.domain.incidents.search import Search
from sreops.web.answers import Refusal

NEEDS: Final[Mapping[str, tuple[Need, ...]]] = {"person": tuple(Need), **{need.value: (need,) for need in Need}}
STATUSES: Final = ("open", *(status.value for status in IncidentStatus))
MAX_CHARS: Final = 200
MAX_WORDS: Final = 10

_AGO = re.compile(r"(?P<number>[1-9][0-9]{0,4}) ?(?P<unit>[mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class ListQuery:
    """What the query asks for, as the store takes it."""

    status: str | None
    service: str | None
    needs: Sequence[Need]
    search: Search
    cursor: str | None

    def of_store(self) -> dict[str, Any]:
        """Return the arguments of the store's ``incidents``, but ``now`` and ``limit``."""
        return {
            "status": self.status,
            "service": self.service,
            "needs": self.needs,
            "search": self.search,
            "cursor": self.cursor,
        }


def read_search(request: Request, now: datetime) -> ListQuery:
    """Read the query; raises Refusal(422) that names what is wrong."""
    query = request.query_params
    for name, text in query.items():
        if len(text) > MAX_CHARS and name != "cursor":
            raise Refusal(422, f"{name} has over {MAX_CHARS} characters", f"shorten {name}")
    words = _text(query.get("text")).split()
    if len(words) > MAX_WORDS:
        raise Refusal(422, f"text has over {MAX_WORDS} words", "use fewer words")
    needs = _one_of("needs", query.get("needs"), tuple(NEEDS))
    return ListQuery(
        status=_one_of("status", query.get("status"), STATUSES),
        service=query.get("service") or None,
        needs=NEEDS[needs] if needs else (),
        search=Search(
            severities=_severities(_text(query.get("severity"))),
            subject=_text(query.get("subject")),
            scope=tuple(entry for part in query.getlist("scope") for entry in _text(part).split(",") if entry.strip()),
            words=tuple(words),
            since=_moment("since", query.get("since"), now),
            until=_moment("until", query.get("until"), now),
        ),
        cursor=query.get("cursor") or None,
    )


def _text(given: str | None) -> str:
    return (given or "").strip()


def _one_of(name: str, given: str | None, known: Sequence[str]) -> str | None:
    if given and given not in known:
        raise Refusal(422, f"{name}={given[:50]!r} is unknown", f"use one of {', '.join(known)}")
    return given or None


def _severities(given: str) -> tuple[Severity, ...]:
    names = [part.strip() for part in given.split(",") if part.strip()]
    for name in names:
        _one_of("severity", name, tuple(severity.value for severity in Severity))
    return tuple(map(Severity, names))


def _moment(name: str, given: str | None, now: datetime) -> datetime | None:
    """Read a moment: RFC 3339, or how long ago (``90m``, ``24h``, ``7d``); where no zone is named it is UTC."""
    text = _text(given)
    if not text:
        return None
    if ago := _AGO.fullmatch(text):
        return now - int(ago["number"]) * _UNITS[ago["unit"]]
    try:
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)  # "+" is a space in a query
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        cure = f"write {name}=2026-03-01T02:00Z, or how long ago: {name}=24h (m, h, d, w)"
        raise Refusal(422, f"{name}={text[:50]!r} is no time", cure) from exc
