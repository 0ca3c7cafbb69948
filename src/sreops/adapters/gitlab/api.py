"""GitLab's REST and GraphQL over one HTTP room: what each answer means.

- 2xx with JSON: the answer. 2xx without: IssuesUnavailable, something else than GitLab answered.
- 3xx: IssuesRefused; a moved project or http instead of https must be set right, a write is never sent elsewhere.
- 408, 429 and 5xx: IssuesUnavailable (with GitLab's Retry-After); a write may have happened all the same.
- other 4xx: IssuesRefused with GitLab's own words, whichever of its shapes they come in.
"""

import ssl
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from sreops.adapters.http import HttpAnswer, HttpRoom
from sreops.domain.text.redaction import one_line
from sreops.errors import IssuesRefused, IssuesUnavailable, SettingsInvalid, Unavailable
from sreops.settings import GitLabSettings
from sreops.telemetry import ADAPTER_ERRORS, log

GRAPHQL_FAILED: Final = "gitlab.graphql_failed"
_LATER = frozenset({408, 425, 429})
_CURES = {
    401: "check SREOPS_GITLAB__TOKEN: it is wrong, expired or revoked",
    403: "the token needs the scope api and the role Developer in the project",
    404: "check SREOPS_GITLAB__PROJECT, and that the token may see it (GitLab hides what it may not)",
}


class GitLabApi:
    """Requests for one project; every method keeps the deadline (``time.monotonic`` seconds) that it is given."""

    def __init__(
        self,
        settings: GitLabSettings,
        *,
        attempts: int = 3,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        missing = [
            f"SREOPS_GITLAB__{name} is empty"
            for name, value in (("URL", settings.url), ("TOKEN", settings.token), ("PROJECT", settings.project))
            if not value
        ]
        if missing:
            raise SettingsInvalid(missing)
        url = (settings.url or "").rstrip("/").removesuffix("/api/v4")
        self.project = settings.project.strip("/")
        self.at_project = f"/api/v4/projects/{quote(self.project, safe='')}"
        self._room = HttpRoom(
            "gitlab",
            url,
            unavailable=IssuesUnavailable,
            token=settings.token,
            max_response_bytes=16 * 1024 * 1024,
            attempts=attempts,
            trust=trust,
            transport=transport,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._room.aclose()

    async def get(self, path: str, deadline: float, params: list[tuple[str, str]] | None = None) -> Any:
        """Return the JSON of a GET, tried again where that may help."""
        return (await self._ask("GET", path, deadline, params=params, retry=True))[0]

    async def text(self, path: str, deadline: float) -> str:
        """Return the text of a GET that answers no JSON; what is beyond the byte cap is left out."""
        left_s = deadline - time.monotonic()
        answer = await self._room.request("GET", path, timeout_s=max(0.01, left_s), retry=True)
        if not answer.ok:
            raise self._refusal("GET", path, answer)
        return answer.text

    async def page(self, path: str, deadline: float, params: list[tuple[str, str]]) -> tuple[list[dict[str, Any]], int]:
        """Return one page of a list, and the number of the next one (0: this is the last)."""
        items, answer = await self._ask("GET", path, deadline, params=params, retry=True)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._room.unavailable(path, answer, "the answer is JSON, but not a list of objects")
        following = answer.headers.get("x-next-page", "")
        return items, int(following) if following.isascii() and following.isdigit() else 0

    async def put(self, path: str, deadline: float, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object that a PUT answers; all our PUTs may be repeated."""
        return self._object(path, *(await self._ask("PUT", path, deadline, body=body, retry=True)))

    async def post(self, path: str, deadline: float, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object that a POST answers; it is sent once, whatever happens."""
        return self._object(path, *(await self._ask("POST", path, deadline, body=body, retry=False)))

    async def mutate(self, query: str, variables: Mapping[str, Any], deadline: float, *, what: str) -> bool:
        """Carry out a GraphQL mutation that only adds to the record; a failure is logged, and False."""
        try:
            reply = await self.post("/api/graphql", deadline, {"query": query, "variables": dict(variables)})
        except (IssuesRefused, IssuesUnavailable) as exc:
            log.warning(GRAPHQL_FAILED, what=what, error=str(exc))
            return False
        problems = graphql_problems(reply)
        if problems:
            log.warning(GRAPHQL_FAILED, what=what, error="; ".join(problems))
        return not problems

    async def _ask(
        self,
        method: str,
        path: str,
        deadline: float,
        *,
        params: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | None = None,
        retry: bool,
    ) -> tuple[Any, HttpAnswer]:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise IssuesUnavailable(f"gitlab: {method} {self._room.shown_url}{path}: no time was left to ask")
        answer = await self._room.request(method, path, timeout_s=left_s, params=params, body=body, retry=retry)
        if not answer.ok:
            raise self._refusal(method, path, answer)
        try:
            return await answer.parsed(), answer
        except ValueError as exc:
            raise self._room.unavailable(path, answer, "the answer is not JSON") from exc

    def _object(self, path: str, shown: Any, answer: HttpAnswer) -> dict[str, Any]:
        if not isinstance(shown, dict):
            raise self._room.unavailable(path, answer, "the answer is JSON, but not an object")
        return shown

    def _refusal(self, method: str, path: str, answer: HttpAnswer) -> IssuesRefused | Unavailable:
        if answer.status in _LATER or answer.status >= 500 or answer.status < 300:
            return self._room.unavailable(path, answer, f"{method}: {problem_text(answer)}")
        ADAPTER_ERRORS.labels("gitlab", f"status_{answer.status}").inc()
        where = f"gitlab: {method} {self._room.shown_url}{path}: it answered {answer.status}"
        if answer.status < 400:
            to = one_line(answer.headers.get("location", "")) or "nowhere"
            return IssuesRefused(
                f"{where}, a redirect to {to}, which is not followed: set SREOPS_GITLAB__URL and __PROJECT to "
                "where GitLab and the project are now",
                status=answer.status,
            )
        cure = _CURES.get(answer.status)
        message = f"{where}: {problem_text(answer)}" + (f"; {cure}" if cure else "")
        return IssuesRefused(message, status=answer.status)


def problem_text(answer: HttpAnswer) -> str:
    """Return GitLab's words for an error on one line: ``message`` (text, list, object), ``error``, or the body."""
    try:
        shown = answer.json()
    except ValueError:
        return answer.shown
    if not isinstance(shown, dict):
        return answer.shown
    parts = [_flat(shown[key]) for key in ("message", "error", "error_description") if shown.get(key)]
    return one_line(": ".join(parts), 600) or answer.shown


def graphql_problems(reply: Mapping[str, Any]) -> list[str]:
    """Return the errors of a GraphQL reply from both places where they come; no data at all is one too."""
    top = reply.get("errors")
    problems = [_flat(error.get("message") if isinstance(error, dict) else error) for error in _list(top)]
    data = reply.get("data")
    payloads = [payload for payload in data.values() if isinstance(payload, dict)] if isinstance(data, dict) else []
    for payload in payloads:
        problems += [_flat(error) for error in _list(payload.get("errors"))]
    if not problems and not payloads:
        problems = ["the reply has neither data nor errors"]
    return [one_line(problem) for problem in problems]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_flat(inner) for inner in value)
    return str(value)
