"""init: what it writes is taken by those who read it, what was there stays, and the test alert goes all the way."""

import asyncio
from pathlib import Path

import pytest

from contract.store_scene import fresh_store
from deployment import read_yaml
from sreops.__main__ import main
from sreops.adapters.store import SqlIncidentStore
from sreops.ports import Health
from sreops.settings import WebhookSettings, load_settings
from web.web_scene import WallClock, scene, serving

store = pytest.fixture(fresh_store)

TOKENS = {"SREOPS_WEBHOOK__TOKEN": "the-webhook-s-token", "SREOPS_API_TOKEN": "the-api-s-token"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "stack"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def written(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


async def init(*arguments: str) -> int:
    return await asyncio.to_thread(main, ["init", "--wait", "0", *arguments])


async def nobody(unused: int = 1) -> str:
    """Return the address of a port that nobody listens on."""
    return f"http://127.0.0.1:{unused}"


async def test_the_settings_are_random_secrets_and_the_addresses_for_nobody_else_s_eyes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = await nobody()
    assert await init("--url", at, "--loki", "http://loki:3100", "--docker", "tcp://docker-proxy:2375") == 1
    told, made = capsys.readouterr().out, written(folder)
    assert made["SREOPS_LOKI__URL"] == "http://loki:3100"
    assert made["SREOPS_DOCKER__HOST"] == "tcp://docker-proxy:2375"
    assert len({made["SREOPS_WEBHOOK__TOKEN"], made["SREOPS_API_TOKEN"]}) == 2
    assert len(made["SREOPS_API_TOKEN"]) == 48
    assert load_settings().loki.url == "http://loki:3100"
    for file in (".env", "sreops-contact-point.yaml"):
        assert (folder / file).stat().st_mode & 0o777 == 0o600
    assert names_in(folder) == [".env", "sreops-contact-point.yaml"]
    assert "start it (`python -m sreops`)" in told
    assert made["SREOPS_API_TOKEN"] not in told
    assert made["SREOPS_WEBHOOK__TOKEN"] not in told


async def test_what_is_there_stays_and_what_is_missing_is_added(folder: Path) -> None:
    (folder / ".env").write_text("# mine\nOTHER='a b'\nSREOPS_LOKI__URL=http://mine:3100\nSREOPS_API_TOKEN=mine\n")
    at = await nobody()
    assert await init("--url", at, "--loki", "http://loki:3100") == 1
    text = (folder / ".env").read_text()
    assert text.startswith("# mine\nOTHER='a b'\nSREOPS_LOKI__URL=http://mine:3100\nSREOPS_API_TOKEN=mine\n")
    assert set(written(folder)) == {"OTHER", "SREOPS_LOKI__URL", "SREOPS_API_TOKEN", "SREOPS_WEBHOOK__TOKEN"}
    assert await init("--url", at) == 1
    assert (folder / ".env").read_text() == text, "a second run changes nothing"


async def test_grafana_gets_a_contact_point_with_the_address_that_it_reaches(folder: Path) -> None:
    (folder / ".env").write_text("SREOPS_WEBHOOK__TOKEN='it''s $HOME'\n".replace("''s", ""))
    await init("--url", await nobody(), "--compose", "monitoring")
    [point] = read_yaml(folder / "sreops-contact-point.yaml")["contactPoints"]
    [receiver] = point["receivers"]
    assert receiver["settings"]["url"] == "http://sreops:8080/alerts"
    assert receiver["settings"]["authorization_credentials"] == "it $$HOME", "Grafana expands $NAME, and $$ to a sign"
    assert receiver["disableResolveMessage"] is False
    assert written(folder)["NETWORK"] == "monitoring"
    assert "SREOPS_DOCKER__HOST" not in written(folder), "the Compose file says it"


async def test_what_is_wrong_is_told_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await init("--loki", "nonsense") == 2
    assert "SREOPS_LOKI__URL" in capsys.readouterr().err
    assert await init("--url", "sreops:8080") == 2
    assert names_in(folder) == []
    (folder / "sreops-contact-point.yaml").write_text("mine")
    assert await init("--url", await nobody()) == 2
    assert (folder / "sreops-contact-point.yaml").read_text() == "mine"


async def up() -> Health:
    return Health("up", "Loki answers")


async def down() -> Health:
    return Health("down", "nobody answers", "start it")


@pytest.fixture
def settings_are_there(folder: Path) -> dict[str, object]:
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in TOKENS.items()))
    return {
        "webhook": WebhookSettings(token=TOKENS["SREOPS_WEBHOOK__TOKEN"]),
        "api_token": TOKENS["SREOPS_API_TOKEN"],
    }


async def test_each_part_gets_its_tick_when_the_test_alert_has_gone_through(
    store: SqlIncidentStore, settings_are_there: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    missing = {"docker": Health("not_configured", "nothing can be remediated", "set SREOPS_DOCKER__HOST")}
    made = scene(store, WallClock(), checks={"loki": up}, missing=missing, **settings_are_there)
    async with serving(made.app, made.context.stopping) as url:
        assert await init("--url", url) == 0
    told = capsys.readouterr().out
    for line in ("✓ sreops answers", "✓ the test alert was taken", "✓ loki: Loki answers", "✓ store",
                 "- docker: nothing can be remediated; set SREOPS_DOCKER__HOST", "Ready."):  # fmt: skip
        assert line in told
    assert made.log.records == [], "a test opens no incident"
    assert TOKENS["SREOPS_API_TOKEN"] not in told


async def test_a_part_that_does_not_answer_is_a_cross_with_its_cure(
    store: SqlIncidentStore, settings_are_there: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    made = scene(store, WallClock(), checks={"loki": down}, **settings_are_there)
    async with serving(made.app, made.context.stopping) as url:
        assert await init("--url", url) == 1
    told = capsys.readouterr().out
    assert "✗ loki: nobody answers; start it" in told
    assert "not answering: loki" in told


async def test_a_sreops_that_was_started_before_is_to_be_restarted(
    store: SqlIncidentStore, settings_are_there: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    older = WebhookSettings(token="an-older-token")
    made = scene(store, WallClock(), **{**settings_are_there, "webhook": older})
    async with serving(made.app, made.context.stopping) as url:
        assert await init("--url", url) == 1
    assert "restart it" in capsys.readouterr().out
