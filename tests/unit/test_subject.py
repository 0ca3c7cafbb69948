"""Who is unwell is read from the labels of real tools: never the exporter, never a placeholder, never a stranger."""

import json
import re

import pytest

from development_cases import ABSENT, CASES
from sreops.domain.alerts.exporters import exporter_of
from sreops.domain.alerts.subject import Subject, SubjectKind, subject_as_sent, subject_of

ID = "/docker/" + "a" * 64
TASK = "k3jx0a9mq1w2e3r4t5y6u7i8o"


def subject(alertname: str = "Broken", order: tuple[str, ...] | None = None, **labels: str) -> Subject:
    given = {"alertname": alertname, "severity": "critical", **labels}
    return subject_of(given, alertname, order) if order else subject_of(given, alertname)


def of(labels: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    found = subject_of({"alertname": "Broken", **labels}, "Broken")
    return found.name, found.kind.value, found.scope


CADVISOR = {"job": "cadvisor", "instance": "cadvisor:8080", "image": "registry/x:1", "id": ID}
COMPOSE = {
    "container_label_com_docker_compose_project": "shop",
    "container_label_com_docker_compose_service": "payments",
}
KSM = {
    "job": "kube-state-metrics",
    "service": "mon-kube-state-metrics",
    "endpoint": "http",
    "instance": "10.244.1.17:8080",
}
KSM_POD = {"container": "kube-rbac-proxy-main", "pod": "mon-kube-state-metrics-7d9c5b8f4-x2kqz"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(
            {"name": "shop-payments-1", **CADVISOR, **COMPOSE},
            ("shop-payments-1", "container", {"compose_project": "shop"}),
            id="cAdvisor, Compose",
        ),
        pytest.param(
            {**CADVISOR, **COMPOSE},
            ("payments", "compose_service", {"compose_project": "shop"}),
            id="cAdvisor, Compose, the name aggregated away",
        ),
        pytest.param(
            {
                "name": f"prod_api.2.{TASK}",
                "container_label_com_docker_swarm_service_name": "prod_api",
                "container_label_com_docker_stack_namespace": "prod",
                **CADVISOR,
            },
            ("prod_api", "swarm_service", {"swarm_stack": "prod"}),
            id="cAdvisor, Swarm",
        ),
        pytest.param(
            {"name": f"prod_api.2.{TASK}", **CADVISOR},
            ("prod_api", "swarm_service", {}),
            id="cAdvisor, Swarm, without labels",
        ),
        pytest.param(
            {**CADVISOR, "name": "db", "instance": "h1:8080"},
            ("db", "container", {"host": "h1"}),
            id="cAdvisor of several hosts",
        ),
        pytest.param(
            {**CADVISOR, "name": "db", "instance": "10.0.1.7:8080"},
            ("db", "container", {}),
            id="cAdvisor by an address, which may be its own",
        ),
        pytest.param(
            {
                "namespace": "shop",
                "pod": "web-7c9d5b8f4-x2kqz",
                "container": "web",
                "name": "k8s_web_web-7c9_shop_uid_0",
                "job": "kubelet",
                "service": "kubelet",
                "metrics_path": "/metrics/cadvisor",
                "node": "worker-1",
                "instance": "10.0.0.4:10250",
            },
            ("web", "container", {"namespace": "shop"}),
            id="kubelet",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "web-7c9d5b8f4-x2kqz", "container": "POD", "job": "kubelet"},
            ("web", "workload", {"namespace": "shop"}),
            id="kubelet, the pause container",
        ),
        pytest.param(
            {"namespace": "mon", "pod": "alloy-x2kqz", "container": "alloy", "job": "kubelet", "service": "kubelet"},
            ("alloy", "container", {"namespace": "mon"}),
            id="kubelet about an exporter",
        ),
        pytest.param(
            {"namespace": "shop", "deployment": "checkout", **KSM, **KSM_POD},
            ("checkout", "workload", {"namespace": "shop"}),
            id="kube-state-metrics about a deployment",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "web-7c9d5b8f4-x2kqz", "container": "web", **KSM},
            ("web", "container", {"namespace": "shop"}),
            id="kube-state-metrics, labels honoured",
        ),
        pytest.param(
            {
                "exported_namespace": "shop",
                "exported_pod": "web-7c9d5b8f4-x2kqz",
                "namespace": "monitoring",
                **KSM,
                **KSM_POD,
            },
            ("web", "workload", {"namespace": "shop"}),
            id="kube-state-metrics, labels not honoured",
        ),
        pytest.param(
            {"namespace": "shop", "job_name": "backup-28391040", **KSM},
            ("backup", "workload", {"namespace": "shop"}),
            id="kube-state-metrics about a CronJob's run",
        ),
        pytest.param(
            {"job": "node", "instance": "db-1:9100", "device": "/dev/sda1", "mountpoint": "/var"},
            ("db-1", "host", {}),
            id="node exporter",
        ),
        pytest.param(
            {"job": "node", "instance": "db-1:9100", "name": "nginx.service", "state": "failed"},
            ("db-1", "host", {}),
            id="node exporter about a systemd unit",
        ),
        pytest.param(
            {
                "job": "node-exporter",
                "service": "mon-prometheus-node-exporter",
                "container": "node-exporter",
                "pod": "mon-prometheus-node-exporter-x2kqz",
                "namespace": "monitoring",
                "instance": "10.0.0.4:9100",
            },
            ("10.0.0.4", "host", {}),
            id="node exporter in Kubernetes",
        ),
        pytest.param(
            {"job": "integrations/unix", "instance": "srv-01"}, ("srv-01", "host", {}), id="Alloy's node exporter"
        ),
        pytest.param({"job": "windows", "instance": "w1:9182", "name": "spooler"}, ("w1", "host", {}), id="windows"),
        pytest.param(
            {"job": "process-exporter", "groupname": "sshd", "instance": "[fd00::1]:9256"},
            ("fd00::1", "host", {}),
            id="process exporter",
        ),
        pytest.param(
            {"job": "blackbox", "instance": "https://shop.example/health", "module": "http_2xx"},
            ("https://shop.example/health", "target", {}),
            id="blackbox, a URL",
        ),
        pytest.param(
            {"job": "blackbox-tcp", "instance": "db-1:5432"}, ("db-1:5432", "target", {}), id="blackbox, host and port"
        ),
        pytest.param(
            {"job": "integrations/blackbox/shop", "instance": "srv-01"},
            ("shop", "target", {}),
            id="Alloy's blackbox: instance is Alloy's own host",
        ),
        pytest.param(
            {"job": "integrations/blackbox/shop", "instance": "https://shop.example"},
            ("https://shop.example", "target", {}),
            id="Alloy's blackbox with the rule for instance",
        ),
        pytest.param(
            {"job": "integrations/snmp/switch3", "instance": "srv-01"}, ("switch3", "target", {}), id="Alloy's SNMP"
        ),
        pytest.param(
            {"job": "integrations/blackbox/shop"}, ("shop", "target", {}), id="Alloy's blackbox, by the job's name"
        ),
        pytest.param(
            {
                "job": "pushgateway",
                "instance": "pushgateway:9091",
                "exported_job": "pg-backup",
                "exported_instance": "db-1",
            },
            ("pg-backup", "workload", {}),
            id="pushgateway",
        ),
        pytest.param(
            {"job": "statsd-exporter", "instance": "statsd-exporter:9102", "app": "mail"},
            ("mail", "workload", {}),
            id="statsd",
        ),
        pytest.param(
            {"job": "otel-collector", "instance": "otel:8889", "exported_job": "shop/payments"},
            ("payments", "workload", {"namespace": "shop"}),
            id="OpenTelemetry collector's exporter",
        ),
        pytest.param({"job": "shop/payments"}, ("payments", "workload", {"namespace": "shop"}), id="OTLP"),
        pytest.param(
            {
                "service.name": "rails",
                "service.namespace": "shop",
                "k8s.container.name": "rails",
                "host.name": "srv-01",
                "deployment.environment": "prod",
                "job": "shop/otel-collector",
                "instance": "otel-collector:8889",
            },
            ("rails", "container", {"namespace": "shop", "environment": "prod", "host": "srv-01"}),
            id="OpenTelemetry, dotted names",
        ),
        pytest.param(
            {"container_name": "shop-cart-1", "compose_project": "shop", "host": "h1", "source": "stderr"},
            ("shop-cart-1", "container", {"compose_project": "shop", "host": "h1"}),
            id="Docker driver",
        ),
        pytest.param(
            {"swarm_service": "prod_api", "swarm_stack": "prod", "host": "h1"},
            ("prod_api", "swarm_service", {"swarm_stack": "prod"}),
            id="Docker driver, Swarm: its tasks live on several hosts",
        ),
        pytest.param(
            {"container": "/shop-payments-1", "service_name": "/shop-payments-1", "job": "docker"},
            ("shop-payments-1", "container", {}),
            id="Promtail without the regular expression",
        ),
        pytest.param(
            {"job": "integrations/docker", "instance": "srv-01", "name": "x"},
            ("x", "container", {"host": "srv-01"}),
            id="Alloy's cAdvisor, renamed",
        ),
        pytest.param(
            {"instance": "cadvisor:8080", "name": "shop-cart-1"},
            ("shop-cart-1", "container", {}),
            id="Grafana, by (instance, name)",
        ),
        pytest.param(
            {"instance": "db-1:9100", "name": "nginx.service"},
            ("db-1", "host", {}),
            id="Grafana, by (instance, name) of a unit",
        ),
        pytest.param(
            {"service_name": "unknown_service:java", "container_name": "payments"},
            ("payments", "container", {}),
            id="Loki's placeholder",
        ),
        pytest.param(
            {"service": "[no value]", "app": "<no value>", "job": "null", "pod": "-", "host": "h1"},
            ("h1", "host", {}),
            id="placeholders of templates",
        ),
        pytest.param(
            {"alertname": "DatasourceError", "rulename": "Payments latency", "datasource_uid": "ds1", "ref_id": "A"},
            ("Payments latency", "rule", {}),
            id="Grafana's data source error",
        ),
        pytest.param(
            {"sreops_service": "billing", "container": "x", "job": "cadvisor", "env": "prod"},
            ("billing", "workload", {"environment": "prod"}),
            id="named outright",
        ),
        pytest.param(
            {"job": "website-checks", "instance": "https://shop.example/health"},
            ("https://shop.example/health", "target", {}),
            id="blackbox under a job's name of one's own: nobody is scraped by a URL",
        ),
        pytest.param(
            {"job": "edge", "instance": "db-1:5432", "module": "tcp_connect"},
            ("db-1:5432", "target", {}),
            id="blackbox, known by its module",
        ),
        pytest.param(
            {"job": "probe/monitoring/shop", "instance": "shop.example", "namespace": "monitoring"},
            ("shop.example", "target", {}),
            id="a Probe of the Prometheus operator",
        ),
        pytest.param(
            {"job": "blackbox", "instance": "blackbox:9115", "target": "https://shop.example"},
            ("https://shop.example", "target", {}),
            id="blackbox that was not relabelled",
        ),
        pytest.param(
            {"job": "redis_exporter_targets", "instance": "redis://redis-2:6379"},
            ("redis://redis-2:6379", "target", {}),
            id="an exporter of many targets",
        ),
        pytest.param(
            {"job": "ping", "instance": "ping-exporter:9427", "target": "gw-1", "ip": "10.0.0.1"},
            ("gw-1", "target", {}),
            id="ping exporter",
        ),
        pytest.param(
            {"job": "uptime-kuma", "instance": "uptime-kuma:3001", "monitor_name": "shop", "monitor_url": "https://"},
            ("shop", "target", {}),
            id="Uptime Kuma",
        ),
        pytest.param(
            {"job": "infra", "instance": "db-1:9100", "alertstate": "firing"},
            ("db-1", "host", {}),
            id="node exporter under a job's name of one's own, by its port",
        ),
        pytest.param(
            {"job": "infra", "instance": "db-1:80", "mountpoint": "/var", "fstype": "ext4"},
            ("db-1", "host", {}),
            id="node exporter, by its labels",
        ),
        pytest.param(
            {"job": "payments", "instance": "payments-1:9100"},
            ("payments", "workload", {}),
            id="a service at that port",
        ),
        pytest.param(
            {"job": "node", "instance": "node-exporter:9100", "nodename": "web-7"},
            ("web-7", "host", {}),
            id="node exporter beside us, and node_uname_info joined in",
        ),
        pytest.param({"job": "netdata", "instance": "web-7:19999"}, ("web-7", "host", {}), id="netdata"),
        pytest.param(
            {"job": "systemd-exporter", "instance": "web-1:9558", "name": "nginx.service"},
            ("web-1", "host", {}),
            id="systemd exporter",
        ),
        pytest.param(
            {"job": "loki.source.journal.read", "unit": "nginx.service", "instance": "web-1"},
            ("web-1", "host", {}),
            id="Alloy's journal",
        ),
        pytest.param(
            {"k8s.namespace.name": "shop", "k8s.pod.name": "cart-5d7f9b6c8d-x2kqz", "k8s.deployment.name": "cart"},
            ("cart", "workload", {"namespace": "shop"}),
            id="OpenTelemetry in Kubernetes",
        ),
        pytest.param(
            {"k8s.node.name": "worker-2", "k8s.cluster.name": "c1", "job": "otelcol"},
            ("worker-2", "host", {"cluster": "c1"}),
            id="OpenTelemetry about a node",
        ),
        pytest.param(
            {"namespace": "shop", "replicaset": "web-5d7f9b6c8d", **KSM},
            ("web", "workload", {"namespace": "shop"}),
            id="kube-state-metrics about a ReplicaSet",
        ),
        pytest.param(
            {"job": "traefik", "instance": "traefik:8080", "service": "payments@docker"},
            ("payments", "workload", {}),
            id="Traefik",
        ),
        pytest.param(
            {"Service": "payments", "Env": "prod"}, ("payments", "workload", {"environment": "prod"}), id="Case"
        ),
        pytest.param(
            {"application": "payments", "job": "spring", "instance": "10.0.0.1:8080"},
            ("payments", "workload", {}),
            id="Micrometer",
        ),
        pytest.param(
            {"job": "podman", "instance": "10.0.0.9:9882", "name": "db"}, ("db", "container", {}), id="podman exporter"
        ),
        pytest.param({"container": "promtail", "host": "h1"}, ("promtail", "container", {"host": "h1"}), id="itself"),
        pytest.param(
            {"job": "federate", "instance": "prom:9090", "exported_job": "payments", "exported_instance": "p-1:80"},
            ("payments", "workload", {}),
            id="federation",
        ),
        pytest.param(
            {"service": "payments", "exported_service": "kube-state-metrics", "job": "kube-state-metrics"},
            ("payments", "workload", {}),
            id="vmalert: the rule's label wins, the series' is exported_",
        ),
    ],
)
def test_the_subject_is_who_the_labels_speak_about(labels, expected):
    assert of(labels) == expected


