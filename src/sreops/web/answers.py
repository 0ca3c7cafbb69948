"""Answers: JSON that every parser reads, errors that say what to do, and request bodies read within bounds."""

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sreops.domain.records.person import Person

MAX_BODY_BYTES: Final = 64 * 1024
"""Of a decision, a switch or a sign-in: a few lines of text."""
BODY_TIMEOUT_S: Final = 10.0
RETRY_AFTER_S: Final = 5
MAX_WHO_CHARS: Final = 200
"""Of a decision's ``by``."""

_M = TypeVar("_M", bound=BaseModel)


class Refusal(Exception):
    """A request that is not carried out: status, what was wrong, what to do about it, headers."""

    def __init__(self, status: int, error: str, cure: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.cure = cure
        self.headers = headers
        super().__init__(error)


def json_text(value: Any) -> str:
    """Return JSON in ASCII; NaN and the infinities, which JSON has no words for, become null.

    ASCII, because a lone surrogate from a hostile payload has no UTF-8, and U+2028 breaks lines for some readers.
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(json_text(value), status, headers, media_type="application/json")


def refused(refusal: Refusal) -> Response:
    """Return an error as JSON: ``{"error", "cure"}``."""
    return answer({"error": str(refusal), "cure": refusal.cure}, refusal.status, refusal.headers)


async def read_body(request: Request) -> bytes:
    """Read the body within MAX_BODY_BYTES and BODY_TIMEOUT_S; raises Refusal."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise Refusal(413, f"the body is over {MAX_BODY_BYTES} bytes", "send less text")
                chunks.append(chunk)
    except TimeoutError as exc:
        raise Refusal(408, f"the body did not arrive within {BODY_TIMEOUT_S:g} s", "send it again") from exc
    except ClientDisconnect as exc:
        raise Refusal(400, "the sender hung up before the body was complete") from exc
    return b"".join(chunks)


async def read_json(request: Request, model: type[_M], *, example: str) -> _M:
    """Read a JSON object as a model; raises Refusal(422) that names the field; ``example`` shows a good body."""
    body = await read_body(request)
    cure = f"send {example}"
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refusal(422, "the body is not JSON", cure) from exc
    if not isinstance(given, dict):
        raise Refusal(422, "the body is not a JSON object", cure)
    return validated(model, signed(request, given), cure)


def signed(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    """Return what was sent with ``by`` as it was proven; what is claimed beside it is ignored."""
    person: Person | None = getattr(request.state, "person", None)
    claimed = given.get("by", "")
    if person is None or not isinstance(claimed, str) or len(claimed) > MAX_WHO_CHARS:
        return given
    by = person.signs(claimed.strip()[: MAX_WHO_CHARS - 20])
    return {**given, "by": by} if by else given


async def read_form(request: Request) -> dict[str, str]:
    """Read a form as browsers send it (application/x-www-form-urlencoded); the last value of a name counts."""
    body = await read_body(request)
    try:
        given = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
    except ValueError as exc:
        raise Refusal(422, "the form has more than 20 fields", "use the form of the page") from exc
    return signed(request, given)


def validated(model: type[_M], given: Mapping[str, Any], cure: str) -> _M:
    """Return what was given as a model; raises Refusal(422) that names every wrong field."""
    try:
        return model.model_validate(given)
    except ValidationError as exc:
        faults = [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in exc.errors()]
        raise Refusal(422, "; ".join(faults), cure) from exc
