"""A variable with our prefix is a setting, or it is told: what somebody meant to set never stays unset in silence."""

from pathlib import Path

import pytest

from sreops.errors import SettingsInvalid
from sreops.setting_names import OF_OUR_TOOLS, RETIRED, put_there_by_kubernetes, read_names, setting_names
from sreops.settings import Settings, load_settings, passed_over

OF_0_1 = (Path(__file__).parent / "settings_of_0_1.txt").read_text().split()


def problems() -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    return "\n".join(caught.value.problems)


@pytest.fixture(autouse=True)
def _an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("SREOPS_LOKI_URL", "SREOPS_LOKI__URL"),
        ("SREOPS__PORT", "SREOPS_PORT"),
        ("SREOPS_LOKI__URLL", "SREOPS_LOKI__URL"),
        ("sreops_kafka__bootstrap_server", "SREOPS_KAFKA__BOOTSTRAP_SERVERS"),
        ("SREOPS_LLM_API_KEY", "SREOPS_LLM__API_KEY"),
        ("SREOPS_PORT__X", "SREOPS_PORT"),
        ("SREOPS_WEB_PORT", "SREOPS_PORT"),  # no link of Kubernetes': it holds a number
    ],
)
def test_a_slip_stops_the_start_and_names_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, given: str, meant: str
) -> None:
    monkeypatch.setenv(given, "8080")
    said = problems()
    assert given.upper() in said
    assert f"did you mean {meant}?" in said
    assert "8080" not in said


def test_what_is_like_no_setting_is_told_where_all_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_COFFEE", "black")
    assert "docs/settings.md" in problems()


def test_a_slip_in_the_env_file_names_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTHER=1\nSREOPS_LOKI_URL=http://loki:3100\n")
    said = problems()
    assert ".env: SREOPS_LOKI_URL" in said
    assert "OTHER" not in said
    load_settings(_env_file=None)


def test_a_slip_within_a_group_that_is_given_as_json_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_GITLAB", '{"urll": "http://gitlab", "token": "glpat-secret"}')
    said = problems()
    assert "SREOPS_GITLAB: its JSON holds 'urll'" in said
    assert "did you mean SREOPS_GITLAB__URL?" in said
    assert "glpat-secret" not in said


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_LOKI_URL", "x")
    monkeypatch.setenv("SREOPS_PROMETHEUS__URL", "nonsense")
    said = problems()
    assert "SREOPS_LOKI_URL" in said
    assert "SREOPS_PROMETHEUS__URL" in said


KUBERNETES = {
    "SREOPS_SERVICE_HOST": "10.0.0.11",
    "SREOPS_SERVICE_PORT": "8080",
    "SREOPS_SERVICE_PORT_HTTP": "8080",
    "SREOPS_PORT": "tcp://10.0.0.11:8080",
    "SREOPS_PORT_8080_TCP": "tcp://10.0.0.11:8080",
    "SREOPS_PORT_8080_TCP_PROTO": "tcp",
    "SREOPS_PORT_8080_TCP_PORT": "8080",
    "SREOPS_PORT_8080_TCP_ADDR": "10.0.0.11",
    "SREOPS_POSTGRES_SERVICE_HOST": "10.0.0.12",
    "SREOPS_POSTGRES_PORT": "tcp://10.0.0.12:5432",
}


def test_what_kubernetes_puts_there_is_a_warning_and_sets_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    assert load_settings().port == 8080
    told = passed_over()
    assert len(told) == len(KUBERNETES)
    assert all("Kubernetes" in sentence for sentence in told)
    (tmp_path / ".env").write_text("SREOPS_PORT=9000\n")
    assert load_settings().port == 9000, "the file's own port holds"


@pytest.mark.parametrize(("name", "value"), [("SREOPS_PORT", "8080"), ("SREOPS_HOST", "0.0.0.0")])
def test_a_setting_is_not_taken_for_kubernetes_own(name: str, value: str) -> None:
    assert not put_there_by_kubernetes(name, value)


def test_every_setting_of_0_1_is_still_one_or_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    known = set(setting_names(Settings))
    gone = [name for name in OF_0_1 if name not in known]
    assert [name for name in gone if name not in RETIRED] == []
    for name in gone:
        monkeypatch.setenv(name, "1")
    load_settings()
    assert [sentence.split()[0] for sentence in passed_over()] == gone


def test_no_setting_is_named_like_what_is_passed_over() -> None:
    known = set(setting_names(Settings))
    assert not [name for name in known if name.startswith(OF_OUR_TOOLS)]
    assert not [name for name in known if put_there_by_kubernetes(name, "8080")]
    assert read_names(dict.fromkeys(known, "{}"), Settings).problems == ()


def test_a_key_of_a_table_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREOPS_TOPOLOGY", '{"web": ["db"]}')
    monkeypatch.setenv("SREOPS_MCP__SERVERS__grafana", '{"url": "http://mcp:8000/mcp", "tools": ["*"]}')
    assert load_settings().topology == {"web": ("db",)}
