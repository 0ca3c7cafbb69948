"""The pages: rendered on the server, brought up to date by fragments that the same templates make."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sreops.domain.alerts.subject import in_words
from sreops.domain.evidence.probe import lacking, probed
from sreops.domain.incidents.incident import Incident
from sreops.domain.incidents.needs import Need
from sreops.domain.incidents.search import Search
from sreops.domain.records.person import Person, ProvenBy, Role
from sreops.errors import DecisionConflict
from sreops.web.access import ASKED_BY, Access
from sreops.web.answers import Refusal, read_form, validated
from sreops.web.api import DecisionBody, SwitchBody, decide, switch, whole_number
from sreops.web.context import WebContext
from sreops.web.health import Checks
from sreops.web.incident_view import SHOWN_EVENTS, SHOWN_RECORDS, IncidentView, view_incident
from sreops.web.origin import name_of_url
from sreops.web.people import take_said
from sreops.web.rendering import Assets, Templates

SHOWN_OPEN: Final = 100
SHOWN_ENDED: Final = 25
SHOWN_RECORDED: Final = 10

_MAX_SEQ = 2**63 - 1


class Pages:
    """The pages of the user interface and the forms on them."""

    def __init__(self, context: WebContext, access: Access, checks: Checks) -> None:
        self._context = context
        self._store = context.store
        self._access = access
        self._checks = checks
        self._assets = Assets()
        self._templates = Templates(self._assets)

    def routes(self) -> list[Route]:
        """Return the routes of pages, fragments, forms and static files."""
        guard = self._access.guard
        return [
            Route("/", guard(self.overview), methods=["GET"]),
            Route("/fragment", guard(self.overview_fragment), methods=["GET"]),
            Route("/incidents/{incident_id}", guard(self.incident), methods=["GET"]),
            Route("/incidents/{incident_id}/fragment", guard(self.incident_fragment), methods=["GET"]),
            Route("/incidents/{incident_id}/probe", guard(self.probe), methods=["GET"]),
            Route("/incidents/{incident_id}/decision", guard(self.decide), methods=["POST"]),
            Route("/incidents/{incident_id}/said", guard(self.said, Role.operator), methods=["POST"]),
            Route("/automation", guard(self.switch), methods=["POST"]),
            Route("/static/{name}", self._assets.answer, methods=["GET"]),
        ]

    # what is shown

    async def overview(self, request: Request) -> Response:
        """Show open incidents and those that ended last."""
        return await self.show("overview.html", **await self._overview())

    async def overview_fragment(self, request: Request) -> Response:
        """Show the parts of the overview that change."""
        return await self.show("overview_fragment.html", **await self._overview())

    async def incident(self, request: Request) -> Response:
        """Show one incident."""
        return await self.show("incident.html", view=await self._view(request))

    async def incident_fragment(self, request: Request) -> Response:
        """Show the parts of an incident that change, and its thoughts and actions after ``?after=``."""
        after = whole_number(request, "after", 0, least=0, most=_MAX_SEQ)
        return await self.show("incident_fragment.html", view=await self._view(request), after=after)

    async def probe(self, request: Request) -> Response:
        """Show what was asked about an incident's subject, where, and what is missing."""
        incident = await self._store.incident(request.path_params["incident_id"])
        asked = probed(await self._store.evidence(incident.id))
        subject = in_words(incident.subject)
        return await self.show("probe.html", incident=incident, subject=subject, asked=asked, lacking=lacking(asked))

    async def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """Render a page with its frame: health, automation, who asks."""
        report, automation = await asyncio.gather(self._checks.at_hand(), self._store.pause_state())
        return self._templates.answer(
            template,
            status,
            now=self._context.clock.now(),
            report=report,
            automation=automation,
            dry_run=self._context.settings.dry_run,
            person=_shown(ASKED_BY.get()),
            version=self._context.version,
            **values,
        )

    async def _overview(self) -> dict[str, Any]:
        newest = await self._store.records(limit=1, newest=True)  # first: what comes later is told by the stream
        now = self._context.clock.now()
        storms, singles = Search(storms=True), Search(storms=False)
        (
            (in_storm, more_storms),
            (single, more_needing),
            (working, more),
            firing,
            (latest, _),
            (recorded, more_recorded),
        ) = await asyncio.gather(
            self._store.incidents(needs=tuple(Need), search=storms, now=now, limit=SHOWN_OPEN),
            self._store.incidents(needs=tuple(Need), search=singles, now=now, limit=SHOWN_OPEN),
            self._store.incidents(status="open", limit=SHOWN_OPEN),
            self._store.still_firing(limit=SHOWN_OPEN),
            self._store.incidents(limit=SHOWN_OPEN),
            self._store.recorded(limit=SHOWN_RECORDED),
        )
        needing = [*in_storm, *single]  # a storm is one row, on top, however many came after it
        counts = await self._store.needs_counts(now=now)
        asked_for = {incident.id for incident in needing}
        with_somebody = [
            incident for incident in firing if incident.id not in asked_for and incident.absorbed_by is None
        ]
        shown = asked_for | {incident.id for incident in with_somebody}
        over = [incident for incident in latest if incident.status.ended and incident.id not in shown]
        return {
            "needing": needing,
            "needs_count": sum(counts.values()),
            "more_needing": (more_storms or more_needing) is not None,
            "working": _storms_first([incident for incident in working if incident.id not in asked_for]),
            "more_working": more is not None,
            "with_somebody": with_somebody,
            "ended": over[:SHOWN_ENDED],
            "recorded": recorded,
            "more_recorded": more_recorded is not None,
            "webhooks": self._context.last_webhook.all(),
            "last_seq": newest[-1].seq if newest else 0,
        }

    async def _view(self, request: Request) -> IncidentView:
        store = self._store
        incident_id = request.path_params["incident_id"]
        # The records first: what is told after this read comes by the stream, and the page asks again.
        records = await store.records(incident_id=incident_id, limit=SHOWN_RECORDS, newest=True)
        incident = await store.incident(incident_id)
        events, evidence, approval = await asyncio.gather(
            store.events(incident.id, newest=SHOWN_EVENTS),
            store.evidence(incident.id),
            store.approval(incident.id, incident.episode),
        )
        now, runbooks = self._context.clock.now(), self._context.runbooks
        return view_incident(incident, events, evidence, records, approval, now, runbooks)

    # what is decided

    async def decide(self, request: Request) -> Response:
        """Take the form's decision and go back to the incident; what hindered it is shown there."""
        incident_id = request.path_params["incident_id"]
        form = await read_form(request)
        wish = form.get("decision")
        if wish not in ("approve", "reject"):
            raise Refusal(422, "decision: neither approve nor reject", "use the buttons of the page")
        try:
            body = validated(DecisionBody, form, "fill in who you are and why")
            if wish == "approve" and form.get("confirmed") != body.plan_hash:
                view = await self._view(request)
                if view.decidable and view.disrupts and view.approval and view.approval.plan_hash == body.plan_hash:
                    return await self.show("incident.html", view=view, form=form, confirming=True)
            await decide(self._context, incident_id, body, approve=wish == "approve")
        except (Refusal, DecisionConflict) as exc:
            problem = f"{exc}: {exc.cure}" if isinstance(exc, Refusal) else str(exc)
            status = exc.status if isinstance(exc, Refusal) else HTTPStatus.CONFLICT
            view = await self._view(request)
            return await self.show("incident.html", status, view=view, problem=problem, form=form)
        return RedirectResponse(f"/incidents/{incident_id}", HTTPStatus.SEE_OTHER)

    async def said(self, request: Request) -> Response:
        """Take what a person says of an incident that is with people, and go back to it."""
        incident_id = request.path_params["incident_id"]
        form = await read_form(request)
        try:
            await take_said(self._context, incident_id, form)
        except (Refusal, DecisionConflict) as exc:
            problem = f"{exc}: {exc.cure}" if isinstance(exc, Refusal) else str(exc)
            status = exc.status if isinstance(exc, Refusal) else HTTPStatus.CONFLICT
            return await self.show("incident.html", status, view=await self._view(request), problem=problem)
        return RedirectResponse(f"/incidents/{incident_id}", HTTPStatus.SEE_OTHER)

    async def switch(self, request: Request) -> Response:
        """Pause or resume automation and go back to the overview."""
        form = await read_form(request)
        wish = form.get("switch")
        if wish not in ("pause", "resume"):
            raise Refusal(422, "switch: neither pause nor resume", "use the buttons of the page")
        body = validated(SwitchBody, form, "fill in who you are and why")
        await switch(self._context, body, paused=wish == "pause")
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    # what needs no data

    def sign_in(
        self, request: Request, *, problem: str = "", target: str | None = None, refusal: Refusal | None = None
    ) -> Response:
        """Show the sign-in form.

        A link from another site (the ticket) arrives without the SameSite=Strict cookie: the page asks for itself
        once more, and that request is our own and carries it.
        """
        ours = request.method == "GET"
        cross = ours and not problem and request.headers.get("sec-fetch-site") == "cross-site"
        again = cross and not request.url.path.startswith("/sign-in")
        return self._templates.answer(
            "sign_in.html",
            refusal.status if refusal else HTTPStatus.UNAUTHORIZED,
            headers={**(refusal.headers or {})} if refusal else {"WWW-Authenticate": 'Bearer realm="sreops"'},
            problem=problem,
            target=target if target is not None else request.url.path if ours else "/",
            again=again,
            by_token=self._access.by_token,
            by_oidc=self._access.by_oidc,
            provider=name_of_url(self._context.settings.oidc.issuer or ""),
        )

    def signed_in(self, target: str) -> Response:
        """Lead on to where somebody wanted to go."""
        return self._templates.answer("signed_in.html", target=target)

    async def account(self, request: Request, status: int = 200, **values: Any) -> Response:
        """Show who is signed in, with the API tokens."""
        return await self.show("account.html", status, **values)

    def error(self, request: Request, refusal: Refusal) -> Response:
        """Show what went wrong and what to do; needs nothing that may be the cause."""
        return self._templates.answer(
            "error.html",
            refusal.status,
            headers=refusal.headers,
            status=refusal.status,
            phrase=HTTPStatus(refusal.status).phrase,
            error=str(refusal),
            cure=refusal.cure,
        )


def _shown(person: Person | None) -> dict[str, Any]:
    """Return who asks as the templates know it."""
    person = person or Person("", Role.viewer, ProvenBy.nothing)
    return {
        "account": person.account,
        "role": person.role.value,
        "proven_by": person.proven_by.value,
        "may_act": person.role.may(Role.operator),
    }


def _storms_first(incidents: Sequence[Incident]) -> list[Incident]:
    return sorted(incidents, key=lambda incident: incident.storm_name is None)
