"""Alerts as further senders label them: federations, relays, sidecars, scrapers with jobs of any name, and twins."""

import pytest

from sreops.domain.alerts.subject import Subject, SubjectKind, subject_of
from sreops.domain.incidents.correlation import fits

NODE = "node-exporter"
KSM = {"job": "kube-state-metrics", "service": "kps-kube-state-metrics", "instance": "10.244.1.17:8080"}


def subject(labels: dict[str, str]) -> Subject:
    return subject_of({"alertname": "Broken", "severity": "critical", **labels}, "Broken")


def of(labels: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    found = subject(labels)
    return found.name, found.kind.value, found.scope


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(
            {"job": "federate", "instance": "prom:9090", "exported_job": "kube-state-metrics"}
            | {"exported_instance": "10.1.1.1:8080", "namespace": "shop", "container": "web"}
            | {"pod": "web-7c9d5b8f4-x2kqz"},
            ("web", "container", {"namespace": "shop"}),
            id="federation of kube-state-metrics",
        ),
        pytest.param(
            {"job": "federate", "instance": "prom:9090", "exported_job": "kube-state-metrics"}
            | {"exported_instance": "10.1.1.1:8080", "resourcequota": "q"},
            ("Broken", "rule", {"instance": "10.1.1.1:8080", "job": "kube-state-metrics", "resourcequota": "q"}),
            id="federation of an exporter that names nobody: its address is no host",
        ),
        pytest.param(
            {"job": "federate", "exported_job": "blackbox", "exported_instance": "shop.example:443"},
            ("shop.example:443", "target", {}),
            id="federation of blackbox",
        ),
        pytest.param(
            {"job": "otel-collector", "instance": "otel:8889", "exported_job": "cadvisor", "name": "db", "image": "x"}
            | {"exported_instance": "h1:8080"},
            ("db", "container", {"host": "h1"}),
            id="a collector that scrapes cAdvisor",
        ),
        pytest.param(
            {"job": "pushgateway", "pod": "pushgateway-7c9d5b8f4-x2kqz", "container": "pushgateway"}
            | {"namespace": "monitoring", "exported_job": "node", "exported_instance": "db-1"},
            ("db-1", "host", {}),
            id="pushgateway in Kubernetes with a host's metrics",
        ),
    ],
)
def test_who_passes_an_exporters_series_on_is_not_the_patient_and_neither_is_the_exporter(labels, expected):
    assert of(labels) == expected


def test_the_reason_names_the_label_as_the_relay_wrote_it():
    found = subject({"job": "federate", "exported_job": "node", "exported_instance": "db-1:9100"})
    assert found.read_from == "label exported_instance, because exported_job=node speaks about others"


