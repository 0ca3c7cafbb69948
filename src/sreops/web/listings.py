"""The lists that are one click away: all incidents with a search, what was only recorded, webhooks, runbooks."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.domain.alerts.alert import Severity
from sreops.domain.incidents.search import ANYTHING
from sreops.domain.records.track_record import TrackRecord
from sreops.errors import PayloadRejected
from sreops.web.access import Access
from sreops.web.answers import Refusal
from sreops.web.context import WebContext
from sreops.web.pages import Pages
from sreops.web.search import NEEDS, STATUSES, ListQuery, read_search

A_PAGE: Final = 50
_FORM = ("text", "status", "needs", "severity", "subject", "scope", "service", "since", "until")


def listing_routes(context: WebContext, access: Access, pages: Pages) -> list[Route]:
    """Return the routes."""
    lists = _Lists(context, pages)
    gets: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
        "/incidents": lists.incidents,
        "/recorded": lists.recorded,
        "/webhooks": lists.webhooks,
        "/runbooks": lists.runbooks,
    }
    return [Route(path, access.guard(endpoint), methods=["GET"]) for path, endpoint in gets.items()]


class _Lists:
    def __init__(self, context: WebContext, pages: Pages) -> None:
        self._context = context
        self._pages = pages

    async def incidents(self, request: Request) -> Response:
        """Show a page of the incidents that the form asks for; what is wrong with it is said above it."""
        now = self._context.clock.now()
        problem, found, following = "", [], None
        try:
            asked = read_search(request, now)
            page, following = await self._context.store.incidents(**asked.of_store(), now=now, limit=A_PAGE)
            found = list(page)
        except (Refusal, PayloadRejected) as exc:
            asked = ListQuery(None, None, (), ANYTHING, None)
            problem = f"{exc}: {exc.cure}" if isinstance(exc, Refusal) else str(exc)
        form = {name: text for name in _FORM if (text := request.query_params.get(name))}
        return await self._pages.show(
            "incidents.html",
            422 if problem else 200,
            found=found,
            form={name: form.get(name, "") for name in _FORM},
            searched=bool(form),
            problem=problem,
            statuses=STATUSES,
            needs=tuple(NEEDS),
            severities=[severity.value for severity in Severity],
            newest=f"/incidents?{urlencode(form)}" if asked.cursor else None,
            older=_onward("/incidents", form, following),
        )

    async def recorded(self, request: Request) -> Response:
        """Show a page of the alerts that are not worked on."""
        cursor = request.query_params.get("cursor") or None
        found, following = await self._context.store.recorded(limit=A_PAGE, cursor=cursor)
        newest = "/recorded" if cursor else None
        older = _onward("/recorded", {}, following)
        return await self._pages.show("recorded.html", found=found, newest=newest, older=older)

    async def webhooks(self, request: Request) -> Response:
        """Show the last webhooks that this process was sent."""
        return await self._pages.show("webhooks.html", found=self._context.last_webhook.newest())

    async def runbooks(self, request: Request) -> Response:
        """Show the runbooks in force, and what each has done, earned and lost."""
        records: dict[str, list[TrackRecord]] = {}
        for record in await self._context.store.track_records():
            records.setdefault(record.runbook_id, []).append(record)
        needed = self._context.settings.policy.earned_fixes
        return await self._pages.show("runbooks.html", found=self._context.runbooks, records=records, needed=needed)


def _onward(path: str, form: Mapping[str, str], cursor: str | None) -> str | None:
    return f"{path}?{urlencode({**form, 'cursor': cursor})}" if cursor else None
