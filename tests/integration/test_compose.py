"""What deploys sreops, given to the real programs that will read it; the images themselves can't be pulled here."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployment import DEPLOY, ROOT, alert_rules, compose, image
from servers.dockerd import Dockerd
from servers.installed import path_of
from servers.ports import free_port
from servers.waiting import poll

NEEDED = {"WEBHOOK_TOKEN": "w", "API_TOKEN": "a", "GRAFANA_PASSWORD": "g"}
SECOND = 1_000_000_000


def ran(*command: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def resolved(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config` with these variables and no .env of this machine."""
    return ran(
        path_of("compose"), "--env-file", "/dev/null", "-f", ROOT / "compose.yaml", *arguments, env=NEEDED | variables
    )


# --- Compose


@pytest.mark.needs("compose")
def test_compose_takes_the_file() -> None:
    told = resolved("config", "--format", "json")
    assert told.returncode == 0, told.stderr
    assert "level=warning" not in told.stderr
    services = json.loads(told.stdout)["services"]
    assert "gitlab" not in services
    assert services.keys() == compose()["services"].keys() - {"gitlab"}
    environment = services["sreops"]["environment"]
    assert environment["SREOPS_WEBHOOK__TOKEN"] == services["grafana"]["environment"]["SREOPS_WEBHOOK_TOKEN"] == "w"
    assert environment["SREOPS_GRAFANA__URL"] == ""
    for service in services.values():
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}


@pytest.mark.needs("compose")
def test_gitlab_comes_with_its_profile_only() -> None:
    told = resolved("--profile", "gitlab", "config", "--services")
    assert told.returncode == 0, told.stderr
    assert "gitlab" in told.stdout.split()


@pytest.mark.needs("compose")
@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_secret_is_said_with_its_cure(missing: str) -> None:
    told = resolved("config", **{missing: ""})
    assert told.returncode != 0
    assert missing in told.stderr
    assert "deploy/new-env" in told.stderr


@pytest.mark.needs("compose")
def test_a_grafana_token_brings_its_address_with_it() -> None:
    told = resolved("config", "--format", "json", GRAFANA_TOKEN="glsa_x")
    assert json.loads(told.stdout)["services"]["sreops"]["environment"]["SREOPS_GRAFANA__URL"] == "http://grafana:3000"


def minimal(settings: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return ran(
        path_of("compose"), "--env-file", settings, "-f", DEPLOY / "compose.minimal.yaml", "config", "--format", "json",
        env={"SETTINGS_FILE": str(settings), **variables},
    )  # fmt: skip


@pytest.mark.needs("compose")
def test_beside_a_stack_that_is_there_come_only_sreops_and_the_proxy_on_its_network(tmp_path: Path) -> None:
    settings = tmp_path / ".env"
    settings.write_text(
        "NETWORK=monitoring\nSREOPS_WEBHOOK__TOKEN='w $HOME #'\nSREOPS_API_TOKEN=a\nSREOPS_PORT=9000\n"
        "SREOPS_DOCKER__HOST=unix:///var/run/docker.sock\nSREOPS_LOKI__URL=http://loki:3100\n"
    )
    told = minimal(settings)
    assert told.returncode == 0, told.stderr
    assert "level=warning" not in told.stderr
    made = json.loads(told.stdout)
    services, sreops = made["services"], made["services"]["sreops"]
    assert services.keys() == {"sreops", "docker-proxy"}
    assert made["networks"]["yours"] == {"name": "monitoring", "ipam": {}, "external": True}
    assert made["networks"]["docker-act"]["internal"] is True
    assert sreops["networks"].keys() == {"yours", "docker-act"}
    assert services["docker-proxy"]["networks"].keys() == {"docker-act"}
    given = sreops["environment"]
    assert given["SREOPS_WEBHOOK__TOKEN"].replace("$$", "$") == "w $HOME #"
    assert (given["SREOPS_PORT"], given["SREOPS_DOCKER__HOST"]) == ("8080", "tcp://docker-proxy:2375")
    assert given["SREOPS_LOKI__URL"] == "http://loki:3100"
    allowed = services["docker-proxy"]["environment"]
    assert {name for name in allowed if name.startswith("ALLOW_")} == {"ALLOW_ACT"}, "restart and start only"
    [port] = sreops["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8080", 8080)
    moved = json.loads(minimal(settings, PUBLISHED_PORT="10.0.0.1:80").stdout)["services"]["sreops"]["ports"][0]
    assert (moved["host_ip"], moved["published"]) == ("10.0.0.1", "80")


@pytest.mark.needs("compose")
def test_the_network_must_be_named(tmp_path: Path) -> None:
    settings = tmp_path / ".env"
    settings.write_text("")
    told = minimal(settings)
    assert told.returncode != 0
    assert "docker network ls" in told.stderr


# --- Loki and Prometheus


@pytest.mark.needs("loki")
def test_loki_takes_its_file_and_has_the_health_check(tmp_path: Path) -> None:
    loki = path_of("loki")
    told = ran(loki, f"-config.file={DEPLOY / 'loki' / 'loki.yaml'}", "-verify-config")
    assert told.returncode == 0, told.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((DEPLOY / "loki" / "loki.yaml").read_text().replace("retention_period:", "retention_perod:"))
    assert ran(loki, f"-config.file={wrong}", "-verify-config").returncode != 0  # so that the above says something
    # nothing listens there: that it says so, and not "flag provided but not defined", is what the check rests on
    check = compose()["services"]["loki"]["healthcheck"]["test"]
    unhealthy = ran(loki, *check[2:-1], f"-health.url=http://127.0.0.1:{free_port()}/ready")
    assert unhealthy.returncode == 1
    assert "Health check failed" in unhealthy.stderr


@pytest.mark.needs("prometheus")
def test_prometheus_takes_its_file() -> None:
    told = ran("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.needs("prometheus")
def test_the_queries_of_grafanas_rules_are_promql(tmp_path: Path) -> None:
    expressions = [
        query["model"]["expr"] for rule in alert_rules() for query in rule["data"] if "expr" in query["model"]
    ]
    rules = [{"record": f"expr:number_{at}", "expr": expression} for at, expression in enumerate(expressions)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "grafana", "rules": rules}]}))  # JSON is YAML
    told = ran("promtool", "check", "rules", file)
    assert told.returncode == 0, told.stdout + told.stderr
    assert len(rules) == len(alert_rules())


