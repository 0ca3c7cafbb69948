"""An ended incident becomes a case that ``eval`` reads; its labels say only what the end proves."""

import asyncio
import json
from pathlib import Path

import pytest

from contract.store_scene import T0, at_work, ended
from integration.loop_scene import LEAKING, loop_scene
from sreops.__main__ import main
from sreops.app import open_store
from sreops.domain.incidents.incident import Resolution
from sreops.settings import load_settings

Patch = pytest.MonkeyPatch


async def test_an_export_is_for_its_owner_s_eyes_and_goes_through_no_link(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("SREOPS_DATA_DIR", str(tmp_path / "data"))
    async with open_store(load_settings()) as store:
        lease = await at_work(store)
        await ended(store, lease, now=T0)
    out, elsewhere = tmp_path / "cases", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    file = out / "incidents" / f"{lease.incident_id}.json.gz"
    file.parent.mkdir(parents=True)
    file.symlink_to(elsewhere)
    asked = ["incidents", "export", lease.incident_id, "--out", str(out)]

    assert await asyncio.to_thread(main, asked) == 0

    assert elsewhere.read_bytes() == b"mine"
    assert not file.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing half-written is left"
    (tmp_path / "other").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "incidents").symlink_to(tmp_path / "other")
    assert await asyncio.to_thread(main, [*asked[:-1], str(tmp_path / "linked")]) == 1
    assert list((tmp_path / "other").iterdir()) == []


async def test_a_fixed_incident_is_judged_by_eval_on_its_own_evidence(tmp_path: Path, monkeypatch: Patch) -> None:
    patient = {"SREOPS_EVIDENCE__DEADLINE_S": "25", "SREOPS_PROMETHEUS__TIMEOUT_S": "20"}
    async with loop_scene(tmp_path, monkeypatch, **patient) as it:
        await it.fire(**LEAKING)

        incident = await it.ended()

        assert incident.resolution is Resolution.fixed
    cases, out = tmp_path / "cases", tmp_path / "answers.jsonl"
    assert await asyncio.to_thread(main, ["incidents", "export", incident.id, "--out", str(cases)]) == 0
    assert await asyncio.to_thread(main, ["eval", str(cases), "--out", str(out)]) == 0
    [answer] = [json.loads(line) for line in out.read_text().splitlines()]
    assert (answer["set"], answer["id"]) == ("incidents", incident.id)
    assert answer["ranked"][0] == "payments"
    assert set(answer["ranked"]) == {"payments", "ledger-db", "checkout"}
    assert answer["action"] == "restart"
    assert answer["category"] in ("out_of_memory", "memory_leak")
    assert "OutOfMemoryError" in answer["log_excerpt"]
    assert await asyncio.to_thread(main, ["incidents", "export", "no-such-incident"]) == 1