COMMUNITY = {"job": "kubernetes-service-endpoints", "namespace": "monitoring", "instance": "10.0.0.4:9100"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(
            {
                **COMMUNITY,
                "app_kubernetes_io_name": "prometheus-node-exporter",
                "service": "p-prometheus-node-exporter",
            },
            ("10.0.0.4", "host", {}),
            id="the community chart's node exporter, whose job says only that it is scraped",
        ),
        pytest.param(
            {"job": "kubernetes-pods-slow", "node": "worker-1"}, ("worker-1", "host", {}), id="its slow scrape jobs"
        ),
        pytest.param(
            {"job": "prometheus.scrape.default", "instance": "payments:8080"},
            ("payments", "host", {}),
            id="Alloy's scrape component, which gave the job its own name",
        ),
        pytest.param(
            {"job": "prometheus.scrape.cadvisor", "instance": "cadvisor:8080", "name": "x"},
            ("x", "container", {}),
            id="Alloy's scrape component named for cAdvisor",
        ),
        pytest.param(
            {"job": "containers", "instance": "10.0.0.5:8080", "name": "shop-db-1"},
            ("shop-db-1", "container", {}),
            id="cAdvisor under the job containers, by (job, instance, name)",
        ),
        pytest.param(
            {"job": "dockerswarm", "instance": "10.0.0.5:8080"},
            ("Broken", "rule", {"instance": "10.0.0.5:8080", "job": "dockerswarm"}),
            id="the job of Prometheus' examples for Swarm, which every service has",
        ),
        pytest.param(
            {"job": "smartctl", "instance": "nas-1:9633", "device": "sda"}, ("nas-1", "host", {}), id="smartctl"
        ),
        pytest.param(
            {"job": "disks", "instance": "nas-1:9633", "device": "sda"},
            ("nas-1", "host", {}),
            id="smartctl by its port",
        ),
        pytest.param(
            {"job": "network-switches", "instance": "10.0.0.9", "ifName": "ge-0/0/1", "ifIndex": "1"},
            ("10.0.0.9", "target", {}),
            id="SNMP by its interface labels",
        ),
        pytest.param(
            {"job": "kuma", "instance": "kuma:3001", "monitor_name": "Shop", "monitor_type": "http"}
            | {"monitor_url": "https://shop.example"},
            ("Shop", "target", {}),
            id="Uptime Kuma by its labels",
        ),
        pytest.param(
            {"monitor_name": "Shop", "monitor_type": "http", "monitor_url": "https://shop.example"},
            ("Shop", "target", {}),
            id="Uptime Kuma, the scraper aggregated away",
        ),
    ],
)
def test_a_scrape_job_of_any_name_is_not_the_patient_where_the_labels_tell_who_speaks(labels, expected):
    assert of(labels) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(
            {"job": "mysql", "service": "mysql", "namespace": "shop", "pod": "mysql-0", "container": "metrics"}
            | {"instance": "10.1.1.1:9104"},
            ("mysql", "workload", {"namespace": "shop"}),
            id="Bitnami's sidecar",
        ),
        pytest.param(
            {**KSM, "namespace": "shop", "pod": "redis-0", "container": "metrics", "reason": "CrashLoopBackOff"},
            ("redis-0", "workload", {"namespace": "shop"}),
            id="the sidecar itself, of which each pod has one",
        ),
        pytest.param(
            {"container": "metrics", "host": "h1"}, ("metrics", "container", {"host": "h1"}), id="a container"
        ),
        pytest.param(
            {"job": NODE, "instance": f"{NODE}:9100", "container_name": NODE, "compose_project": "monitoring"},
            ("Broken", "rule", None),
            id="found in Docker by its container",
        ),
        pytest.param(
            {"job": "node", "instance": "db-1:9100", "compose_service": NODE, "compose_project": "monitoring"},
            ("db-1", "host", {}),
            id="found in Docker by its Compose service, whose project the host is not in",
        ),
        pytest.param(
            {"job": "dockerswarm", "instance": "10.0.1.5:8080", "swarm_service": "mon_cadvisor", "name": "shop-db-1"},
            ("shop-db-1", "container", {}),
            id="cAdvisor found in Swarm speaks of others",
        ),
        pytest.param(
            {"job": "otelcol", "instance": "otel:8889", "container_name": NODE},
            (NODE, "container", {}),
            id="a collector's docker_stats speak of an exporter's container",
        ),
        pytest.param(
            {"job": "cadvisor", "instance": "h1:8080", "name": NODE, "image": "x"},
            (NODE, "container", {"host": "h1"}),
            id="cAdvisor speaks of an exporter's container",
        ),
        pytest.param(
            {"container_name": NODE, "compose_project": "monitoring", "job": "docker"},
            (NODE, "container", {"compose_project": "monitoring"}),
            id="a shipper has an exporter's own lines",
        ),
        pytest.param(
            {"job": "node", "instance": f"{NODE}:9100"},
            ("Broken", "rule", {"instance": f"{NODE}:9100", "job": "node"}),
            id="no host is called as the exporter's container, which must not be restarted for it",
        ),
    ],
)
def test_an_exporter_beside_its_patient_is_the_patient_only_where_it_is_spoken_of(labels, expected):
    name, kind, scope = expected
    assert of(labels)[:2] == (name, kind)
    assert scope is None or of(labels)[2] == scope


