"""The files that deploy sreops: what Compose, Grafana and the image need of each other, and what must not get in.

Field names of Grafana's files are those of its documentation and of its own reader
(pkg/services/provisioning/alerting/*_types.go, docs/sources/alerting/…/file-provisioning).
"""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from deployment import DEPLOY, PROVISIONING, ROOT, alert_rules, compose, image, read_yaml, settings_of
from sreops.app.exposure import guard_exposure
from sreops.domain.alerts.alert import Severity, Tier
from sreops.domain.alerts.routing import route
from sreops.domain.alerts.webhook import parse_webhook
from sreops.domain.evidence.identity import identity_of
from sreops.domain.evidence.log_selection import selectors
from sreops.domain.evidence.metric_selection import metric_selectors
from sreops.errors import SettingsInvalid
from sreops.settings import Settings

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
SECRET = re.compile(r"TOKEN|PASSWORD|SECRET|API_KEY")
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(:[-?+][^}]*)?\}")
SOCKET = "/var/run/docker.sock"


# --- Compose


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_one_release(name: str) -> None:
    image_name = SERVICES[name]["image"]
    if "build" in SERVICES[name]:
        assert image_name == "sreops:local"
        return
    assert re.search(r":v?\d+\.\d+\.\d+(-[a-z0-9.-]+)?$", image_name), image_name


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "restart"} <= service.keys()
    assert service["logging"]["options"]["max-size"]
    brings_its_own = name in ("cadvisor", "gitlab", "sreops")  # in the image
    assert ("healthcheck" in service) is not brings_its_own


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")
    assert SERVICES[name].get("network_mode") is None
    assert not SERVICES[name].get("ports") or "outside" in SERVICES[name]["networks"]  # or it is not reachable


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for volume in service.get("volumes", []):
        source, target = volume.split(":")[:2]
        yield source, target


def test_only_the_proxies_have_the_engines_socket() -> None:
    having = {name for name, service in SERVICES.items() if any(SOCKET in mount for mount in mounts(service))}
    assert having == {"docker-proxy", "docker-reader"}
    for name in having:
        assert SERVICES[name]["read_only"]
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert "ports" not in SERVICES[name]


def test_who_may_act_on_the_engine_is_alone_with_its_proxy() -> None:
    members = {
        network: {name for name, service in SERVICES.items() if network in service["networks"]}
        for network in compose()["networks"]
    }
    assert members["docker-act"] == {"docker-proxy", "sreops"}
    assert members["docker-read"] == {"docker-reader", "alloy", "cadvisor"}
    assert SERVICES["docker-proxy"]["networks"] == ["docker-act"]
    assert SERVICES["docker-reader"]["networks"] == ["docker-read"]
    for name, network in compose()["networks"].items():
        assert network.get("internal", False) is (name != "outside")


def test_only_the_proxy_of_sreops_lets_effects_pass_and_scaling_is_off() -> None:
    assert SERVICES["docker-proxy"]["environment"]["ALLOW_ACT"] == "1"
    switches = {"ALLOW_STOP", "ALLOW_EXEC", "ALLOW_COMPOSE_SCALING", "ALLOW_SWARM_SCALING", "ALLOW_SWARM_ROLLBACK"}
    for switch in switches:
        assert SERVICES["docker-proxy"]["environment"][switch] == f"${{{switch}:-0}}"
    assert {"ALLOW_ACT", *switches}.isdisjoint(SERVICES["docker-reader"]["environment"])


def test_what_is_waited_for_has_a_health_check() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[needed]


def test_what_is_mounted_exists() -> None:
    named = compose()["volumes"].keys()
    for service in SERVICES.values():
        for source, _ in mounts(service):
            assert source.startswith("/") or source in named or (ROOT / source).exists(), source


