"""``/api``: incidents, decisions, the audit trail, runbooks, the kill switch."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.domain.records.record import RecordKind
from sreops.ports import Approval, Recorded, Telling
from sreops.telemetry import log
from sreops.web.access import Access
from sreops.web.answers import Refusal, answer, read_json
from sreops.web.context import WebContext
from sreops.web.search import read_search

DECISION_TAKEN: Final = "api.decision_taken"
AUTOMATION_SWITCHED: Final = "api.automation_switched"

MAX_PAGE: Final = 500
MAX_THOUGHTS: Final = 1000
"""Of one incident's thoughts, the newest; ``/events?incident_id=`` with Last-Event-ID 0 has them all."""

MAX_EVENTS: Final = 500
"""Of one incident's alerts, the newest; ``events_total`` says how many there are (a storm holds thousands)."""

_MAX_SEQ = 2**63 - 1

Who = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class DecisionBody(BaseModel):
    """Who decides, why, and on exactly which plan."""

    by: Who
    reason: Why
    plan_hash: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class SwitchBody(BaseModel):
    """Who switches, and why."""

    by: Who
    reason: Why


def api_routes(context: WebContext, access: Access) -> list[Route]:
    """Return the routes of the API, all behind the token where one is set."""
    api = _Api(context)
    gets: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
        "/api/incidents": api.incidents,
        "/api/incidents/{incident_id}": api.incident,
        "/api/recorded": api.recorded,
        "/api/audit": api.audit,
        "/api/runbooks": api.runbooks,
        "/api/automation": api.automation,
    }
    posts: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
        "/api/incidents/{incident_id}/approve": api.approve,
        "/api/incidents/{incident_id}/reject": api.reject,
        "/api/automation/pause": api.pause,
        "/api/automation/resume": api.resume,
    }
    return [
        *(Route(path, access.guard(endpoint), methods=["GET"]) for path, endpoint in gets.items()),
        *(Route(path, access.guard(endpoint), methods=["POST"]) for path, endpoint in posts.items()),
    ]


async def decide(context: WebContext, incident_id: str, body: DecisionBody, *, approve: bool) -> Approval:
    """Decide in the store and wake the worker; raises NotFound, DecisionConflict, StoreUnavailable."""
    approval = await context.store.decide(
        incident_id,
        approve=approve,
        by=body.by,
        reason=body.reason,
        plan_hash=body.plan_hash,
        now=context.clock.now(),
    )
    context.wake.set()
    log.info(DECISION_TAKEN, incident_id=incident_id, decision=approval.decision, by=body.by)
    return approval


async def switch(context: WebContext, body: SwitchBody, *, paused: bool) -> Mapping[str, Any]:
    """Close or open the kill switch; return its state."""
    await context.store.set_paused(paused, by=body.by, reason=body.reason, now=context.clock.now())
    context.wake.set()
    log.warning(AUTOMATION_SWITCHED, paused=paused, by=body.by, reason=body.reason)
    return await context.store.pause_state()


def approval_json(approval: Approval) -> dict[str, Any]:
    """Return an approval as the API shows it."""
    fields = asdict(approval)
    for name in ("requested_at", "expires_at", "decided_at"):
        fields[name] = fields[name].isoformat() if fields[name] else None
    return fields


