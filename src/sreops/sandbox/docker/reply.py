"""How the sandbox's engine answers: JSON under exactly ``application/json``, errors as ``{"message": …}``."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response


class EngineError(Exception):
    """A request that the engine answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def fault_body(status: int) -> tuple[bytes, str]:
    """Report an injected fault as the engine reports its own."""
    return json.dumps({"message": f"sandbox fault: {status}"}).encode(), "application/json"


def reply(body: Any, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(json.dumps(body, ensure_ascii=False).encode() + b"\n", status, media_type="application/json")


def error(status: int, message: str) -> Response:
    """Answer an error; aiodocker reads its message only under this very content type."""
    return reply({"message": message}, status)


async def asked_for(request: Request) -> dict[str, Any]:
    """Read a request's body, a JSON object or nothing; raises EngineError 400 for what is neither."""
    try:
        asked = json.loads(await request.body() or b"{}")
    except ValueError as exc:
        raise EngineError(400, f"invalid JSON: {exc}") from exc
    if not isinstance(asked, dict):
        raise EngineError(400, "invalid JSON: not an object")
    return asked


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    """Read a boolean as the engine does: whatever is not a known no is a yes."""
    text = request.query_params.get(name)
    if text is None:
        return default
    return text.strip().lower() not in ("", "0", "no", "false", "none")