def test_the_small_compose_file_runs_the_same_proxy_and_mounts_what_is_there() -> None:
    small = read_yaml(DEPLOY / "compose.minimal.yaml")["services"]
    assert small["docker-proxy"]["image"] == SERVICES["docker-proxy"]["image"]
    assert small["docker-proxy"]["healthcheck"]["test"] == SERVICES["docker-proxy"]["healthcheck"]["test"]
    for service in small.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        for source, _ in mounts(service):
            assert source.startswith("/") or source == "sreops" or (DEPLOY / source).exists(), source
    fixed = settings_of(small["sreops"]["environment"])
    assert fixed["SREOPS_RUNBOOKS"] in dict(map(reversed, mounts(small["sreops"])))


def test_no_secret_is_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name):
                assert VARIABLE.fullmatch(str(value)), name


def env_example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_env_example_names_every_variable_and_holds_no_secret() -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert {found[0] for found in VARIABLE.findall(text)} == env_example().keys()
    assert not [name for name, value in env_example().items() if SECRET.search(name) and value]
    # a sreops in this directory reads .env too: these must not be its settings
    assert not settings_of(env_example())
    assert "ANTHROPIC_API_KEY" not in env_example()


def test_new_env_makes_secrets_once(tmp_path: Any) -> None:
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "new-env"
    script.write_text((DEPLOY / "new-env").read_text())
    (tmp_path / ".env.example").write_text((ROOT / ".env.example").read_text())
    made = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    env = tmp_path / ".env"
    assert env.stat().st_mode & 0o077 == 0
    values = dict(line.split("=", 1) for line in env.read_text().splitlines() if line and not line.startswith("#"))
    assert values.keys() == env_example().keys()
    secrets = [values[name] for name in ("WEBHOOK_TOKEN", "API_TOKEN", "GRAFANA_PASSWORD", "GITLAB_ROOT_PASSWORD")]
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in secrets)
    assert len(set(secrets)) == 4
    assert values["MODEL_API_KEY"] == ""
    before = env.read_text()
    again = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert ".env is there already" in again.stderr
    assert env.read_text() == before
    assert sorted(path.name for path in tmp_path.glob(".env*")) == [".env", ".env.example"]


def fields(model: type[BaseModel], prefix: str = "SREOPS_") -> Iterator[str]:
    for name, info in model.model_fields.items():
        nested = info.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from fields(nested, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}"


def test_every_setting_that_is_set_exists() -> None:
    assert settings_of(SERVICES["sreops"]["environment"]).keys() <= set(fields(Settings))
    assert settings_of(image().env).keys() <= set(fields(Settings))


def test_optional_settings_may_stay_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings_of(SERVICES["sreops"]["environment"]).items():
        filled = VARIABLE.sub(lambda found: (found[2] or "")[2:] if (found[2] or "").startswith(":-") else "", value)
        monkeypatch.setenv(name, "x" * 20 if ":?" in value else filled)
    settings = Settings()
    guard_exposure(settings)
    assert settings.kafka.bootstrap_servers == "redpanda:9092"
    assert settings.docker.host == "tcp://docker-proxy:2375"
    assert settings.llm_api_key is None
    assert settings.gitlab.url is None
    assert settings.grafana.url is None
    assert settings.dry_run is False


def test_compose_mounts_the_runbooks_where_the_image_reads_them() -> None:
    assert ("./runbooks.yaml", image().env["SREOPS_RUNBOOKS"]) in mounts(SERVICES["sreops"])


# --- the image


