"""A whole incident's evidence: the neighbours, the suspects, and what changed lately."""

import json
from pathlib import Path

import pytest

from integration.loop_scene import loop_scene
from sreops.domain.evidence import EvidenceKind

Patch = pytest.MonkeyPatch


async def test_an_incident_tells_of_its_neighbours_and_who_is_suspected(tmp_path: Path, monkeypatch: Patch) -> None:
    topology = json.dumps({"payments": ["mail"], "recommendations": ["payments"]})
    async with loop_scene(tmp_path, monkeypatch, SREOPS_TOPOLOGY=topology) as it:
        await it.fire()
        incident = await it.ended()
        evidence = await it.store.evidence(incident.id)
    told = {one.data["service"]: one for one in evidence if one.kind is EvidenceKind.neighbour}
    assert set(told) == {"mail", "ledger-db", "recommendations", "checkout"}
    assert {"error_ratio", "latency_p95", "memory"} == set(told["ledger-db"].data["signals"])
    assert told["ledger-db"].finding.endswith("container healthy")
    assert told["checkout"].data["role"] == "caller"
    assert "no metric is known" in told["mail"].finding
    assert "container healthy" in told["recommendations"].finding
    [suspects] = [one for one in evidence if one.kind is EvidenceKind.suspects]
    assert suspects.finding.startswith("suspects: payments 0.")
    assert "onset" in suspects.finding
    assert [one.id for one in evidence] == [f"E{n}" for n in range(1, len(evidence) + 1)]


async def test_without_an_engine_the_topology_still_names_neighbours(tmp_path: Path, monkeypatch: Patch) -> None:
    topology = json.dumps({"payments": ["ledger-db"]})
    async with loop_scene(tmp_path, monkeypatch, SREOPS_TOPOLOGY=topology, SREOPS_DOCKER__HOST="") as it:
        await it.fire()
        incident = await it.ended()
        evidence = await it.store.evidence(incident.id)
    [ledger] = [one for one in evidence if one.kind is EvidenceKind.neighbour]
    assert ledger.data["container"] is None
    assert "error_ratio" in ledger.data["signals"]
    assert "no container engine is configured" in ledger.finding
