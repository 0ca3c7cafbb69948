"""A wrong setting is one sentence that names it, never a traceback and never a secret."""

from pathlib import Path

import pytest

from sreops.app.exposure import weak_credentials
from sreops.commands.serve import guard_exposure
from sreops.errors import SettingsInvalid
from sreops.settings import load_settings


def problems() -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    return " ".join(caught.value.problems)


def test_a_group_that_is_no_json_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_GITLAB", '{"token": "glpat-secret"')
    said = problems()
    assert "SREOPS_GITLAB" in said
    assert "glpat-secret" not in said


def test_an_env_file_that_is_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe=1")
    monkeypatch.chdir(tmp_path)
    assert ".env" in problems()


def test_a_worker_without_a_bridge_needs_no_credentials_of_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_HOST", "0.0.0.0")
    monkeypatch.setenv("SREOPS_API_TOKEN", "t")
    monkeypatch.setenv("SREOPS_ROLES", "worker")
    guard_exposure(load_settings())
    monkeypatch.setenv("SREOPS_ROLES", "bridge,worker")
    with pytest.raises(SettingsInvalid, match="WEBHOOK"):
        guard_exposure(load_settings())


@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_ceiling_of_money_is_a_number_that_can_be_reached(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SREOPS_LLM__MAX_USD_PER_DAY", value)
    monkeypatch.setenv("SREOPS_LLM__MAX_USD_PER_INCIDENT", value)
    assert "SREOPS_LLM__MAX_USD_PER_DAY" in problems()
    assert "SREOPS_LLM__MAX_USD_PER_INCIDENT" in problems()


def test_a_trusted_proxy_is_an_address_or_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_TRUSTED_PROXIES", "10.0.0.0/8, fd00::1")
    assert load_settings().trusted_proxies == ("10.0.0.0/8", "fd00::1")
    monkeypatch.setenv("SREOPS_TRUSTED_PROXIES", "*")
    assert "SREOPS_TRUSTED_PROXIES" in problems()


STRONG = "1f0c9b7a5e3d2468ace013579bdf8642"
OTHER = "8d5e1b70c4a9f2363e7a0b1c9d8f6254"


@pytest.mark.parametrize(
    ("host", "api", "webhook", "told"),
    [
        ("0.0.0.0", STRONG, OTHER, []),
        ("127.0.0.1", "a", "a", []),  # whoever is on this machine needs no token to be believed
        ("0.0.0.0", "swordfish", OTHER, ["SREOPS_API_TOKEN can be guessed"]),
        ("0.0.0.0", STRONG, "a" * 40, ["SREOPS_WEBHOOK__TOKEN can be guessed"]),
        ("::", STRONG, STRONG, ["SREOPS_API_TOKEN is also SREOPS_WEBHOOK__TOKEN"]),
        ("10.0.0.1", "x", "x", ["SREOPS_API_TOKEN can", "SREOPS_WEBHOOK__TOKEN can", "SREOPS_API_TOKEN is also"]),
    ],
)
def test_weak_and_equal_tokens_do_not_start_beyond_loopback_without_a_word(
    host: str, api: str, webhook: str, told: list[str]
) -> None:
    settings = load_settings(host=host, api_token=api, webhook={"token": webhook})
    said = weak_credentials(settings)
    assert [one.startswith(begin) for one, begin in zip(said, told, strict=True)] == [True] * len(told)
    assert not any(api in one.split(" ")[1:] or webhook in one.split(" ")[1:] for one in said)