def test_the_image_is_one_process_that_is_not_root() -> None:
    made = image()
    assert made.entrypoint == ["python", "-m", "sreops"]
    assert made.stop_signal == "SIGTERM"
    uid, _, gid = made.user.partition(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    assert made.volume == made.env["SREOPS_DATA_DIR"] == "/data"
    assert made.healthcheck[:2] == ["python", "-c"]
    assert "/livez" in made.healthcheck[2]
    assert len(set(made.bases)) == 1
    assert SERVICES["payments"]["image"] == made.bases[0]


def test_the_runbooks_that_the_image_names_are_in_it() -> None:
    assert f"COPY runbooks.yaml {image().env['SREOPS_RUNBOOKS']}\n" in (ROOT / "Dockerfile").read_text()


def test_the_image_refuses_to_serve_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings_of(image().env).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SREOPS_RUNBOOKS", str(ROOT / "runbooks.yaml"))  # the file that the image holds at its path
    with pytest.raises(SettingsInvalid) as refused:
        guard_exposure(Settings())
    assert len(refused.value.problems) == 2


def test_sreops_has_time_to_stop() -> None:
    grace = SERVICES["sreops"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > Settings.model_fields["shutdown_grace_s"].default


def test_the_build_context_is_an_allowlist() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = [line[1:] for line in lines if line.startswith("!")]
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M))
    assert {part for line in copied for part in line.split()} == set(allowed)
    assert not any(fnmatch.fnmatch(".env", pattern) for pattern in allowed)


def constraints() -> dict[str, str]:
    lines = (DEPLOY / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def hashed(*names: str) -> dict[str, tuple[str, int]]:
    """Return name -> version and number of hashes of what these files install."""
    text = "".join((DEPLOY / "requirements" / f"{name}.txt").read_text() for name in names)
    entries = re.findall(r"^([a-z0-9._-]+)==(\S+)[^\n]*\n((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)*)", text, re.M)
    assert len(entries) == len(re.findall(r"^\S+==", text, re.M))
    return {canonicalize_name(name): (version, hashes.count("--hash")) for name, version, hashes in entries}


def test_all_that_the_image_installs_is_pinned_with_hashes_and_so_is_its_build_backend() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    backend = [Requirement(line).name for line in system["requires"]]
    for name in ("base", "postgres", "mcp", "build"):
        assert all(count for _, count in hashed(name).values())
    assert {*backend, "cyclonedx-bom"} <= hashed("build").keys()
    for command in image().runs:
        for install in re.findall(r"pip install ([^&]*)", command):
            assert "--require-hashes" in install or ("--no-deps" in install and "--no-index" in install), install


def test_the_image_s_layers_of_dependencies_come_before_the_source() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.index('--require-hashes "$@"') < text.index("COPY pyproject.toml") < text.index("COPY src")


def test_the_image_is_built_from_versions_that_pyproject_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = constraints()
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["postgres"], *extras["mcp"]]
    for requirement in map(Requirement, wanted):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name}: run deploy/freeze"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} is not {version}: deploy/freeze"
        )
    assert pinned == {name: version for name, (version, _) in hashed("base", "postgres", "mcp").items()}
    development = {canonicalize_name(Requirement(line).name) for line in extras["dev"]}
    assert not (development - {"cryptography"}) & pinned.keys()  # joserfc needs that one when it runs


# --- Grafana

RULES = alert_rules()
RULE_FIELDS = {"uid", "title", "condition", "data", "dashboardUid", "panelId", "noDataState", "execErrState", "for"} | {
    "keepFiringFor", "missing_series_evals_to_resolve", "annotations", "labels", "isPaused", "notification_settings",
    "record",
}  # fmt: skip
POLICY_FIELDS = {"orgId", "receiver", "group_by", "matchers", "object_matchers", "mute_time_intervals"} | {
    "active_time_intervals", "group_wait", "group_interval", "repeat_interval", "continue", "routes",
}  # fmt: skip
WEBHOOK_FIELDS = {"url", "httpMethod", "username", "password", "authorization_scheme", "authorization_credentials"} | {
    "maxAlerts", "title", "message", "headers", "hmacConfig", "tlsConfig", "payload", "http_config",
}  # fmt: skip