def test_where_no_label_names_anybody_it_is_the_rule_and_its_labels_tell_its_alerts_apart():
    labels = {"alertgroup": "frp_alerts", "frp": "10859", "type": "hermes", "mountpoint": "/", "tier": "0"}
    found = subject("downTimeAlert", **labels)
    assert (found.name, found.kind) == ("downTimeAlert", SubjectKind.rule)
    assert found.scope == {"frp": "10859", "type": "hermes", "mountpoint": "/"}
    assert subject("downTimeAlert", **{**labels, "frp": "10860"}).scope != found.scope


def test_an_exporters_own_labels_stay_in_the_scope_of_a_rule_so_that_two_databases_are_two():
    one, two = (subject("PostgresDown", job="postgres-exporter", instance=f"db-{n}:9187") for n in (1, 2))
    assert one.name == two.name == "PostgresDown"
    assert one.scope != two.scope


def test_the_reason_names_the_label_as_it_is_written_and_who_speaks():
    assert subject(**{"name": "x", **CADVISOR}).read_from == "label name, because job=cadvisor speaks about others"
    assert subject(**{"service.name": "rails"}).read_from == "label service.name"
    assert subject().read_from.startswith("the alert's name")
    dumped = subject(service="payments").model_dump(mode="json")
    assert dumped == {"name": "payments", "kind": "workload", "scope": {}, "from": "label service"}


