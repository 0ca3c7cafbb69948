"""Answers of an engine: read within bounds, and what those mean that refuse."""

from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp

from sreops.adapters.answers import MAX_ERROR_BYTES, Turns, encoding_fault, read_json
from sreops.domain.text.redaction import one_line
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown, SreopsError

_NO_SWARM = ("not a swarm manager", "not part of a swarm")
_SHOWN_CHARS = 600  # the runtime's errors begin with the layers they came through, and end with the cause
_LATER = frozenset({408, 425, 429})  # 4xx that say "not now", and that nothing was begun


class Redirected(aiohttp.ClientError):
    """An answer that wanted to send us elsewhere; the engine never does, a login page in front of it may."""


class Unreadable(aiohttp.ClientError):
    """An answer in an encoding that was not asked for, or an error that no engine gives."""


class EngineRefusal(aiohttp.ClientError):
    """A complete answer of 400 or more; ``message`` is the engine's, or the beginning of what came."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


@dataclass(frozen=True)
class EngineAnswer:
    """A complete answer below 400; ``cut`` where it was longer than the byte cap."""

    status: int
    body: bytes
    cut: bool = False


def expect(answer: EngineAnswer, what: str, *statuses: int) -> None:
    """Raise OutcomeUnknown where an act was answered otherwise than an engine does."""
    if answer.status not in statuses:
        raise OutcomeUnknown(
            f"docker: {what}: the answer {answer.status} is not one that an engine gives: look before acting again"
        )


def shown(raw: bytes | str) -> str:
    """Return the beginning of a body or message on one printable line."""
    text = raw[: 4 * _SHOWN_CHARS].decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return one_line(text, _SHOWN_CHARS) or "an empty body"


def meaning_of(where: str, status: int, message: str, *, acts: bool) -> SreopsError:
    """Return what an answer of 400 or more means; whether one to an act may have done it all the same."""
    problem = f"{where}: it answered {status}: {shown(message)}"
    if status in _LATER:
        return EngineUnavailable(problem)
    if status == 503 and any(phrase in message for phrase in _NO_SWARM):
        return EngineRefused(f"{where}: it answered 503: this engine is no Swarm manager", status=503)
    if status < 500:
        if status in (401, 403):
            problem += "; a proxy in front of the engine may not allow this request"
        return EngineRefused(problem, status=status)
    if acts:
        return OutcomeUnknown(f"{problem}; part of it may have been done: look before doing anything again")
    return EngineUnavailable(problem)


async def refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> None:
    """Follow no redirect, wherever it leads."""
    raise Redirected(f"it answered with a redirect ({params.response.status}), which no engine does")


async def bounded(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Let no answer through whose body could not be read within bounds: aiodocker reads errors whole."""
    response = await handler(request)
    try:
        fault = encoding_fault({"content-encoding": ", ".join(response.headers.getall("Content-Encoding", []))})
        if fault is not None:
            raise Unreadable(fault)
        if response.status >= 400:
            body = await read_whole(response, MAX_ERROR_BYTES)
            raise EngineRefusal(response.status, _message(body, response.headers.get("content-type", "")))
    except BaseException:
        response.close()
        raise
    return response


def _message(answer: EngineAnswer, content_type: str) -> str:
    """Return the engine's own words of an error, or a proxy's before it."""
    text = answer.body.decode("utf-8", "replace")
    if content_type != "application/json":
        return text
    try:
        told = read_json(text)
    except ValueError:
        told = None
    message = told.get("message") if isinstance(told, dict) else None
    if not isinstance(message, str):
        raise Unreadable(f"the error (status {answer.status}) is not one of a Docker engine: {shown(text)}")
    return message


async def read_whole(response: aiohttp.ClientResponse, max_bytes: int) -> EngineAnswer:
    """Read an answer's body up to a number of bytes."""
    body, turns = bytearray(), Turns()
    async for chunk in response.content.iter_any():
        body += chunk
        await turns.give()
        if len(body) > max_bytes:
            return EngineAnswer(response.status, bytes(body[:max_bytes]), cut=True)
    return EngineAnswer(response.status, bytes(body))
