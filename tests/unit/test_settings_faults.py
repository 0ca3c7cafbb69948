"""A wrong setting is one sentence that names it, never a traceback and never a secret."""

from pathlib import Path

import pytest

from sreops.app.exposure import guard_exposure, weak_credentials
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SREOPS_GITLAB__ACTIONS", '[{"project": "a/b", "token": "glpat-secret"'),
        ("SREOPS_DOCKER__HOSTS", "edge=tcp://glpat-secret:2375"),
        ("SREOPS_ACTIONS__WEBHOOKS", "glpat-secret"),
    ],
)
def test_a_part_of_a_group_that_is_no_json_is_named_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("SREOPS_GITLAB__URL", "https://gitlab.example")
    monkeypatch.setenv(name, value)
    said = problems()
    assert f"{name}: can't be read as JSON" in said
    assert "glpat-secret" not in said


def test_a_part_of_a_group_that_is_no_json_in_an_env_file_is_named_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("SREOPS_DOCKER__HOSTS={edge}\n")
    monkeypatch.chdir(tmp_path)
    assert "SREOPS_DOCKER__HOSTS: can't be read as JSON" in problems()


@pytest.mark.parametrize(("given", "missing"), [("USER", "PASSWORD"), ("PASSWORD", "USER")])
def test_half_of_basic_authentication_guards_nothing_and_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, given: str, missing: str
) -> None:
    monkeypatch.setenv(f"SREOPS_WEBHOOK__BASIC_{given}", "grafana")
    said = problems()
    assert f"SREOPS_WEBHOOK__BASIC_{missing}: missing" in said
    assert "grafana" not in said
    monkeypatch.setenv("SREOPS_WEBHOOK__TOKEN", "t")
    assert load_settings().webhook.configured, "beside another credential it does no harm"


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


URLS = (
    "SREOPS_LOKI__URL",
    "SREOPS_PROMETHEUS__URL",
    "SREOPS_GRAFANA__URL",
    "SREOPS_GITLAB__URL",
    "SREOPS_LLM__BASE_URL",
    "SREOPS_DOCKER__HOST",
    "SREOPS_KAFKA__BOOTSTRAP_SERVERS",
)


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize(
    "value",
    [
        "nonsense://x", "http:/loki", "http://:80", "http://h:port", "http://h:99999", "http://a b", "http://[::1",
        "http://h/?x=1", "ftp://h",
    ],
)  # fmt: skip
def test_an_address_has_a_scheme_and_a_host(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    said = problems()
    assert name in said
    assert "write " in said or "HOST:PORT" in said
    assert value not in said


@pytest.mark.parametrize("name", URLS[:5])
@pytest.mark.parametrize("value", ["nonsense", "localhost:3100", "unix:///x"])
def test_an_address_of_a_web_server_begins_with_http(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert "http://HOST:PORT" in problems()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SREOPS_LOKI__URL", "http://loki:3100/prefix"),
        ("SREOPS_LOKI__URL", "https://user:pa%20ss@loki"),
        ("SREOPS_LOKI__URL", ""),
        ("SREOPS_LOKI__URL", "http://[::1]:3100"),
        ("SREOPS_DOCKER__HOST", "unix:///var/run/docker.sock"),
        ("SREOPS_DOCKER__HOST", "tcp://docker-proxy:2375"),
        ("SREOPS_KAFKA__BOOTSTRAP_SERVERS", "a:9092, b:9092,[::1]:9092"),
        ("SREOPS_KAFKA__BOOTSTRAP_SERVERS", ""),
    ],
)
def test_an_address_that_is_one_is_taken(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    load_settings()


def test_a_file_that_is_named_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    load_settings()  # the default need not be there: the packaged runbooks are used
    (tmp_path / "runbooks.yaml").write_text("version: 1\nrunbooks: []\n")
    for given, told in (
        ("runbook.yml", "did you mean runbooks.yaml?"),
        ("nowhere/runbooks.yaml", "there is no folder nowhere"),
        (".", "is a folder"),
    ):
        monkeypatch.setenv("SREOPS_RUNBOOKS", given)
        said = problems()
        assert "SREOPS_RUNBOOKS" in said
        assert told in said
    monkeypatch.setenv("SREOPS_RUNBOOKS", "runbooks.yaml")
    monkeypatch.setenv("SREOPS_KAFKA__SSL_CAFILE", "ca.pem")
    assert "SREOPS_KAFKA__SSL_CAFILE" in problems()
    monkeypatch.setenv("SREOPS_KAFKA__SSL_CAFILE", "")
    load_settings()


SECRET = "glpat-swordfish"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SREOPS_PORT", SECRET),
        ("SREOPS_CONCURRENCY", SECRET),
        ("SREOPS_DRY_RUN", SECRET),
        ("SREOPS_LOG_LEVEL", SECRET),
        ("SREOPS_DEFAULT_TIER", SECRET),
        ("SREOPS_ROLES", f"bridge,{SECRET}"),
        ("SREOPS_LOKI__URL", f"loki://user:{SECRET}@h"),
        ("SREOPS_DOCKER__HOST", f"ssh://user:{SECRET}@h"),
        ("SREOPS_KAFKA__BOOTSTRAP_SERVERS", f"user:{SECRET}@h:9092"),
        ("SREOPS_TOPOLOGY", SECRET),
        ("SREOPS_GITLAB", f'["{SECRET}"]'),
        ("SREOPS_MCP__SERVERS", f'{{"a": {{"token": "{SECRET}", "env": {{"KEY": "{SECRET}"}}}}}}'),
        ("SREOPS_LLM__PRICES", f'{{"m": "{SECRET}"}}'),
        ("SREOPS_VERIFY__SETTLE_S", SECRET),
    ],
)
def test_no_value_is_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    told = f"{caught.value} {caught.value.__cause__}"
    assert name.split("__")[0] in told
    assert SECRET not in told


def test_a_number_out_of_its_range_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_PORT", "70000")
    assert "SREOPS_PORT=70000" in problems()


def test_half_an_openid_connect_client_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_OIDC__ISSUER", "https://id.example")
    monkeypatch.setenv("SREOPS_OIDC__CLIENT_SECRET", "swordfish")
    said = problems()
    assert "SREOPS_OIDC__CLIENT_ID, SREOPS_OIDC__ROLES: missing" in said
    assert "swordfish" not in said
    monkeypatch.setenv("SREOPS_OIDC__CLIENT_ID", "sreops")
    monkeypatch.setenv("SREOPS_OIDC__ROLES", '{"sre": "root"}')
    assert "SREOPS_OIDC__ROLES" in problems()
    monkeypatch.setenv("SREOPS_OIDC__ROLES", '{"sre": "operator"}')
    monkeypatch.setenv("SREOPS_HOST", "0.0.0.0")
    monkeypatch.setenv("SREOPS_WEBHOOK__TOKEN", STRONG)
    guard_exposure(load_settings())  # people who sign in suffice: no shared token is needed
