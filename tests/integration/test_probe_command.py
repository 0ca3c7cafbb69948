"""probe: what would be used for a service or an alert, found in the sandbox's servers, and nothing is touched."""

import asyncio
import json
from pathlib import Path

import pytest

from sreops.__main__ import main
from sreops.sandbox.world import World

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.chdir(tmp_path)


async def test_a_service_s_container_log_selector_and_metrics_are_shown_and_nothing_is_done(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with World(claude=False) as world:
        for name, value in world.settings().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("SREOPS_EVIDENCE__DEADLINE_S", "60")
        assert await asyncio.to_thread(main, ["probe", "payments"]) == 0
        told = capsys.readouterr().out
        assert "workload payments, from label service" in told
        for part in ("container", "logs", "metrics"):
            assert f"✓ {part}" in told
        assert '="payments"' in told, "the selectors that were used"
        payload = {
            "labels": {"alertname": "Down", "service": "nobody\x1b[2J", "tier": "human_only", "severity": "info"}
        }
        file = tmp_path / "alert.json"
        file.write_text(json.dumps(payload))
        assert await asyncio.to_thread(main, ["probe", "--alert", str(file)]) == 1
        told = capsys.readouterr().out
        assert "nothing was found of: container" in told
        assert "cure" in told
        assert "\x1b" not in told
        assert world.gitlab is not None
        assert not world.gitlab.issues
        assert not [entry for entry in world.engine.containers.values() if entry.restart_count]
    assert not await asyncio.to_thread((tmp_path / "data").exists)


@pytest.mark.parametrize("arguments", [[], ["a", "--alert", "b"], ["a", "--label", "x"], ["--alert", "nowhere.json"]])
def test_what_is_no_question_is_used_wrong(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", *arguments]) == 2
    assert capsys.readouterr().out