# --- the image's terms: not root, nothing writable but /data, its own health check


def binds(*paths: str) -> list[str]:
    return [f"{path}:{path}:ro" for path in paths if Path(path).exists()]


def libraries_of_the_base_image() -> list[str]:
    """The shared libraries that Debian's slim Python has, and the test's root file system may not."""
    found = ran("/sbin/ldconfig", "-p").stdout
    names: tuple[str, ...] = (
        "libstdc++.so.6",
        "libgcc_s.so.1",
        "libz.so.1",
    )  # and glibc's own, whichever wheels ask for
    names += tuple(f"lib{part}" for part in ("c.so.6", "m.so.6", "dl.so.2", "rt.so.1", "pthread.so.0", "util.so.1"))
    places = {name: path for name, path in re.findall(r"^\s+(\S+) \(libc6,(?!x32).* => (\S+)$", found, re.M)}
    return binds(*(places[name] for name in names if name in places))


@contextlib.contextmanager
def container_as_the_image_says(dockerd: Dockerd, **settings: str) -> Iterator[tuple[str, str]]:
    """Run sreops of this environment in a container under the Dockerfile's and compose.yaml's terms; id and URL."""
    made, port = image(), free_port()
    uid, gid = map(int, made.user.split(":"))
    packages = sysconfig.get_path("purelib")
    with tempfile.TemporaryDirectory(prefix="sreops-data-") as data:
        os.chown(data, uid, gid)
        container = dockerd.run_container(
            dockerd.import_python_image(),
            [],
            env={
                **made.env,
                "PATH": "/usr/local/bin:/usr/bin:/bin",  # the interpreter of the test's root file system
                "PYTHONPATH": f"{ROOT / 'src'}:{packages}",
                "SREOPS_PORT": str(port),
                **settings,
            },
            healthcheck={
                "Test": ["CMD", *made.healthcheck],
                "Interval": SECOND,
                "Timeout": 5 * SECOND,
                "StartPeriod": 20 * SECOND,
                "Retries": 3,
            },
            config={"Entrypoint": made.entrypoint, "Cmd": None, "User": made.user, "WorkingDir": made.workdir}
            | {"StopSignal": made.stop_signal},
            host_config={
                "Binds": [
                    f"{data}:/data",
                    f"{ROOT / 'runbooks.yaml'}:{made.env['SREOPS_RUNBOOKS']}:ro",
                    *binds(packages, str(ROOT / "src")),
                    *libraries_of_the_base_image(),
                ],
                "ReadonlyRootfs": True,
                "Tmpfs": {"/tmp": ""},
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges:true"],
            },
        )
        try:
            yield container, f"http://127.0.0.1:{port}"
        finally:
            dockerd.remove(container)


def state(dockerd: Dockerd, container: str) -> dict[str, Any]:
    shown: dict[str, Any] = dockerd.inspect(container)["State"]
    return shown


@pytest.mark.needs("docker")
@pytest.mark.skipif(sys.platform != "linux", reason="containers share this machine's libraries")
def test_sreops_serves_as_nobody_with_nothing_writable_but_data(dockerd: Dockerd) -> None:
    with container_as_the_image_says(
        dockerd, SREOPS_WEBHOOK__TOKEN="hook", SREOPS_API_TOKEN="api", SREOPS_SHUTDOWN_GRACE_S="3"
    ) as (container, url):
        poll(
            lambda: (
                state(dockerd, container)["Health"]["Status"] == "healthy" or not state(dockerd, container)["Running"]
            ),
            60,
            what="the image's own health check to pass",
        )
        assert state(dockerd, container)["Running"], dockerd.logs(container)
        labels = {"alertname": "A", "container": "payments", "severity": "critical", "tier": "autonomous"}
        alert = {"version": "1", "alerts": [{"status": "firing", "labels": labels, "fingerprint": "f"}]}
        assert httpx.post(f"{url}/alerts", json=alert, timeout=10).status_code == 401
        taken = httpx.post(f"{url}/alerts", json=alert, timeout=10, headers={"Authorization": "Bearer hook"})
        assert taken.status_code == 202, taken.text
        api = {"Authorization": "Bearer api"}
        poll(
            lambda: httpx.get(f"{url}/api/incidents", timeout=10, headers=api).json()["items"],
            30,
            what="the incident to be there",
        )
        dockerd.stop_container(container, timeout_s=15)
        ended = state(dockerd, container)
        assert ended["ExitCode"] == 0, dockerd.logs(container)  # on SIGTERM, and not killed


