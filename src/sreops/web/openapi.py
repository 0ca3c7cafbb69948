"""``GET /openapi.json``: the API as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1), made of the models it uses."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sreops.domain.alerts.alert import Severity, Tier
from sreops.domain.alerts.subject import Subject
from sreops.domain.incidents.incident import EffectOutcome, IncidentStatus, Reason, Resolution, VerificationResult
from sreops.domain.incidents.needs import Need
from sreops.domain.runbooks.runbook import Autonomy
from sreops.web.access import Access
from sreops.web.answers import answer
from sreops.web.api import MAX_PAGE, DecisionBody, SwitchBody
from sreops.web.context import WebContext
from sreops.web.people import ClosingBody, FeedbackBody, QuestionBody, SaidBody
from sreops.web.search import NEEDS, STATUSES
from sreops.web.tokens import AccountBody, TokenBody

_JSON: Final = "application/json"
_TEXT: Final[dict[str, Any]] = {"type": "string"}
_MAYBE_TEXT: Final[dict[str, Any]] = {"type": ["string", "null"]}
_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_MAYBE_TIME: Final[dict[str, Any]] = {"type": ["string", "null"], "format": "date-time"}
_COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}
_ANY: Final[dict[str, Any]] = {"type": "object"}
_LIST: Final[dict[str, Any]] = {"type": "array", "items": {"type": "object"}}
_LIMIT: Final[dict[str, Any]] = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}
_ERRORS: Final = {
    "400": "the body is no JSON, or did not come whole", "401": "no valid token or credentials",
    "403": "not from there, or not with this role", "404": "there is none", "408": "the body did not arrive in time",
    "409": "what stands against it now", "413": "the body is too long", "422": "a value that is named is wrong",
    "429": "too many wrong tokens; Retry-After says when", "503": "later; Retry-After says when",
}  # fmt: skip
_OF_ALERTS: Final = ("400", "401", "403", "413", "422", "503")
_OF_READING: Final = ("401", "403", "404", "422", "429", "503")
_OF_SAYING: Final = tuple(_ERRORS)
_BODIES: Final[tuple[type[BaseModel], ...]] = (
    *(DecisionBody, SwitchBody, SaidBody, ClosingBody, FeedbackBody, QuestionBody, TokenBody, AccountBody),
    Subject,
)


def openapi_routes(context: WebContext, access: Access) -> list[Route]:
    """Return the route; it asks for the token like the API that it describes."""
    document = openapi(context.version)

    async def told(request: Request) -> Response:
        return answer(document)

    return [Route("/openapi.json", access.guard(told), methods=["GET"])]


def openapi(version: str) -> dict[str, Any]:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "sreops", "version": version or "0", "license": {"name": "Apache-2.0"}},
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _paths() -> dict[str, Any]:
    incident, page = _ref("Incident"), [_query("limit", _LIMIT), _query("cursor", _TEXT)]
    of_one = "/api/incidents/{incident_id}"
    listed = [
        _query("status", {"enum": list(STATUSES)}),
        _query("needs", {"enum": list(NEEDS)}),
        _query("severity", _TEXT, "one or more, separated by commas"),
        _query("service", _TEXT, "the subject's whole name"),
        _query("subject", _TEXT, "a part of a name that the subject has"),
        _query("scope", _TEXT, "key=value, or a value; more than one separated by commas"),
        _query("text", _TEXT, "words, each in a name, the cause, the category or the reason; or an id"),
        _query("since", _TEXT, "opened then or later: RFC 3339, or how long ago (90m, 24h, 7d)"),
        _query("until", _TEXT, "opened before"),
        *page,
    ]
    cursor = _query("cursor", _COUNT, "the `next` of the page before; `after` is the same")
    after = [cursor, _query("after", _COUNT), _query("limit", _LIMIT), _query("incident_id", _TEXT)]
    streamed = [
        _query("incident_id", _TEXT),
        _query("kind", {"enum": ["thought", "action"]}),
        _query("last_event_id", _COUNT, "for who can't send the header"),
        {"name": "Last-Event-ID", "in": "header", "required": False, "schema": _TEXT},
    ]
    taken = _post("Take a webhook of Grafana or Alertmanager.", _ref("Accepted"), ok="202")
    taken |= {"security": []} | _answers("202", {_JSON: _ref("Accepted")}, _OF_ALERTS)
    bodies: dict[str, type[BaseModel]] = {
        "acknowledge": SaidBody,
        "close": ClosingBody,
        "rerun": SaidBody,
        "feedback": FeedbackBody,
    }
    return {
        "/alerts": {"post": taken, "put": taken},
        "/livez": {"get": _open("The process runs.", {_JSON: _ANY})},
        "/readyz": {"get": _open("Alerts can be taken durably.", {_JSON: _ANY}, "503")},
        "/health": {"get": _open("How it is; details only with the token.", {_JSON: _ref("Health")}, "503")},
        "/metrics": {"get": _open("Metrics for Prometheus.", {"text/plain": _TEXT})},
        "/openapi.json": {"get": _get("This document.", _ANY)},
        "/events": {
            "get": {
                "summary": "Thoughts and actions as server-sent events.",
                "parameters": streamed,
                **_answers("200", {"text/event-stream": _TEXT}, _OF_READING),
            }
        },
        "/api/incidents": {"get": _get("Incidents, newest first.", _page_of(incident), listed)},
        of_one: _of_incident({"get": _get("One incident with all that belongs to it.", _ref("IncidentInFull"))}),
        **{
            f"{of_one}/{verb}": _of_incident({"post": _post(f"{verb.title()} the plan.", _ANY, DecisionBody)})
            for verb in ("approve", "reject")
        },
        **{
            f"{of_one}/{verb}": _of_incident({"post": _post(f"{verb.title()}, by a person.", incident, body)})
            for verb, body in bodies.items()
        },
        f"{of_one}/ask": _of_incident({"post": _post("Ask about it.", _ref("Answer"), QuestionBody)}),
        "/api/recorded": {"get": _get("Alerts that are not worked on.", _page_of(_ref("Recorded")), page)},
        "/api/audit": {"get": _get("Actions, in order, with their hash chain.", _page_of(_ANY), after)},
        "/api/runbooks": {"get": _get("The runbooks in force.", _page_of(_ref("RunbookInForce"), more=False))},
        "/api/automation": {"get": _get("The kill switch.", _ref("Automation"))},
        "/api/automation/pause": {"post": _post("Stop every effect.", _ref("Automation"), SwitchBody)},
        "/api/automation/resume": {"post": _post("Go on; resets the breaker.", _ref("Automation"), SwitchBody)},
        "/api/me": {"get": _get("Who asks, by what was proven.", _ANY)},
        "/api/tokens": {
            "get": _get("API tokens, without their secrets.", _ANY),
            "post": _post("Make a token; it is shown once.", _ANY, TokenBody, ok="201"),
        },
        "/api/tokens/{token_id}/revoke": {
            "parameters": [{"name": "token_id", "in": "path", "required": True, "schema": _TEXT}],
            "post": _post("Revoke a token.", _ANY),
        },
        "/api/sessions/end": {"post": _post("End sessions.", _ANY, AccountBody)},
    }


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for model in _BODIES:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}", by_alias=True)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    return schemas | {
        "Incident": _incident(),
        "IncidentInFull": {
            "allOf": [
                _ref("Incident"),
                _object(events=_LIST, evidence=_LIST, thoughts=_LIST, decision={"type": ["object", "null"]}),
            ]
        },
        "Accepted": _object(
            status={"const": "accepted"}, queued=_COUNT, resolved=_COUNT, skipped=_COUNT,
            rejected={"type": "array", "items": _object(index=_COUNT, reason=_TEXT)},
            notes={"type": "array", "items": _TEXT},
        ),
        "Recorded": _object(
            received_at=_TIME, subject=_ref("Subject"), alertname=_TEXT, severity=_enum(Severity), reason=_TEXT
        ),
        "Automation": _object(paused={"type": "boolean"}, by=_TEXT, reason=_TEXT, at=_MAYBE_TIME),
        "Answer": _object(answer=_TEXT, analyst=_TEXT, evidence={"type": "array", "items": _TEXT}),
        "RunbookInForce": _object(
            id=_TEXT, title=_TEXT, when=_ANY, autonomy=_enum(Autonomy), steps=_LIST, record=_LIST
        ),
        "Health": _object(status={"enum": ["healthy", "degraded", "unhealthy"]}, kafka=_TEXT),
    }  # fmt: skip


def _incident() -> dict[str, Any]:
    effect = _object(
        step={"type": "integer"}, target=_TEXT, intent_at=_TIME, outcome=_enum(EffectOutcome, null=True),
        outcome_at=_MAYBE_TIME,
    )  # fmt: skip
    issue = {"type": ["object", "null"], "properties": {"iid": {"type": ["integer", "null"]}, "url": _MAYBE_TEXT}}
    return _object(
        id=_TEXT, status=_enum(IncidentStatus), resolution=_enum(Resolution, null=True),
        reason=_enum(Reason, null=True),
        service=_TEXT, subject=_ref("Subject"), alertname=_TEXT, severity=_enum(Severity), tier=_enum(Tier),
        fingerprints={"type": "array", "items": _TEXT}, event_count=_COUNT, opened_at=_TIME, ended_at=_MAYBE_TIME,
        analyst=_MAYBE_TEXT, root_cause=_MAYBE_TEXT,
        confidence={"type": ["number", "null"], "minimum": 0, "maximum": 1},
        runbook_id=_MAYBE_TEXT, plan_hash=_MAYBE_TEXT, effects={"type": "array", "items": effect},
        verification=_enum(VerificationResult, null=True), issue=issue, needs=_enum(Need, null=True),
        acknowledged_by=_MAYBE_TEXT, cleared_at=_MAYBE_TIME, storm={"type": ["object", "null"]},
    )  # fmt: skip


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": sorted(properties)}


def _enum(of: type[StrEnum], *, null: bool = False) -> dict[str, Any]:
    return {"enum": [*(member.value for member in of), *((None,) if null else ())]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _page_of(item: Mapping[str, Any], *, more: bool = True) -> dict[str, Any]:
    following: dict[str, Any] = {"next": {"type": ["string", "integer", "null"]}} if more else {}
    return _object(items={"type": "array", "items": item}, **following)


def _query(name: str, schema: Mapping[str, Any], told: str = "") -> dict[str, Any]:
    described = {"description": told} if told else {}
    return {"name": name, "in": "query", "required": False, "schema": schema, **described}


def _of_incident(operations: Mapping[str, Any]) -> dict[str, Any]:
    return {"parameters": [{"name": "incident_id", "in": "path", "required": True, "schema": _TEXT}], **operations}


def _open(summary: str, content: Mapping[str, Any], *errors: str) -> dict[str, Any]:
    """Describe what asks for no token; an error is told in the same words as what is good."""
    told = _answers("200", content, errors)
    for code in errors:
        told["responses"][code]["content"] = told["responses"]["200"]["content"]
    return {"summary": summary, "parameters": [], "security": [], **told}


def _get(summary: str, schema: Mapping[str, Any], query: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"summary": summary, "parameters": query or [], **_answers("200", {_JSON: schema}, _OF_READING)}


def _post(
    summary: str, schema: Mapping[str, Any], body: type[BaseModel] | None = None, *, ok: str = "200"
) -> dict[str, Any]:
    content = _ref(body.__name__) if body else _ANY
    request = {"required": True, "content": {_JSON: {"schema": content}}}
    return {"summary": summary, "requestBody": request, **_answers(ok, {_JSON: schema}, _OF_SAYING)}


def _answers(ok: str, content: Mapping[str, Any], errors: Iterable[str]) -> dict[str, Any]:
    shown = {kind: {"schema": schema} for kind, schema in content.items()}
    good = {ok: {"description": "done", "content": shown}}
    return {"responses": {**good, **{code: {"description": _ERRORS[code]} for code in errors}}}