POD = {"namespace": "mon", "endpoint": "metrics", "instance": "10.1.1.1:9187"}


@pytest.mark.parametrize(
    "scraped",
    [
        {"job": "EXPORTER", "instance": "EXPORTER:9187"},
        {"job": "monitoring", "instance": "mon-EXPORTER-1:9187"},
        {"instance": "tasks.EXPORTER:9187"},
        {
            "job": "EXPORTER",
            "instance": "172.18.0.5:9187",
            "container": "mon-EXPORTER-1",
            "compose_service": "EXPORTER",
        },
        {"job": "docker", "instance": "172.18.0.5:9187", "container_name": "/mon-EXPORTER-1"},
        {"job": "dockerswarm", "instance": "10.0.1.5:9187", "swarm_service": "mon_EXPORTER"},
        {
            "job": "r-EXPORTER",
            "service": "r-EXPORTER",
            "pod": "r-EXPORTER-7c9d5b8f4-x2kqz",
            "container": "EXPORTER",
            **POD,
        },
        {"job": "mon/EXPORTER", "pod": "EXPORTER-7c9d5b8f4-x2kqz", "container": "exporter", **POD},
        {"job": "kubernetes-pods", "pod": "EXPORTER-7c9d5b8f4-x2kqz", "app_kubernetes_io_name": "EXPORTER", **POD},
        {"job": "kubernetes-service-endpoints", "service": "EXPORTER", "app": "EXPORTER", **POD},
    ],
    ids=lambda labels: ", ".join(labels),
)
def test_however_an_exporter_is_scraped_it_is_not_the_patient(scraped):
    exporters = (
        "node-exporter postgres-exporter redis_exporter kafka-exporter windows-exporter cadvisor telegraf alloy "
    )
    exporters += (
        "kube-state-metrics pushgateway statsd-exporter otel-collector blackbox-exporter snmp-exporter promtail"
    )
    for exporter in exporters.split():
        found = subject({name: value.replace("EXPORTER", exporter) for name, value in scraped.items()})
        assert exporter not in found.name, found


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"pod": "web-bdfghjklm-x2kqz"}, "web", id="a hash without a digit"),
        pytest.param({"replicaset": "web-bdfghjklm"}, "web", id="a ReplicaSet's without a digit"),
        pytest.param({"pod": "shop-v2canary-proxy"}, "shop-v2canary-proxy", id="words, no hash"),
        pytest.param({"pod": "pg-0"}, "pg-0", id="a StatefulSet's pod"),
        pytest.param(
            {"kubernetes_pod_name": "web-7c9d5b8f4-x2kqz"}, "web", id="Fluent Bit's and the old scrape config's"
        ),
        pytest.param({"pod_name": "web-7c9d5b8f4-x2kqz", "container_name": "POD"}, "web", id="the kubelet's of old"),
        pytest.param(
            {"kubernetes_container_name": "web", "kubernetes_pod_name": "x"}, "web", id="Fluent Bit's container"
        ),
        pytest.param({"namespace": "shop", "workload": "web", "workload_type": "deployment"}, "web", id="the mixin's"),
        pytest.param({"job": "windows", "computer": "W1", "channel": "System"}, "W1", id="Windows events in Loki"),
        pytest.param({"job": "node", "instance": "[2001:db8::5]"}, "2001:db8::5", id="an IPv6 address in brackets"),
        pytest.param({"app.kubernetes.io/name": "payments"}, "payments", id="a label's name with a slash"),
        pytest.param({"service": "payments@consulcatalog"}, "payments", id="Traefik's providers"),
        pytest.param({"service": "worker@web"}, "worker@web", id="an at sign of somebody's own"),
    ],
)
def test_the_name_is_as_its_owner_calls_it(labels, expected):
    assert subject(labels).name == expected


