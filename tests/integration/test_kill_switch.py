"""The kill switch in all four ways: the page and the API stand in other suites; here the command line and the file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from contract.store_scene import T0, at, fresh_store
from integration.loop_scene import loop_scene
from servers.waiting import eventually
from sreops.__main__ import main
from sreops.adapters.database.pause_file import DataDirPauseFile
from sreops.adapters.store import SqlIncidentStore
from sreops.domain.incidents.incident import Reason
from sreops.worker.pause_file import PauseFileWatch

Patch = pytest.MonkeyPatch
store = pytest.fixture(fresh_store)


class Clock:
    def now(self) -> datetime:
        return T0


def watch(store: SqlIncidentStore, folder: Path, host: str = "a") -> PauseFileWatch:
    return PauseFileWatch(store=store, file=DataDirPauseFile(folder), clock=Clock(), host=host)


@pytest.mark.parametrize("name", ["PAUSE", "pause", "Paused"])
async def test_a_file_pauses_for_all_replicas_while_it_is_there(
    store: SqlIncidentStore, tmp_path: Path, name: str
) -> None:
    mine, other = watch(store, tmp_path), watch(store, tmp_path / "elsewhere", host="b")
    await mine.look()
    assert not (await store.pause_state())["paused"]
    (tmp_path / name).write_text("we move the database\nsecond line\n")
    await mine.look()
    await other.look()
    state = await store.pause_state()
    assert (state["paused"], state["by"], state["reason"]) == (True, "file PAUSE on a", "we move the database")
    (tmp_path / name).unlink()
    await other.look()
    assert (await store.pause_state())["paused"], "another replica has no say in it"
    await mine.look()
    assert not (await store.pause_state())["paused"]
    told = [record.body["action"] for record in await store.records(kind="action")]
    assert told == ["pause_automation", "resume_automation"]


async def test_a_file_that_goes_takes_back_no_pause_of_a_persons(store: SqlIncidentStore, tmp_path: Path) -> None:
    mine = watch(store, tmp_path)
    (tmp_path / "PAUSE").touch()
    await mine.look()
    await store.set_paused(True, by="kim", reason="freeze", now=at(1))
    (tmp_path / "PAUSE").unlink()
    await mine.look()
    assert (await store.pause_state())["by"] == "kim"


async def test_a_resume_beside_the_file_does_not_hold(store: SqlIncidentStore, tmp_path: Path) -> None:
    mine = watch(store, tmp_path)
    (tmp_path / "PAUSE").touch()
    await mine.look()
    await store.set_paused(False, by="kim", reason="", now=at(1))
    await mine.look()
    assert (await store.pause_state())["paused"]


async def test_a_folder_that_can_not_be_looked_at_counts_as_paused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "can't be looked at" in str(await DataDirPauseFile(tmp_path / "file").reason())
    assert await DataDirPauseFile(tmp_path / "not there").reason() is None


async def test_the_file_stops_the_next_effect_before_it_has_come_to_the_store(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    async with loop_scene(tmp_path, monkeypatch, SREOPS_POLICY__SLOT_RETRY_S="0.3") as it:
        await it.fire(tier="supervised", escalate_threshold="0")
        waiting = await it.reaches("awaiting_approval", timeout_s=60)
        (tmp_path / "data" / "PAUSE").write_text("hands off")
        assert (await it.decide(waiting, "approve")).status_code == 200

        async def held() -> bool:
            return any("automation is paused: it is done once" in text for text in await it.thoughts(waiting))

        await eventually(held, 30, what="the approval to be held")
        assert it.starts() == 1
        (tmp_path / "data" / "PAUSE").unlink()
        assert (await it.ended()).effects, "the approval was not spent"
        assert it.starts() == 2


async def test_the_file_denies_what_would_act_alone(tmp_path: Path, monkeypatch: Patch) -> None:
    async with loop_scene(tmp_path, monkeypatch) as it:
        (tmp_path / "data" / "PAUSE").write_text("hands off")
        await it.fire()
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "automation is paused: hands off" in str(incident.decision)
        assert it.starts() == 1


def test_the_command_line_pauses_resumes_and_says_who_and_why(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["automation", "status"]) == 0
    assert "nobody has ever paused it" in capsys.readouterr().out
    assert main(["automation", "pause", "--reason", "we move the database"]) == 0
    assert main(["automation", "status"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == told[1]
    assert told[0].startswith("automation is paused, by command line of ")
    assert told[0].endswith(": we move the database")
    assert main(["automation", "resume"]) == 0
    assert "automation runs, by command line of " in capsys.readouterr().out


def test_a_switch_in_a_folder_in_which_no_sreops_has_run_says_so(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["automation", "pause", "--reason", "not here"]) == 0
    told = capsys.readouterr()
    assert "automation is paused" in told.out
    assert "there was no such database, so no sreops that runs looks at it" in told.err
    assert "SREOPS_DATA_DIR" in told.err
    assert main(["automation", "status"]) == 0
    assert not capsys.readouterr().err
