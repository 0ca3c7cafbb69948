"""A whole incident's evidence: the neighbours, the suspects, and what changed lately."""

import json
from pathlib import Path

import pytest

from integration.loop_scene import loop_scene
from sreops.domain.evidence.evidence import EvidenceKind
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch
# what is looked for here is what is found, not how fast: a busy machine must not make gaps of it
PATIENT = {"SREOPS_EVIDENCE__DEADLINE_S": "25", "SREOPS_PROMETHEUS__TIMEOUT_S": "20", "SREOPS_GRAFANA__TIMEOUT_S": "20"}


async def test_an_incident_tells_of_its_neighbours_and_who_is_suspected(tmp_path: Path, monkeypatch: Patch) -> None:
    topology = json.dumps({"payments": ["mail"], "recommendations": ["payments"]})
    async with loop_scene(tmp_path, monkeypatch, SREOPS_TOPOLOGY=topology, **PATIENT) as it:
        await it.fire()
        incident = await it.ended()
        evidence = await it.store.evidence(incident.id)
    told = {one.data["service"]: one for one in evidence if one.kind is EvidenceKind.neighbour}
    assert {name: one.data["by"] for name, one in told.items()} == {
        "mail": "the topology",
        "ledger-db": "depends_on",
        "recommendations": "the topology",
        "checkout": "depends_on",
        "inventory": "network shop_default",
        "storefront": "network shop_default",
    }
    assert [told[name].data["role"] for name in ("inventory", "storefront")] == ["peer", "peer"]
    assert {"error_ratio", "latency_p95", "memory"} == set(told["ledger-db"].data["signals"])
    assert told["ledger-db"].finding.endswith("container healthy")
    assert told["checkout"].data["role"] == "caller"
    assert "no metric is known" in told["mail"].finding
    assert "container healthy" in told["recommendations"].finding
    [suspects] = [one for one in evidence if one.kind is EvidenceKind.suspects]
    assert suspects.finding.startswith("suspects: payments 0.")
    assert "onset" in suspects.finding
    assert not {"inventory", "storefront"} & set(suspects.data["scores"])  # of peers no calls are known
    assert [one.id for one in evidence] == [f"E{n}" for n in range(1, len(evidence) + 1)]


async def test_without_an_engine_the_topology_still_names_neighbours(tmp_path: Path, monkeypatch: Patch) -> None:
    topology = json.dumps({"payments": ["ledger-db"]})
    async with loop_scene(tmp_path, monkeypatch, SREOPS_TOPOLOGY=topology, SREOPS_DOCKER__HOST="", **PATIENT) as it:
        await it.fire()
        incident = await it.ended()
        evidence = await it.store.evidence(incident.id)
    [ledger] = [one for one in evidence if one.kind is EvidenceKind.neighbour]
    assert ledger.data["container"] is None
    assert "error_ratio" in ledger.data["signals"]
    assert "no container engine is configured" in ledger.finding


async def test_a_dependency_that_is_down_is_handed_over_and_the_messenger_is_left_alone(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    world = World(claude=False, past_s=700, scrape_interval_s=0.5, window="5s")
    async with loop_scene(tmp_path, monkeypatch, world, **PATIENT) as it:
        ledger = it.world.shop.services["ledger-db"].container
        assert ledger is not None
        await it.world.engine.stop(ledger, 0)
        ledger.exit_code = 137
        assert it.world.grafana is not None
        deployed_ms = int(it.world.clock.time() * 1000) - 240_000
        it.world.grafana.annotate("ledger-db 2.0 rolled out", ["deploy"], deployed_ms)
        await it.fire()
        incident = await it.ended()
        evidence = await it.store.evidence(incident.id)
        assert it.starts() == 1
    assert incident.category == "dependency_down", [one.finding for one in evidence]
    assert "ledger-db, which it calls, is not running" in str(incident.root_cause)
    assert incident.status.value == "escalated"
    assert not incident.effects
    noted, replaced, image = [one for one in evidence if one.kind is EvidenceKind.change]
    assert "4 min before the alert" in noted.finding
    assert "ledger-db 2.0 rolled out [deploy]" in noted.finding
    assert replaced.finding.startswith("no container of payments, ledger-db, checkout, inventory, ")
    assert replaced.finding.endswith(" was created or started in the hour before the alert")
    assert "which is what the tag means now" in image.finding
    own, near = [one for one in evidence if one.kind is EvidenceKind.events]
    assert own.data["service"] == "payments"
    assert own.query.startswith("docker events --since ")
    assert near.finding.startswith("ledger-db, by the engine's events:")
    assert near.data["role"] == "called"


async def test_the_neighbours_log_lines_are_ranked_with_the_service_s_own(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch, **PATIENT) as it:
        push_traces(it.world, vanished=("ledger-db", "Ledger#44"))
        await it.fire()
        incident = await it.reaches("awaiting_approval", timeout_s=75)  # they point elsewhere: a person decides
        evidence = await it.store.evidence(incident.id)
    [suspects] = [one for one in evidence if one.kind is EvidenceKind.suspects]
    assert "Ledger#44 after Ledger#41" in suspects.text
    assert suspects.data["scores"]["ledger-db"] > 1


def push_traces(world: World, *, vanished: tuple[str, str]) -> None:
    """Write requests of the last four minutes to Loki; in the last half minute one step of them is missing."""
    steps = (("payments", "Pay#10"), ("ledger-db", "Ledger#41"), ("ledger-db", "Ledger#44"), ("payments", "Pay#19"))
    now_ns = int(world.clock.time() * 1e9)
    for number in range(480):
        at_ns = now_ns - (480 - number) * 500_000_000
        for place, (service, step) in enumerate(steps):
            if (service, step) == vanished and now_ns - at_ns < 58_000_000_000:
                continue
            for filler in range(2):  # among the shop's own lines, enough that most carry ids
                line = f"{step} part {filler} traceId={number:016x} spanId={place:08x}"
                world.loki.push({"service": service, "container": service}, line, at_ns + place * 10_000_000 + filler)
