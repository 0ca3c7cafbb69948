"""The GitLab of the sandbox, and a bot that is signed in to it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx

from sreops.sandbox.clock import ManualClock
from sreops.sandbox.gitlab import GitLab

TOKEN = "glpat-sandbox"
ISSUES = "/api/v4/projects/ops%2Fincidents/issues"


def new_gitlab() -> GitLab:
    """A fixture, where a test module names it so."""
    return GitLab(TOKEN, clock=ManualClock(datetime(2026, 11, 22, 9, 30, tzinfo=UTC)))


def connect(gitlab: GitLab, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=gitlab.app),
        base_url="http://gitlab.test",
        headers=headers or {"PRIVATE-TOKEN": TOKEN},
    )


async def signed_in(gitlab: GitLab) -> AsyncIterator[httpx.AsyncClient]:
    """A fixture, where a test module names it so."""
    async with connect(gitlab) as client:
        yield client


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post(ISSUES, json={"title": "payments is down", "issue_type": "incident", **fields})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def ask(client: httpx.AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    answer = await client.post("/api/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