def seconds(duration: str) -> int:
    found = re.fullmatch(r"(\d+)(s|m|h)", duration)
    assert found, f"{duration!r} is not a duration as Grafana writes them"
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def data_sources() -> dict[str, dict[str, Any]]:
    read = read_yaml(PROVISIONING / "datasources" / "datasources.yaml")
    assert read["apiVersion"] == 1
    return {source["uid"]: source for source in read["datasources"]}


def test_data_sources_are_the_services_of_this_compose_file() -> None:
    found = data_sources()
    assert {source["type"] for source in found.values()} == {"prometheus", "loki"}
    assert [uid for uid, source in found.items() if source["isDefault"]] == ["prometheus"]
    for source in found.values():
        assert source["access"] == "proxy"
        assert share_a_network("grafana", host_of(source["url"]))


def test_rule_groups_are_whole() -> None:
    read = read_yaml(PROVISIONING / "alerting" / "rules.yaml")
    assert read.keys() == {"apiVersion", "groups"}
    assert read["apiVersion"] == 1
    for group in read["groups"]:
        assert group.keys() == {"orgId", "name", "folder", "interval", "rules"}
        assert seconds(group["interval"]) % 10 == 0  # Grafana's scheduler ticks every 10 s


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
def test_a_rule_is_one_that_grafana_takes(rule: dict[str, Any]) -> None:
    assert rule.keys() <= RULE_FIELDS
    assert {"uid", "title", "condition", "data", "for"} <= rule.keys()
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", rule["uid"])
    seconds(rule["for"])
    # no data, or a query that fails, is no proof of recovery, and no alert about this service
    assert rule["noDataState"] == rule["execErrState"] == "KeepLast"
    queries = {query["refId"]: query for query in rule["data"]}
    assert len(queries) == len(rule["data"])
    assert queries[rule["condition"]]["datasourceUid"] == "__expr__"
    assert queries[rule["condition"]]["model"]["type"] == "threshold"
    for ref_id, query in queries.items():
        assert query.keys() == {"refId", "relativeTimeRange", "datasourceUid", "model"}
        assert query["relativeTimeRange"]["from"] > query["relativeTimeRange"]["to"] >= 0
        model = query["model"]
        assert model["refId"] == ref_id
        assert model["datasource"]["uid"] == query["datasourceUid"]
        if query["datasourceUid"] == "__expr__":
            assert model["expression"] in queries.keys() - {ref_id}
            for condition in model["conditions"]:
                assert condition["evaluator"]["type"] in ("gt", "lt")
                assert len(condition["evaluator"]["params"]) == 1
        else:
            source = data_sources()[query["datasourceUid"]]
            assert model["datasource"]["type"] == source["type"]
            # a threshold takes numbers, so no series: an instant query
            assert (model["instant"], model["range"]) == (True, False)
            assert model["expr"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
def test_labels_are_not_taken_for_variables_of_the_environment(rule: dict[str, Any]) -> None:
    for value in rule["labels"].values():
        assert not re.search(r"(?<!\$)\$(?!\$)", value), f"{value}: Grafana expands $NAME in labels, write $$"
    for value in rule["annotations"].values():
        assert "${" not in value


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
def test_an_alert_of_a_rule_reaches_the_example_service(rule: dict[str, Any]) -> None:
    labels = {**rule["labels"], "alertname": rule["title"], "grafana_folder": "sreops"}
    payload = {
        "version": "1",
        "receiver": "sreops",
        "status": "firing",
        "orgId": 1,
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": rule["annotations"],
                "startsAt": "2026-11-23T03:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": "c6eadffa33fcdf37",
                "values": {"A": 0.93, "B": 1},
            }
        ],
    }
    received_at = datetime(2026, 11, 23, 3, 1, tzinfo=UTC)
    parsed = parse_webhook(json.loads(json.dumps(payload)), received_at=received_at, mint=lambda: "event")
    (event,) = parsed.events
    assert not event.warnings
    assert event.service == SERVICES["payments"]["container_name"] == labels["container"]
    assert event.severity in (Severity.critical, Severity.warning)
    assert event.tier in (Tier.autonomous, Tier.supervised)
    assert route(event.tier, event.severity) in ("sre-critical", "sre-warning")
    # and from there its logs and metrics are found by the labels that Alloy, cAdvisor and the service itself give
    who = identity_of(event, None)
    assert {"container": "/?payments"} in [one.patterns for one in selectors(who, event.labels, alloy_labels())]
    asked = [one.labels for one in metric_selectors(who, event.labels, None)]
    assert {"service": "payments"} in asked
    assert {"name": "payments"} in asked


