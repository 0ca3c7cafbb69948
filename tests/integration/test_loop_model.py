"""The model in the whole loop: it asks, its answers are evidence of the incident, and what it took is on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from loop_scene import loop_scene

from sreops.domain.incidents.incident import Reason, Resolution
from sreops.sandbox.claude import Fail, Override, Say, UseTools
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch
WINDOW = {"from_minutes": -10, "to_minutes": 5}
QUESTIONS = UseTools(
    (
        ("query_logs", {"scope": "L1", "contains": ["OutOfMemory"], "excludes": [], **WINDOW}),
        (
            "query_metrics",
            {"scope": "M2", "metric": "process_resident_memory_bytes", "view": "value", "by": None, **WINDOW},
        ),
        ("describe_container", {"scope": "C1"}),
        ("past_incidents", {"scope": "H1", "days": 30}),
    )
)


def leaking() -> World:
    world = World(claude=True, past_s=700, scrape_interval_s=0.5, window="5s")
    world.shop.leak("payments", full_in_s=-20, fills_in_s=600)
    return world


async def test_the_model_asks_and_its_answers_are_evidence_that_can_be_cited(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking()) as it:
        assert it.world.claude is not None
        it.world.claude.script(QUESTIONS)
        await it.fire()
        incident = await it.ended()
        assert (incident.analyst, incident.resolution) == ("claude", Resolution.fixed)
        told = " ".join(await it.thoughts(incident))
        asked = [item for item in await it.store.evidence(incident.id) if f"{item.id} asked" in told]
        assert [item.source for item in asked] == ["loki", "prometheus", "docker", "sreops"]
        assert '|= "OutOfMemory"' in asked[0].query
        assert incident.decision is not None
        usage = incident.decision["model_usage"]
        assert (usage["calls"], usage["failed_calls"], usage["model"]) == (2, 0, "claude-sonnet-5-5")
        assert usage["usd"] > 0
        assert usage["cache_read_tokens"] > 0
        assert usage["seconds"] > 0
        shown = (await it.client.get(f"/api/incidents/{incident.id}")).json()
        assert (shown.get("incident") or shown)["model_usage"] == usage


NEAR = UseTools(
    (
        ("query_logs", {"scope": "L2", "contains": [], "excludes": [], **WINDOW}),
        ("query_metrics", {"scope": "M4", "metric": "http_requests_total", "view": "rate", "by": None, **WINDOW}),
        ("describe_container", {"scope": "C2"}),
        ("past_incidents", {"scope": "H2", "days": 30}),
    )
)
STRANGERS = UseTools(
    (
        ("describe_container", {"scope": "C7"}),
        ("past_incidents", {"scope": "ledger-db", "days": 30}),
    )
)


async def test_the_model_may_ask_about_known_neighbours_and_about_nobody_else(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking()) as it:
        assert it.world.claude is not None
        it.world.claude.script(NEAR, STRANGERS)
        await it.fire()
        incident = await it.ended()
        told = " ".join(await it.thoughts(incident))
        asked = [item for item in await it.store.evidence(incident.id) if f"{item.id} asked" in told]
        assert [item.source for item in asked] == ["loki", "prometheus", "docker", "sreops"]
        for item in asked:
            assert "ledger-db" in f"{item.query} {item.finding}", item
        last = it.world.claude.requests[-1].body
        refused = [
            block["content"] for message in last["messages"] for block in message["content"]
            if block["type"] == "tool_result" and block.get("is_error")
        ]  # fmt: skip
        assert len(refused) == 2
        assert "scope must be one of C1, C2, C3, C4, C5, C6" in refused[0]
        assert "scope must be one of H1, H2, H3, H4, H5, H6" in refused[1]


async def test_an_overconfident_model_on_the_alert_s_own_text_is_taken_down_with_the_reason(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking()) as it:
        assert it.world.claude is not None
        it.world.claude.script(Override({"confidence": 1.0, "evidence": ["E1"], "runbook_id": "restart-on-memory"}))
        await it.fire()
        incident = await it.ended()
        assert (incident.reason, incident.confidence) == (Reason.low_confidence, 0.5)
        assert incident.decision is not None
        assert incident.decision["confidence"]["claimed"] == 1.0
        assert "proves no cause" in incident.decision["confidence"]["taken_down"][0]
        assert it.starts() == 1


async def test_where_the_rules_would_do_something_else_the_model_is_taken_down_and_a_person_decides(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking()) as it:
        assert it.world.claude is not None
        claim = {"category": "traffic_overload", "recommended_action": "scale", "confidence": 0.9, "evidence": ["E2"]}
        it.world.claude.script(Override(claim))
        await it.fire()
        incident = await it.ended()
        assert (incident.reason, incident.confidence) == (Reason.low_confidence, 0.65)
        assert incident.decision is not None
        assert "would restart (0.90 → 0.65)" in incident.decision["confidence"]["taken_down"][0]
        assert "taken down: the rules conclude " in " ".join(await it.thoughts(incident))
        assert it.starts() == 1


async def test_a_model_that_cites_nothing_twice_is_not_believed_and_the_rules_answer_with_the_reason(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, leaking()) as it:
        assert it.world.claude is not None
        nothing = Override({"evidence": [], "recommended_action": "none", "runbook_id": None})
        it.world.claude.script(nothing, nothing)
        await it.fire()
        incident = await it.ended()
        assert it.world.claude.unused_steps == 0
        assert incident.analyst == "rules"
        assert "cites no evidence" in str(incident.analyst_why)


async def test_what_failed_calls_took_is_on_the_incident_that_the_rules_answered(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    settings = {"SREOPS_LLM__MAX_RETRIES": "0", "SREOPS_LLM__BREAKER_FAILURES": "1"}
    async with loop_scene(tmp_path, monkeypatch, leaking(), **settings) as it:
        assert it.world.claude is not None
        it.world.claude.script(Say("no JSON"), Fail(529))
        await it.fire()
        incident = await it.ended()
        assert (incident.analyst, incident.resolution) == ("rules", Resolution.fixed)
        assert incident.decision is not None
        usage = incident.decision["model_usage"]
        assert (usage["calls"], usage["failed_calls"]) == (2, 1)
        health = (await it.client.get("/health")).json()
        assert "breaker" in str(health)
