"""Which series are the subject's own, by what the alert and the engine say; a stranger's never are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.subject import subject_of
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.evidence.identity import Identity, identity_of, identity_of_neighbour
from sreops.domain.evidence.metric_selection import JudgedSeries, MetricSelector, judge_series, metric_selectors

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ID, OTHER_ID = "a" * 64, "b" * 64
PROJECT, SERVICE = "container_label_com_docker_compose_project", "container_label_com_docker_compose_service"


def who(state: ContainerState | None = None, **labels: str) -> Identity:
    subject = subject_of(labels, "Broken")
    event = AlertEvent(
        event_id="1", source="grafana", fingerprint="f", status=AlertStatus.firing, labels=labels, annotations={},
        starts_at=NOW, received_at=NOW, tier=Tier.supervised, severity=Severity.critical, service=subject.name,
        subject=subject,
    )  # fmt: skip
    return identity_of(event, state)


def container(name: str, project: str = "", service: str = "", engine: str = "") -> ContainerState:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": service} if project else {}
    return ContainerState(id=ID, name=name, image="x", status="running", running=True, labels=labels, engine=engine)


def cadvisor(name: str, **labels: str) -> dict[str, str]:
    return {"__name__": "container_last_seen", "name": name, "image": "x", "job": "cadvisor", **labels}


def judged(asked: Mapping[str, str], series: list[dict[str, str]], of: Identity) -> JudgedSeries:
    return judge_series(MetricSelector(asked), series, of)


def used(found: JudgedSeries) -> list[dict[str, str]]:
    return [dict(one.selector.labels) for one in found.use]


def test_two_projects_containers_of_one_name_are_parted_by_what_the_alert_says() -> None:
    series = [
        cadvisor("db", **{PROJECT: "shop", "instance": "h1:8080"}),
        cadvisor("db", **{PROJECT: "blog", "instance": "h2:8080"}),
    ]
    found = judged({"name": "db"}, series, who(container_name="db", compose_project="shop"))
    assert used(found) == [{"name": "db", PROJECT: "shop"}]
    assert found.why == f"1 series its own, narrowed from 2 by {PROJECT}=shop"


def test_what_the_engine_knows_parts_services_of_one_name() -> None:
    series = [
        cadvisor("shop-db-1", **{PROJECT: "shop", SERVICE: "db"}),
        cadvisor("blog-db-1", **{PROJECT: "blog", SERVICE: "db"}),
    ]
    of = who(container("shop-db-1", "shop", "db"), service="db")
    assert used(judged({SERVICE: "db"}, series, of)) == [{SERVICE: "db", PROJECT: "shop"}]
    assert used(judged({SERVICE: "db"}, series[1:], of)) == []


def test_a_container_of_that_name_on_another_host_is_a_stranger_and_an_earlier_one_here_is_not() -> None:
    here, earlier = (
        cadvisor("db", id=f"/docker/{ID}", instance="h1:8080"),
        cadvisor("db", id=f"/docker/{OTHER_ID}", instance="h1:8080"),
    )
    there = cadvisor("db", id=f"/docker/{'c' * 64}", instance="h2:8080")
    of = who(container("db"), container_name="db")
    assert used(judged({"name": "db"}, [here, earlier, there], of)) == [{"name": "db", "instance": "h1:8080"}]
    assert used(judged({"name": "db"}, [here, earlier], of)) == [{"name": "db"}]
    said = who(job="cadvisor", name="db", image="x", instance="h1:8080")  # no engine: the alert says which host
    assert used(judged({"name": "db"}, [here, there], said)) == [{"name": "db", "instance": "h1:8080"}]


def test_a_stranger_of_whom_nothing_tells_the_own_apart_is_not_taken_in() -> None:
    of = who(container("shop-db-1", "shop", "db"), service="db")
    found = judged(
        {"service": "db"}, [cadvisor("blog-db-1", **{PROJECT: "blog"}), {"__name__": "up", "service": "db"}], of
    )
    assert (used(found), found.why) == ([], f"it would take in strangers: {PROJECT}=blog")
    clash = [{"__name__": "up", "job": "db", "namespace": one} for one in ("a", "b")]
    assert judged({"job": "db"}, clash, who(job="db")).why == "it may take in strangers: namespace is a and b"


def test_another_environment_of_the_same_name_is_a_stranger() -> None:
    series = [{"__name__": "up", "service": "pay", "env": env} for env in ("prod", "staging")]
    assert judged({"service": "pay"}, series[1:], who(service="pay", env="prod")).use == ()
    apart = judged({"service": "pay"}, series, who(service="pay"))
    assert apart.why == "it may take in strangers: environment is prod and staging"


def test_an_applications_own_label_called_name_parts_nothing() -> None:
    series = [{"__name__": "pool_size", "job": "pay", "name": pool} for pool in ("reads", "writes")]
    assert used(judged({"job": "pay"}, series, who(container("shop-pay-1", "shop", "pay"), job="pay"))) == [
        {"job": "pay"}
    ]


def test_kube_state_metrics_own_pod_is_not_its_subjects() -> None:
    series = [
        {"__name__": "kube_pod_info", "exported_namespace": "shop", "exported_pod": "web-5d7f9b6c8d-x2kqz",
         "namespace": "mon", "pod": "ksm-0", "job": "ksm"},
        {"__name__": "kube_pod_info", "exported_namespace": "shop", "exported_pod": "cart-5d7f9b6c8d-x2kqz",
         "namespace": "mon", "pod": "ksm-0", "job": "ksm"},
    ]  # fmt: skip
    of = who(exported_namespace="shop", exported_pod="web-5d7f9b6c8d-x2kqz", job="ksm", pod="ksm-0", namespace="mon")
    assert judged({"job": "ksm"}, series[1:], of).use == ()
    assert len(judged({"job": "ksm"}, series[:1], of).use) == 1


def test_of_a_host_its_exporters_series_are_taken_and_its_containers_are_not() -> None:
    of = who(job="node", instance="h1:9100")
    series = [
        {"__name__": "node_load1", "instance": "h1:9100"},
        {"__name__": "up", "instance": "h1:9100"},
        cadvisor("db", instance="h1:8080"),
        {"__name__": "http_requests_total", "instance": "h1:8000"},
    ]
    found = judge_series(MetricSelector(patterns={"instance": "h1(?::[0-9]+)?"}), series, of)
    assert [(dict(one.selector.labels), one.names) for one in found.use] == [
        ({"instance": "h1:9100"}, ("node_load1", "up"))
    ]
    assert found.why == "2 series of the host itself, 2 of others left out"


def test_a_host_known_by_its_nodename_is_followed_to_its_exporter() -> None:
    of = who(host="web-7")
    named = [{"__name__": "node_uname_info", "nodename": "web-7", "instance": "10.0.0.7:9100"}]
    found = judged({"nodename": "web-7"}, named, of)
    assert (found.use, [one.labels for one in found.follow]) == ((), [{"instance": "10.0.0.7:9100"}])
    assert found.why == "it says that the host's exporter is 10.0.0.7:9100"


def selectors(state: ContainerState | None = None, **labels: str) -> list[Any]:
    return [{**one.labels, **one.patterns} for one in metric_selectors(who(state, **labels), labels, None)]


def test_a_target_is_asked_by_instance_by_its_probers_label_and_by_its_own_job() -> None:
    assert selectors(job="blackbox", instance="https://a.example")[0] == {"instance": "https://a.example"}
    assert {"job": "integrations/blackbox/shop"} in selectors(job="integrations/blackbox/shop", instance="srv-1")
    assert {"monitor_name": "shop"} in selectors(job="uptime-kuma", monitor_name="shop")


def test_an_alert_that_names_nobody_is_asked_by_its_exporter_of_one_thing_and_never_of_everybody() -> None:
    assert selectors(job="postgres-exporter", instance="db-1:9187") == [
        {"job": "postgres-exporter", "instance": "db-1:9187"}
    ]
    assert selectors(job="cadvisor", instance="cadvisor:8080") == []
    assert selectors(frp="1") == []


def test_a_neighbour_is_known_by_its_container() -> None:
    of = identity_of_neighbour("db", container("shop-db-1", "shop", "db"))
    series = [cadvisor("shop-db-1"), cadvisor("blog-db-1")]
    assert used(judged({"name": "shop-db-1"}, series[:1], of)) == [{"name": "shop-db-1"}]
    assert judged({"service": "db"}, series[1:], of).use == ()
    assert identity_of_neighbour("db", None, "shop-db-1").containers == ("shop-db-1",)
