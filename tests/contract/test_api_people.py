"""What people say of an incident and do with it, by the API."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from contract.store_scene import at, fresh_store
from sreops.adapters.rules import RuleAnalyst
from sreops.adapters.store import SqlIncidentStore
from sreops.agent.question import answer_question
from sreops.domain.incidents.incident import Incident
from sreops.ports import Answer
from sreops.web.application import build_web
from web.web_scene import FakeClock, awaiting, escalated, open_incident, remedied, scene

store = pytest.fixture(fresh_store)
WHO = {"by": "ada", "reason": "on it"}
Make = Callable[[], httpx.AsyncClient]


@pytest.fixture
def client(store: SqlIncidentStore) -> httpx.AsyncClient:
    made = scene(store, FakeClock(at(60)))

    class Asked:
        analysts = (RuleAnalyst(),)

    async def ask(incident: Incident, question: str) -> Answer:
        Asked.store = store  # type: ignore[attr-defined]  # all that is looked at of the tools
        return await answer_question(Asked, incident, question)  # type: ignore[arg-type]  # the same

    app = build_web(replace(made.context, ask=ask))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")


async def needing(client: httpx.AsyncClient, needs: str) -> list[tuple[str, str | None]]:
    items = (await client.get("/api/incidents", params={"needs": needs})).json()["items"]
    return [(one["service"], one["needs"]) for one in items]


async def test_what_needs_a_person_is_listed_until_it_is_acknowledged(client, store) -> None:
    waits = await awaiting(store, at(-300), "cart")
    handed = await escalated(store, at(-200), "search")
    await open_incident(store, at(-100), "checkout")
    await remedied(store, at(-50), "payments")
    assert await needing(client, "person") == [("search", "attention"), ("cart", "approval")]
    assert await needing(client, "approval") == [("cart", "approval")]
    for lease in (waits, handed):
        answer = await client.post(f"/api/incidents/{lease.incident_id}/acknowledge", json=WHO)
        assert (answer.status_code, answer.json()["acknowledged_by"]) == (200, "ada")
    assert await needing(client, "person") == [("cart", "approval")]
    assert (await client.get("/api/incidents", params={"needs": "sleep"})).status_code == 422


async def test_closing_says_what_it_was(client, store) -> None:
    lease = await escalated(store, at(-200), "search")
    path = f"/api/incidents/{lease.incident_id}/close"
    assert (await client.post(path, json=WHO)).status_code == 422
    assert (await client.post(path, json={**WHO, "was": "solved"})).status_code == 422
    shown = (await client.post(path, json={**WHO, "was": "duplicate", "cause": "see cart"})).json()
    assert (shown["status"], shown["resolution"], shown["needs"]) == ("resolved", "closed", None)
    assert (shown["closed"]["was"], shown["closed"]["cause"]) == ("duplicate", "see cart")
    again = await client.post(path, json={**WHO, "was": "fixed"})
    assert again.status_code == 409
    audit = (await client.get("/api/audit", params={"incident_id": lease.incident_id})).json()["items"]
    assert [(one["action"], one["by"]) for one in audit][-1] == ("close", "ada")


async def test_it_is_given_back_and_not_twice(client, store) -> None:
    lease = await escalated(store, at(-200), "search")
    path = f"/api/incidents/{lease.incident_id}/rerun"
    shown = (await client.post(path, json=WHO)).json()
    assert (shown["status"], shown["episode"], shown["needs"]) == ("investigating", 2, None)
    assert (await client.post(path, json=WHO)).status_code == 409


async def test_feedback_is_shown(client, store) -> None:
    lease = await remedied(store, at(-200))
    told: dict[str, Any] = {"by": "ada", "right": False, "cause": "a deploy", "component": "cart"}
    shown = (await client.post(f"/api/incidents/{lease.incident_id}/feedback", json=told)).json()
    assert {name: shown["feedback"][name] for name in told} == told


async def test_a_question_is_answered_from_the_evidence_and_kept(client, store) -> None:
    lease = await remedied(store, at(-200))
    asked = {"by": "ada", "question": "How much memory did it take?"}
    answer = (await client.post(f"/api/incidents/{lease.incident_id}/ask", json=asked)).json()
    assert answer["analyst"] == "rules"
    assert answer["evidence"]
    assert answer["evidence"][0] in answer["answer"]
    shown = (await client.get(f"/api/incidents/{lease.incident_id}")).json()
    assert shown["thoughts"][-1]["text"] == answer["answer"]


@pytest.mark.parametrize("what", ["acknowledge", "close", "rerun", "feedback", "ask"])
async def test_of_an_incident_that_is_not_there_nothing_can_be_said(client, what) -> None:
    body = {**WHO, "was": "fixed", "right": True, "question": "?"}
    assert (await client.post(f"/api/incidents/nobody/{what}", json=body)).status_code == 404


@pytest.mark.parametrize("right", ["yes", "false", 1, None])
async def test_whether_the_cause_was_right_is_a_boolean_and_no_word_for_one(client, store, right) -> None:
    lease = await remedied(store, at(-200))
    refused = await client.post(f"/api/incidents/{lease.incident_id}/feedback", json={"by": "ada", "right": right})
    assert refused.status_code == 422
    assert "right" in refused.json()["error"]
    assert (await client.get(f"/api/incidents/{lease.incident_id}")).json()["feedback"] is None
