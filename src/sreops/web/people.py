"""What people say of an incident, and do with it: acknowledge, close, give back, judge the cause, ask."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final

from pydantic import BaseModel, StrictBool, StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.incidents.incident import Incident
from sreops.telemetry import log
from sreops.web.access import Access
from sreops.web.answers import Refusal, answer, read_json, validated
from sreops.web.api import Who, Why
from sreops.web.context import WebContext

SAID: Final = "api.person_said"

Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class SaidBody(BaseModel):
    """Who, and why."""

    by: Who
    reason: Why


class ClosingBody(SaidBody):
    """Who closes it, why, what it was, and its cause where that is known."""

    was: ClosedAs
    cause: Words = ""


class FeedbackBody(BaseModel):
    """Whether the cause was right, and what it was; ``component``: where it lay."""

    by: Who
    right: StrictBool
    cause: Words = ""
    component: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


class QuestionBody(BaseModel):
    """Who asks what."""

    by: Who
    question: Why


async def take_said(context: WebContext, incident_id: str, form: Mapping[str, str]) -> None:
    """Take the page's form: ``said`` is a button's value; raises Refusal, NotFound, DecisionConflict."""
    store, now, said = context.store, context.clock.now(), form.get("said")
    cure = "fill in who you are and why"
    if said in ("right", "wrong"):
        told = validated(FeedbackBody, {**form, "right": said == "right"}, cure)
        await store.feed_back(
            incident_id, by=told.by, right=told.right, cause=told.cause, component=told.component, now=now
        )
    elif said == "close":
        closing = validated(ClosingBody, form, cure)
        await store.close_incident(
            incident_id, by=closing.by, reason=closing.reason, was=closing.was, cause=closing.cause, now=now
        )
    elif said == "acknowledge":
        body = validated(SaidBody, form, cure)
        await store.acknowledge(incident_id, by=body.by, reason=body.reason, now=now)
    elif said == "rerun":
        body = validated(SaidBody, form, cure)
        await store.rerun(incident_id, by=body.by, reason=body.reason, now=now)
    else:
        raise Refusal(422, "said: none of the page's buttons", "use the buttons of the page")
    log.info(SAID, incident_id=incident_id, what=said, by=form.get("by", ""))
    context.wake.set()


def people_routes(context: WebContext, access: Access) -> list[Route]:
    """Return the routes, all behind the token where one is set."""
    people = PeopleApi(context)
    posts: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
        "acknowledge": people.acknowledge,
        "close": people.close,
        "rerun": people.rerun,
        "feedback": people.feedback,
        "ask": people.ask,
    }
    return [
        Route(f"/api/incidents/{{incident_id}}/{name}", access.guard(endpoint), methods=["POST"])
        for name, endpoint in posts.items()
    ]


class PeopleApi:
    """The endpoints; each answers with the incident as it is then."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._store = context.store

    async def acknowledge(self, request: Request) -> Response:
        """Note who knows of it."""
        body = await read_json(request, SaidBody, example='{"by": "…", "reason": "…"}')
        incident = await self._store.acknowledge(
            _id(request), by=body.by, reason=body.reason, now=self._context.clock.now()
        )
        return self._told(incident, "acknowledge", body.by)

    async def close(self, request: Request) -> Response:
        """End it, with what it was."""
        was = "|".join(ClosedAs)
        example = f'{{"by": "…", "reason": "…", "was": "{was}", "cause": "…"}}'
        body = await read_json(request, ClosingBody, example=example)
        incident = await self._store.close_incident(
            _id(request),
            by=body.by,
            reason=body.reason,
            was=body.was,
            cause=body.cause,
            now=self._context.clock.now(),
        )
        self._context.wake.set()
        return self._told(incident, "close", body.by)

    async def rerun(self, request: Request) -> Response:
        """Give it back to automation."""
        body = await read_json(request, SaidBody, example='{"by": "…", "reason": "…"}')
        incident = await self._store.rerun(_id(request), by=body.by, reason=body.reason, now=self._context.clock.now())
        self._context.wake.set()
        return self._told(incident, "rerun", body.by)

    async def feedback(self, request: Request) -> Response:
        """Note whether the cause was right."""
        example = '{"by": "…", "right": true, "cause": "…", "component": "…"}'
        body = await read_json(request, FeedbackBody, example=example)
        incident = await self._store.feed_back(
            _id(request),
            by=body.by,
            right=body.right,
            cause=body.cause,
            component=body.component,
            now=self._context.clock.now(),
        )
        return self._told(incident, "feedback", body.by)

    async def ask(self, request: Request) -> Response:
        """Answer a question about it, and keep both."""
        body = await read_json(request, QuestionBody, example='{"by": "…", "question": "…"}')
        incident = await self._store.incident(_id(request))
        if self._context.ask is None:
            raise Refusal(503, "nobody here answers questions", "ask a process with the role worker")
        found = await self._context.ask(incident, body.question)
        await self._store.asked(
            incident.id,
            by=body.by,
            question=body.question,
            answer=found.text,
            analyst=found.analyst,
            now=self._context.clock.now(),
        )
        log.info(SAID, incident_id=incident.id, what="ask", by=body.by)
        return answer({"answer": found.text, "analyst": found.analyst, "evidence": list(found.evidence)})

    def _told(self, incident: Incident, what: str, by: str) -> Response:
        log.info(SAID, incident_id=incident.id, what=what, by=by)
        return answer(incident.public(self._context.clock.now()))


def _id(request: Request) -> str:
    return str(request.path_params["incident_id"])
