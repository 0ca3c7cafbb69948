"""Silences of an Alertmanager, and of Grafana, which answers in the same shapes on a path of its own.

Source: prometheus/alertmanager api/v2 (``/silences`` lists expired ones too, ``/alerts`` says by which silences an
alert is silenced, hidden labels included); Grafana pkg/services/ngalert/api (``/api/alertmanager/grafana/api/v2``: 404
where an organisation has no alertmanager).
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sreops.adapters.http import HttpRoom
from sreops.adapters.observability.grafana import Grafana
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.silences import Matcher, Silence, Silenced, silenced
from sreops.errors import QueryRefused, SilencesUnavailable, SreopsError
from sreops.ports import Health
from sreops.settings import AlertmanagerSettings

_GRAFANA = "/api/alertmanager/grafana/api/v2"
_SILENCED_ONLY = (("active", "false"), ("inhibited", "false"))
Params = Sequence[tuple[str, str]]
Get = Callable[[str, Params, float], Awaitable[Any]]


class _Status(BaseModel):
    state: str = "active"


class _Listed(BaseModel):
    """A silence as it is listed; times are RFC 3339, with up to nine digits of a second."""

    model_config = ConfigDict(extra="ignore")
    id: str
    matchers: tuple[Matcher, ...] = Field(min_length=1)
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AwareDatetime = Field(alias="endsAt")
    status: _Status = _Status()
    created_by: str = Field("", alias="createdBy")
    comment: str = ""


def read_silences(listed: object, where: str) -> tuple[Silence, ...]:
    """Read ``GET /api/v2/silences``; raises SilencesUnavailable where it is no such list, or one of it is no silence.

    One that can't be read may be the one that matters.
    """
    if not isinstance(listed, list):
        raise SilencesUnavailable(f"{where}: /silences did not answer with a list")
    try:
        read = [_Listed.model_validate(item) for item in listed if not _expired(item)]
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SilencesUnavailable(f"{where}: a silence can't be read: {place}: {first['msg']}") from exc
    return tuple(
        Silence(
            id=silence.id, matchers=silence.matchers, starts_at=silence.starts_at, ends_at=silence.ends_at,
            state=silence.status.state, created_by=silence.created_by, comment=silence.comment, where=where,
        )
        for silence in read
    )  # fmt: skip


def _expired(item: object) -> bool:
    status = item.get("status") if isinstance(item, dict) else None
    return isinstance(status, dict) and status.get("state") == "expired"


def read_silenced_by(listed: object, where: str) -> Mapping[str, Sequence[str]]:
    """Read ``GET /api/v2/alerts``: the ids of the silences, by the fingerprint of the alert that they silence."""
    if not isinstance(listed, list):
        raise SilencesUnavailable(f"{where}: /alerts did not answer with a list")
    found: dict[str, Sequence[str]] = {}
    for item in listed:
        status = item.get("status") if isinstance(item, dict) else None
        by = status.get("silencedBy") if isinstance(status, dict) else None
        if isinstance(by, list) and by:
            found[str(item.get("fingerprint"))] = [str(silence_id) for silence_id in by]
    return found


async def _ask(
    get: Get, base: str, where: str, events: Sequence[AlertEvent], now: datetime, timeout_s: float
) -> Sequence[Silenced]:
    silences = read_silences(await get(f"{base}/silences", (), timeout_s), where)
    by_id = read_silenced_by(await get(f"{base}/alerts", _SILENCED_ONLY, timeout_s), where)
    return silenced(events, silences, by_id, now)


class Alertmanager:
    """An Alertmanager's API; implements ports.Silences."""

    name = "Alertmanager"

    def __init__(
        self,
        settings: AlertmanagerSettings,
        *,
        attempts: int = 3,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._room = HttpRoom(
            "alertmanager",
            settings.url or "",
            unavailable=SilencesUnavailable,
            token=settings.token,
            username=settings.username,
            password=settings.password,
            headers={"X-Scope-OrgID": settings.tenant} if settings.tenant else None,
            attempts=attempts,
            trust=trust,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._room.aclose()

    async def _get(self, path: str, params: Params, timeout_s: float) -> Any:
        allowed_s = min(timeout_s, self._settings.timeout_s)
        answer = await self._room.request("GET", path, params=list(params), timeout_s=allowed_s)
        if answer.status >= 500 or answer.status in (408, 429):
            raise self._room.unavailable(path, answer, "Alertmanager cannot answer now")
        if not answer.ok:
            raise QueryRefused(
                f"alertmanager: {self._room.shown_url}{path}: status {answer.status}: {answer.shown}; {_cure(answer)}",
                status=answer.status,
            )
        try:
            return await answer.parsed()
        except ValueError as exc:
            raise self._room.unavailable(path, answer, f"the answer is not JSON ({exc})") from exc

    async def silenced(self, events: Sequence[AlertEvent], *, now: datetime, timeout_s: float) -> Sequence[Silenced]:
        """Return which of these alerts are silenced there now."""
        return await _ask(self._get, "/api/v2", self.name, events, now, timeout_s)

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Implements ports.AlertStates: True where it holds the alert.

        That it holds none may only say that nobody has refreshed it: None.
        """
        listed = await self._get("/api/v2/alerts", (), timeout_s)
        if not isinstance(listed, list):
            raise SilencesUnavailable("alertmanager: /api/v2/alerts did not answer with a list")
        known = {str(item.get("fingerprint")) for item in listed if isinstance(item, dict)}
        return True if event.fingerprint in known else None

    async def health(self) -> Health:
        """List the silences: proves address and credentials."""
        where = self._room.shown_url
        try:
            found = read_silences(await self._get("/api/v2/silences", (), self._settings.timeout_s), self.name)
        except QueryRefused as exc:
            return Health("down", str(exc), "check SREOPS_ALERTMANAGER__URL and its credentials")
        except SreopsError as exc:
            return Health("down", str(exc), exc.cure or f"start it, or correct SREOPS_ALERTMANAGER__URL ({where})")
        return Health("up", f"Alertmanager at {where}, {len(found)} silences")


def _cure(answer: Any) -> str:
    if answer.status in (401, 403):
        return "set SREOPS_ALERTMANAGER__TOKEN, or __USERNAME and __PASSWORD"
    return "check SREOPS_ALERTMANAGER__URL: the base URL with its route prefix, without /api/v2"


class GrafanaSilences:
    """Grafana's own silences; implements ports.Silences."""

    name = "Grafana"

    def __init__(self, grafana: Grafana) -> None:
        self._grafana = grafana

    async def _get(self, path: str, params: Params, timeout_s: float) -> Any:
        return await self._grafana.get(path, list(params), timeout_s=timeout_s)

    async def silenced(self, events: Sequence[AlertEvent], *, now: datetime, timeout_s: float) -> Sequence[Silenced]:
        """Return which of these alerts are silenced there now; none where Grafana has no alertmanager of its own."""
        try:
            return await _ask(self._get, _GRAFANA, self.name, events, now, timeout_s)
        except QueryRefused as exc:
            if exc.status == 404:
                return ()
            raise QueryRefused(
                f"{exc}; the token's role Viewer (alert.instances:read) shows silences", status=exc.status
            ) from exc