ALLOYS = {"job": "integrations/kubernetes/cadvisor", "namespace": "shop", "container": "web"}
OTEL = {"k8s.namespace.name": "shop", "k8s.deployment.name": "cart", "service.name": "cart"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            {**ALLOYS, "pod": "web-7c9d5b8f4-x2kqz", "instance": "w1"},
            {**ALLOYS, "pod": "web-7c9d5b8f4-b7kqz", "instance": "w2"},
            id="pods of one deployment on two nodes, by Alloy",
        ),
        pytest.param(
            {**OTEL, "k8s.pod.name": "cart-5d7f9b6c8d-x2kqz", "host.name": "w1"},
            {**OTEL, "k8s.pod.name": "cart-5d7f9b6c8d-b7kqz", "host.name": "w2"},
            id="the same by OpenTelemetry",
        ),
        pytest.param(
            {"queue": "orders", "prometheus_replica": "prometheus-0"},
            {"queue": "orders", "prometheus_replica": "prometheus-1"},
            id="twins of one Prometheus say the same",
        ),
        pytest.param(
            {"service.name": "rails", "service.namespace": "shop"}, {"job": "shop/rails"}, id="a job's namespace"
        ),
        pytest.param(
            {"job": "node", "instance": "[fd00::1]:9100"}, {"host": "fd00::1"}, id="a host with and without port"
        ),
    ],
)
def test_these_two_alerts_are_of_one_subject(one, other):
    assert subject(one).name == subject(other).name
    assert fits(subject(one).scope, subject(other).scope)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            {"service_name": "checkout", "job": "shop/checkout"},
            {"service_name": "checkout", "job": "mon/checkout"},
            id="namesakes in two namespaces, which only the job says",
        ),
        pytest.param(
            {"kubernetes_namespace_name": "a", "kubernetes_pod_name": "web-7c9d5b8f4-x2kqz"},
            {"kubernetes_namespace_name": "b", "kubernetes_pod_name": "web-7c9d5b8f4-x2kqz"},
            id="namesakes by Fluent Bit's labels",
        ),
        pytest.param(
            {"job": "kafka-exporter", "consumergroup": "a", "topic": "t"},
            {"job": "kafka-exporter", "consumergroup": "b", "topic": "t"},
            id="two consumer groups of one exporter",
        ),
        pytest.param(
            {"job": "prometheus.scrape.default", "instance": "payments:8080"},
            {"job": "prometheus.scrape.default", "instance": "cart:8080"},
            id="two services that Alloy scrapes",
        ),
        pytest.param(
            {"job": "dockerswarm", "instance": "10.0.0.5:8080"},
            {"job": "dockerswarm", "instance": "10.0.0.6:8080"},
            id="two services that are found in Swarm",
        ),
    ],
)
def test_these_two_alerts_are_strangers(one, other):
    found, stranger = subject(one), subject(other)
    assert found.name != stranger.name or not fits(found.scope, stranger.scope)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"service": "hotel-collections"}, ("hotel-collections", "workload")),
        ({"job": "website", "instance": "website:3000"}, ("website", "workload")),
        ({"job": "dns", "instance": "dns:9153"}, ("dns", "workload")),
        ({"job": "website", "instance": "shop.example:443"}, ("shop.example:443", "target")),
        ({"job": "gatus", "instance": "gatus:8080", "name": "shop"}, ("shop", "target")),
        ({"service": "hotel", "container": "otelcol", "job": "otelcol", "instance": "x:1"}, ("hotel", "workload")),
    ],
)
def test_a_service_of_somebodys_own_is_no_exporter_for_the_sound_of_its_name(labels, expected):
    assert of(labels)[:2] == expected


def test_an_exporters_own_job_is_no_namespace_of_a_namesake():
    assert of({"container_name": "docker", "job": "integrations/docker"}) == ("docker", "container", {})


def test_a_target_is_named_without_the_password_in_its_url() -> None:
    subject = subject_of({"job": "blackbox", "instance": "https://probe:s3cret@shop.example/health"}, "SiteDown")
    assert (subject.name, subject.kind) == ("https://shop.example/health", SubjectKind.target)