def told_json(told: Telling, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return who was told what as the API shows it; a channel by its label, which holds no secret."""
    return {
        "kind": told.notice.kind.value,
        "at": _iso(told.notice.at),
        "channel": labels.get(told.channel, "a channel of before") if told.channel else None,
        "digest": told.digest,
        "due_at": _iso(told.due_at),
        "done_at": _iso(told.done_at),
        "outcome": told.outcome,
        "attempts": told.attempts,
        "error": told.error,
        "quiet": told.quiet,
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def whole_number(request: Request, name: str, default: int, *, least: int, most: int) -> int:
    """Read a query parameter as a whole number; raises Refusal(422) that names it."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if number is None or not least <= number <= most:
        raise Refusal(422, f"{name}={text[:50]!r} is not a whole number from {least} to {most}", f"correct {name}")
    return number


class _Api:
    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._store = context.store

    async def incidents(self, request: Request) -> Response:
        now = self._context.clock.now()
        found, following = await self._store.incidents(
            **read_search(request, now).of_store(),
            now=now,
            limit=whole_number(request, "limit", 50, least=1, most=MAX_PAGE),
        )
        return answer({"items": [incident.public(now) for incident in found], "next": following})

    async def incident(self, request: Request) -> Response:
        incident = await self._store.incident(request.path_params["incident_id"])
        events, evidence, thoughts, approval, told = await asyncio.gather(
            self._store.events(incident.id, newest=MAX_EVENTS),
            self._store.evidence(incident.id),
            self._store.records(
                incident_id=incident.id, kind=RecordKind.thought.value, limit=MAX_THOUGHTS, newest=True
            ),
            self._store.approval(incident.id, incident.episode),
            self._store.deliveries(incident.id),
        )
        return answer(
            incident.public(self._context.clock.now())
            | {
                "events": [event.model_dump(mode="json") | {"disposition": how} for event, how in events],
                "events_total": max(incident.event_count, len(events)),
                "evidence": [piece.model_dump(mode="json") for piece in evidence],
                "thoughts": [record.public() for record in thoughts],
                "decision": incident.decision,
                "approval": approval_json(approval) if approval else None,
                "told": [told_json(telling, self._context.channels) for telling in told],
            }
        )

    async def recorded(self, request: Request) -> Response:
        """What was taken and is not worked on, newest first."""
        found, following = await self._store.recorded(
            limit=whole_number(request, "limit", 50, least=1, most=MAX_PAGE), cursor=request.query_params.get("cursor")
        )
        return answer({"items": [_recorded_json(recorded) for recorded in found], "next": following})

    async def approve(self, request: Request) -> Response:
        return await self._decide(request, approve=True)

    async def reject(self, request: Request) -> Response:
        return await self._decide(request, approve=False)

    async def _decide(self, request: Request, *, approve: bool) -> Response:
        body = await read_json(request, DecisionBody, example='{"by": "…", "reason": "…", "plan_hash": "…"}')
        approval = await decide(self._context, request.path_params["incident_id"], body, approve=approve)
        return answer(approval_json(approval))

    async def audit(self, request: Request) -> Response:
        limit = whole_number(request, "limit", 100, least=1, most=MAX_PAGE)
        after = whole_number(request, "after", 0, least=0, most=_MAX_SEQ)
        records = await self._store.records(
            after=whole_number(request, "cursor", after, least=0, most=_MAX_SEQ),  # `next` of the page before
            incident_id=request.query_params.get("incident_id") or None,
            kind=RecordKind.action.value,
            limit=limit,
        )
        following = records[-1].seq if len(records) == limit else None
        return answer({"items": [record.public() for record in records], "next": following})

    async def runbooks(self, request: Request) -> Response:
        records: dict[str, list[Any]] = {}
        for record in await self._store.track_records():
            records.setdefault(record.runbook_id, []).append(record.model_dump(mode="json", exclude={"runbook_id"}))
        shown = [
            {**runbook.model_dump(mode="json"), "record": records.get(runbook.id, [])}
            for runbook in self._context.runbooks
        ]
        return answer({"items": shown})

    async def automation(self, request: Request) -> Response:
        return answer(_switch_json(await self._store.pause_state()))

    async def pause(self, request: Request) -> Response:
        return await self._switch(request, paused=True)

    async def resume(self, request: Request) -> Response:
        return await self._switch(request, paused=False)

    async def _switch(self, request: Request, *, paused: bool) -> Response:
        body = await read_json(request, SwitchBody, example='{"by": "…", "reason": "…"}')
        return answer(_switch_json(await switch(self._context, body, paused=paused)))


def _recorded_json(recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    return {
        "received_at": event.received_at.isoformat(),
        "subject": event.subject.model_dump(mode="json"),
        "alertname": event.alertname,
        "severity": event.severity.value,
        "reason": f"{recorded.reason.value}: {recorded.reason.words}",
    }


def _switch_json(state: Mapping[str, Any]) -> dict[str, Any]:
    at = state.get("at")
    return {**state, "at": at.isoformat() if at else None}
