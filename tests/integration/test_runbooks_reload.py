"""The runbooks file is read again when it changes; a bad one leaves the old one in force, and says so."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from contract.store_scene import T0, fresh_store
from integration.loop_scene import RUNBOOKS, Scene, loop_scene
from servers.waiting import eventually
from sreops.adapters.store import SqlIncidentStore
from sreops.app.runbooks import runbooks_in_force
from sreops.domain.incidents.incident import Resolution
from sreops.domain.records.audit import verify_chain
from sreops.errors import RunbooksInvalid
from sreops.settings import Settings, load_settings
from sreops.worker.rules_noted import note_policy
from sreops.worker.runbooks_file import RunbooksReloader, runbooks_health

Patch = pytest.MonkeyPatch
store = pytest.fixture(fresh_store)
ONE = "version: 1\nrunbooks:\n  - {id: one, when: {alertname: X}, steps: [{action: restart_container}]}\n"
TWO = ONE.replace("id: one", "id: two")


class Clock:
    def now(self) -> datetime:
        return T0


def watched(store: SqlIncidentStore, path: Path) -> RunbooksReloader:
    settings = load_settings(runbooks=path)

    def read() -> tuple[str, str]:
        try:
            return path.read_text(), str(path)
        except FileNotFoundError as exc:
            raise RunbooksInvalid([f"{path}: there is no such file"]) from exc

    return RunbooksReloader(in_force=runbooks_in_force(settings), read=read, store=store, clock=Clock(), host="a")


async def changes(store: SqlIncidentStore, action: str = "change_runbooks") -> list[list[str]]:
    records = await store.records(incident_id="automation", kind="action")
    assert verify_chain(records, None) == []
    return [record.body["data"].get("ids", []) for record in records if record.body["action"] == action]


async def test_a_change_is_in_force_without_a_restart_and_audited_once(store: SqlIncidentStore, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(ONE)
    file = watched(store, path)
    await file.look()
    path.write_text(TWO)
    await file.look()
    await file.look()
    in_force = file.in_force
    assert [one.id for one in in_force] == ["two"]
    assert await changes(store) == [["one"], ["two"]]
    again = watched(store, path)
    await again.look()
    assert await changes(store) == [["one"], ["two"]], "a restart with the same file is no change"


@pytest.mark.parametrize("bad", ["version: 1\nrunbooks:\n  - {id: x}\n", "]", None])
async def test_a_bad_file_leaves_the_old_one_in_force_and_says_so_until_it_is_mended(
    store: SqlIncidentStore, tmp_path: Path, bad: str | None
) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(ONE)
    file = watched(store, path)
    await file.look()
    if bad is None:
        path.unlink()
    else:
        path.write_text(bad)
    await file.look()
    await file.look()
    assert [one.id for one in file.in_force] == ["one"]
    health = await runbooks_health(file.in_force)
    assert health.status == "down"
    assert str(path) in health.detail
    assert "still in force: 1 runbooks" in health.detail
    path.write_text(ONE)  # back to what is in force
    await file.look()
    assert (await runbooks_health(file.in_force)).status == "up"
    assert await changes(store) == [["one"]]


async def test_what_began_with_a_version_keeps_it(store: SqlIncidentStore, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(ONE)
    file = watched(store, path)
    before = file.in_force.version
    path.write_text(TWO)
    await file.look()
    assert [one.id for one in file.in_force.of(before)] == ["one"]
    assert [one.id for one in file.in_force.of(None)] == ["two"]
    assert [one.id for one in file.in_force.of("of a process before")] == ["two"]
    assert [file.in_force[0].id, len(file.in_force)] == ["two", 1]
    for number in range(30):
        path.write_text(ONE + f"# {number}\n")
        await file.look()
    assert [one.id for one in file.in_force.of(before)] == ["one"], "the newest: the old ones are not kept for ever"


async def test_the_settings_that_policy_reads_are_audited_where_they_have_changed(store: SqlIncidentStore) -> None:
    for settings in (Settings(), Settings(), Settings(dry_run=True), Settings(dry_run=True)):
        await note_policy(store, Clock(), settings, "a")
    assert len(await changes(store, "change_policy")) == 2


async def test_the_process_takes_a_new_file_up_and_a_plan_that_waits_is_the_one_that_was_approved(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    path = tmp_path / "live.yaml"
    path.write_text(RUNBOOKS)
    async with loop_scene(tmp_path, monkeypatch, SREOPS_RUNBOOKS=str(path)) as it:
        await it.fire(tier="supervised")
        waiting = await it.reaches("awaiting_approval")
        await asyncio.to_thread(path.write_text, TWO)
        await eventually(lambda: _ids(it, ["two"]), 20, what="the new file to be in force")
        await asyncio.to_thread(path.write_text, "]")
        await eventually(lambda: _told(it), 20, what="the bad file to be told")
        assert await _ids(it, ["two"])
        assert (await it.decide(waiting, "approve")).status_code == 200
        incident = await it.ended()
        assert (incident.resolution, incident.runbook_id) == (Resolution.fixed, "restart-on-memory")
        assert it.starts() == 2


async def _ids(it: Scene, wanted: list[str]) -> bool:
    return [one["id"] for one in (await it.client.get("/api/runbooks")).json()["items"]] == wanted


async def _told(it: Scene) -> bool:
    health = (await it.client.get("/health")).json()
    return health["status"] == "degraded" and "the file can't be used" in str(health["why"])