def test_notices_go_to_sreops_with_its_token() -> None:
    points = read_yaml(PROVISIONING / "alerting" / "contact-points.yaml")
    policies = read_yaml(PROVISIONING / "alerting" / "notification-policies.yaml")
    assert points.keys() == {"apiVersion", "contactPoints"}
    assert policies.keys() == {"apiVersion", "policies"}
    (point,), (policy,) = points["contactPoints"], policies["policies"]
    assert policy.keys() <= POLICY_FIELDS
    assert policy["receiver"] == point["name"]
    assert set(policy["group_by"]) >= {"alertname", "container"}
    # Grafana does not repeat a webhook that failed before the next group interval
    assert seconds(policy["group_wait"]) <= 10
    assert seconds(policy["group_interval"]) <= 60
    assert seconds(policy["repeat_interval"]) % seconds(policy["group_interval"]) == 0
    (receiver,) = point["receivers"]
    assert receiver.keys() == {"uid", "type", "disableResolveMessage", "settings"}
    assert receiver["type"] == "webhook"
    assert receiver["disableResolveMessage"] is False
    settings = receiver["settings"]
    assert settings.keys() <= WEBHOOK_FIELDS
    assert settings["url"] == f"http://sreops:{image().env['SREOPS_PORT']}/alerts"
    assert settings["httpMethod"] == "POST"
    assert settings["authorization_scheme"] == "Bearer"
    (variable,) = re.findall(r"^\$\{(\w+)\}$", settings["authorization_credentials"])
    given, taken = SERVICES["grafana"]["environment"][variable], SERVICES["sreops"]["environment"]
    assert given == taken["SREOPS_WEBHOOK__TOKEN"]
    assert share_a_network("grafana", "sreops")


# --- what is scraped and shipped


def host_of(address: str) -> str:
    return address.removeprefix("http://").partition(":")[0]


def share_a_network(one: str, other: str) -> bool:
    return bool(set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"]))


def test_prometheus_reaches_what_it_scrapes() -> None:
    jobs = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"][0] for job in jobs}
    assert {"cadvisor", "payments", "sreops"} <= targets.keys()
    for target in targets.values():
        assert host_of(target) == "127.0.0.1" or share_a_network("prometheus", host_of(target))


def alloy() -> str:
    return (DEPLOY / "alloy" / "config.alloy").read_text()


def alloy_labels() -> set[str]:
    return set(re.findall(r'target_label\s*=\s*"(\w+)"', alloy())) | {"job"}


def test_alloy_ships_lines_under_the_labels_that_sreops_selects_by() -> None:
    assert alloy_labels() == {"container", "compose_service", "service", "job"}
    hosts = set(re.findall(r'"(?:tcp|http)://([a-z-]+):\d+', alloy()))
    assert hosts == {"docker-reader", "loki"}
    assert all(share_a_network("alloy", host) for host in hosts)
    assert read_yaml(DEPLOY / "loki" / "loki.yaml")["server"]["http_listen_port"] == 3100


def test_the_example_service_needs_the_standard_library_only() -> None:
    source = (DEPLOY / "example" / "payments.py").read_text()
    imported = set(re.findall(r"^(?:import|from) ([a-z_]+)", source, re.M))
    assert imported <= sys.stdlib_module_names
