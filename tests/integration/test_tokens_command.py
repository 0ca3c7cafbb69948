"""`sreops tokens` and `sreops sessions end`, beside whatever serves: what they print, and what then opens."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sreops.__main__ import main
from sreops.app import open_store
from sreops.domain.records.api_token import ApiToken, key_of
from sreops.domain.records.person import Person, ProvenBy, Role, Session
from sreops.settings import load_settings

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SREOPS_DATA_DIR", str(tmp_path / "data"))


def opened(secret: str) -> ApiToken | None:
    async def look() -> ApiToken | None:
        async with open_store(load_settings()) as store:
            return await store.api_token(key_of(secret), now=NOW + timedelta(minutes=1))

    return asyncio.run(look())


def test_a_token_is_made_listed_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokens", "create", "deploy-bot", "--role", "operator", "--days", "90"]) == 0
    told, secret = capsys.readouterr().out.splitlines()
    assert told.startswith("service deploy-bot, role operator, until ")
    token = opened(secret)
    assert token is not None
    assert (token.signature, token.role) == ("service deploy-bot", Role.operator)
    assert timedelta(days=89) < token.expires_at - NOW < timedelta(days=91)
    assert main(["tokens", "list"]) == 0
    listed = capsys.readouterr().out
    assert f"{token.token_id}  valid" in listed
    assert secret not in listed
    assert main(["tokens", "revoke", token.token_id]) == 0
    assert opened(secret) is None
    assert main(["tokens", "list"]) == 0
    assert f"{token.token_id}  revoked" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["a b"], ["\x1b[31m"], ["ok", "--days", "0"], ["ok", "--days", "9999"]])
def test_a_bad_wish_is_used_wrong_and_makes_nothing(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokens", "create", *wrong]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_what_is_not_there_is_found_wrong() -> None:
    assert main(["tokens", "revoke", "nothing"]) == 1
    assert main(["sessions", "end", "nobody"]) == 1


def test_an_account_is_signed_out_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    async def begin() -> None:
        async with open_store(load_settings()) as store:
            ada = Person("ada (7)", Role.operator, ProvenBy.oidc)
            await store.begin_session("k", Session(ada, "m", NOW, NOW + timedelta(hours=1)))

    asyncio.run(begin())
    assert main(["sessions", "end", "ada (7)"]) == 0
    assert "1 sessions ended" in capsys.readouterr().out