def test_a_declared_order_replaces_the_own_one_and_still_no_exporter_is_the_patient():
    order = ("team.unit", "name", "job")
    assert subject(order=order, team_unit="ledger", container="x").name == "ledger"
    assert subject(order=order, name="anything", container="x").name == "anything"
    assert subject("Down", order=order, job="cadvisor", container="x").name == "Down"


def test_an_event_of_an_older_sreops_keeps_the_service_that_it_was_sent_with():
    labels = {"name": "x", "container_label_com_docker_compose_project": "shop", **CADVISOR}
    assert subject_as_sent("x", labels).kind is SubjectKind.container
    older = subject_as_sent("cadvisor", labels)
    assert (older.name, older.scope) == ("cadvisor", {"compose_project": "shop"})


@pytest.mark.parametrize(
    ("value", "as_job", "known"),
    [
        ("integrations/cadvisor", True, "cadvisor"),
        ("integrations/mysql", True, "exporter"),
        ("kubernetes-nodes-cadvisor", True, "cadvisor"),
        ("redis_exporter", False, "exporter"),
        ("node", True, "node"),
        ("node", False, None),  # a service of somebody's own
        ("payments", True, None),
        ("docker", False, "agent"),
        ("shopping", True, None),
        ("grafana-alloy", False, "alloy"),
        ("alloyed", False, None),
    ],
)
def test_exporters_are_known_by_the_names_that_people_give_them(value, as_job, known):
    assert exporter_of(value, job=as_job) == known


@pytest.mark.parametrize("labels", [{"": ""}, {"a.b": "", "a_b": "x"}, {"service": "/"}, {"job": "é" * 5000}])
def test_whatever_the_labels_are_there_is_a_subject_with_a_name_of_bounded_length(labels):
    assert 0 < len(subject_of(labels, "Odd").name) <= 256


@pytest.mark.skipif(not (CASES / "intake").is_dir(), reason=ABSENT)
def test_the_subjects_of_the_recorded_payloads_are_those_expected():
    wrong = []
    for path in sorted((CASES / "intake").glob("*.json")):
        case = json.loads(path.read_text())
        patterns = case["expected"].get("services")
        if not patterns:
            continue
        alerts = [one for step in case["steps"] for one in step.get("post", {}).get("alerts", [])]
        names = {subject_of(one["labels"], one["labels"]["alertname"]).name for one in alerts}
        if len(names) != len(patterns) or not all(any(re.search(p, n) for n in names) for p in patterns):
            wrong.append((path.name, names, patterns))
    assert wrong == []