@pytest.mark.needs("docker")
def test_without_credentials_the_container_ends_and_says_what_to_set(dockerd: Dockerd) -> None:
    with container_as_the_image_says(dockerd) as (container, _):
        poll(lambda: not state(dockerd, container)["Running"], 60, what="the container to end")
        assert state(dockerd, container)["ExitCode"] == 2
        told = dockerd.logs(container)
        assert "SREOPS_WEBHOOK__TOKEN" in told
        assert "SREOPS_API_TOKEN" in told
        assert "Traceback" not in told


# --- the service to break


@contextlib.contextmanager
def payments(dockerd: Dockerd, **env: str) -> Iterator[tuple[str, str]]:
    """The example service as compose.yaml runs it, on a port of its own; id and URL."""
    service, port = compose()["services"]["payments"], free_port()
    check = [part.replace(":8000/", f":{port}/") for part in service["healthcheck"]["test"]]
    limit = int(service["mem_limit"].removesuffix("m")) * 1024 * 1024
    script = DEPLOY / "example" / "payments.py"
    container = dockerd.run_container(
        dockerd.import_python_image(),
        service["command"],
        labels=service["labels"],
        env={"PORT": str(port), "HOST": "127.0.0.1", **env},
        healthcheck={"Test": check, "Interval": SECOND, "Timeout": 4 * SECOND, "Retries": 3},
        config={"User": service["user"]},
        host_config={
            "Binds": [f"{script}:/app/payments.py:ro"],
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "Memory": limit,
            "MemorySwap": limit,
        },
    )
    try:
        poll(lambda: health(dockerd, container) == "healthy", 30, what="payments to be well")
        yield container, f"http://127.0.0.1:{port}"
    finally:
        dockerd.remove(container)


def health(dockerd: Dockerd, container: str) -> str:
    status: str = state(dockerd, container)["Health"]["Status"]
    return status


def failed(url: str) -> float:
    text = httpx.get(f"{url}/metrics", timeout=5).text
    (count,) = re.findall(r'http_requests_total\{service="payments",status="500"\} (\d+)', text)
    return float(count)


@pytest.mark.needs("docker")
def test_the_leak_nears_its_limit_and_a_restart_cures_it(dockerd: Dockerd) -> None:
    with payments(dockerd) as (container, url):
        assert failed(url) == 0
        assert httpx.post(f"{url}/break", timeout=5).status_code == 200

        def used() -> float:
            (stats,) = [dockerd.api.get(f"/containers/{container}/stats", params={"stream": 0, "one-shot": 1}).json()]
            memory = stats["memory_stats"]
            inactive = memory["stats"].get("inactive_file", memory["stats"].get("total_inactive_file", 0))
            return float((memory["usage"] - inactive) / memory["limit"])

        (rule,) = [rule for rule in alert_rules() if rule["uid"] == "payments-memory"]
        threshold = rule["data"][1]["model"]["conditions"][0]["evaluator"]["params"][0]
        poll(lambda: used() > threshold, 60, what="the working set to pass the alert's threshold")
        poll(lambda: health(dockerd, container) == "unhealthy", 30, what="the health check to notice")
        poll(lambda: "memory usage is high" in dockerd.logs(container), 30, what="the leak to be full")
        assert failed(url) > 0
        assert "MemoryError" in dockerd.logs(container)
        shown = state(dockerd, container)
        assert shown["Running"]
        assert not shown["OOMKilled"]  # it is for sreops to end it, not for the kernel
        dockerd.restart_container(container, timeout_s=5)
        poll(lambda: health(dockerd, container) == "healthy", 30, what="the restart to cure it")
        assert used() < 0.5
        assert failed(url) == 0


@pytest.mark.needs("docker")
def test_the_other_ways_to_break_it(dockerd: Dockerd) -> None:
    with payments(dockerd) as (container, url):
        assert httpx.post(f"{url}/break?how=nonsense", timeout=5).status_code == 404
        assert httpx.post(f"{url}/break?how=errors", timeout=5).status_code == 200
        poll(lambda: failed(url) > 2, 20, what="requests to fail")
        httpx.post(f"{url}/break?how=exit", timeout=5)
        poll(lambda: not state(dockerd, container)["Running"], 20, what="it to end")
        assert state(dockerd, container)["ExitCode"] == 1
        assert compose()["services"]["payments"]["restart"] == "no"
