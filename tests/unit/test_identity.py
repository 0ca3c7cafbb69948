"""Whose streams and series they are: the subject's own, a stranger's, or nobody can tell; and what is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.subject import subject_of
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.evidence.identity import Belonging, Identity, engine_name, identity_of
from sreops.domain.evidence.log_selection import LogSelector, in_records, judge, selectors, shared
from sreops.domain.evidence.metric_selection import metric_selectors

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def event(**labels: str) -> AlertEvent:
    given = {"alertname": "Broken", **labels}
    subject = subject_of(given, "Broken")
    return AlertEvent(
        event_id="1", source="grafana", fingerprint="f", status=AlertStatus.firing, labels=given, annotations={},
        starts_at=NOW, received_at=NOW, tier=Tier.supervised, severity=Severity.critical, service=subject.name,
        subject=subject,
    )  # fmt: skip


def container(name: str, **labels: str) -> ContainerState:
    docker = {f"com.docker.{key.replace('_', '.')}": value for key, value in labels.items()}
    return ContainerState(id="c" * 64, name=name, image="x", status="running", running=True, labels=docker)


PAYMENTS = container("shop-payments-1", compose_project="shop", compose_service="payments")


def known(state: ContainerState | None = None, **labels: str) -> Identity:
    return identity_of(event(**labels), state)


def test_what_the_engine_says_outranks_what_the_alert_says() -> None:
    of = known(PAYMENTS, service="payments", compose_project="blog")
    assert (of.containers, of.project, of.service) == (("shop-payments-1",), "shop", "payments")
    alone = known(container_name="shop-payments-1", compose_project="shop", compose_service="payments")
    assert (alone.containers, alone.project, alone.service) == (("shop-payments-1",), "shop", "payments")


@pytest.mark.parametrize(
    ("labels", "whose"),
    [
        ({"container": "/shop-payments-1"}, "own"),
        ({"container": "shop-payments-2"}, "stranger"),
        ({"compose_project": "shop", "compose_service": "payments"}, "own"),
        ({"compose_project": "blog", "compose_service": "payments"}, "stranger"),
        ({"compose_project": "shop", "compose_service": "cart"}, "stranger"),
        ({"service_name": "payments", "service_namespace": "shop"}, "own"),
        ({"service_name": "payments", "service_namespace": "blog"}, "stranger"),
        ({"service_name": "payments"}, "unknown"),
        ({"job": "docker"}, "unknown"),
        ({"container": "shop-payments-1", "compose_project": "blog"}, "stranger"),
    ],
)
def test_streams_are_judged_by_every_label_that_tells(labels: dict[str, str], whose: str) -> None:
    assert Belonging(known(PAYMENTS, service="payments")).judge(labels) == whose


@pytest.mark.parametrize(
    ("pod", "whose"),
    [
        ("web-7c9d5b8f4-x2kqz", "own"),
        ("web-admin-7c9d5b8f4-x2kqz", "stranger"),
        ("web-0", "own"),
        ("webadmin-7c9d5b8f4-x2kqz", "stranger"),
    ],
)
def test_the_pods_of_a_workload_are_its_own_and_those_of_a_longer_name_are_not(pod: str, whose: str) -> None:
    of = known(deployment="web", namespace="shop", pod="kube-state-metrics-7d9c5b8f4-x2kqz", job="kube-state-metrics")
    belonging = Belonging(of)
    assert belonging.judge({"namespace": "shop", "pod": pod, "container": "c"}) == whose
    assert belonging.judge({"namespace": "blog", "pod": pod, "container": "c"}) == "stranger"


def test_a_selector_with_strangers_in_it_is_narrowed_to_its_own_streams_or_passed_over() -> None:
    of = known(PAYMENTS, service="payments")
    asked = LogSelector({"service_name": "payments"})
    own = {"service_name": "payments", "service_namespace": "shop"}
    other = {"service_name": "payments", "service_namespace": "blog"}
    narrowed = judge(asked, [own, other], of)
    assert narrowed.use is not None
    assert narrowed.use.labels == own
    assert "narrowed" in narrowed.why
    assert judge(asked, [other], of).use is None
    assert "strangers" in judge(asked, [other], of).why
    assert judge(asked, [], of).why == "no stream"


def test_streams_of_two_projects_of_which_nothing_tells_the_own_one_are_not_taken() -> None:
    of = known(service="payments")
    asked = LogSelector({"service": "payments"})
    two = [{"service": "payments", "container": f"{project}-payments-1"} for project in ("shop", "blog")]
    assert judge(asked, two, of).use is None
    replicas = [{"service": "payments", "container_name": f"shop-payments-{n}"} for n in (1, 2)]
    assert judge(LogSelector({"service": "payments"}), [{"service": "payments", "level": "info"}], of).use is not None
    assert judge(asked, [{k: v for k, v in one.items() if k == "service"} for one in replicas], of).use is not None


def test_a_shippers_label_is_never_a_selector_by_itself() -> None:
    for value in ("docker", "fluent-bit", "integrations/docker"):
        of = Identity(value, subject_of({"service": "x"}, "x").kind)
        assert judge(LogSelector({"job": value}), [{"job": value}], of).use is None


def test_only_label_names_that_the_server_has_are_asked_for() -> None:
    of = known(PAYMENTS, service="payments")
    names = {"container_name", "compose_project", "compose_service", "host"}
    asked = selectors(of, {}, names)
    assert asked
    assert all(names >= {*one.labels, *one.patterns} for one in asked)
    assert {*asked[0].patterns} == {"container_name"}
    assert not selectors(of, {}, {"level"})


def test_a_host_is_asked_for_its_own_streams_and_not_for_its_containers() -> None:
    of = known(job="node", instance="h1:9100")
    asked = LogSelector({"hostname": "h1"})
    journal, inside = {"hostname": "h1", "unit": "cron.service"}, {"hostname": "h1", "container_name": "x"}
    assert judge(asked, [journal], of).use is not None
    assert judge(asked, [inside], of).use is None
    narrowed = judge(asked, [journal, inside], of).use
    assert narrowed is not None
    assert narrowed.labels == journal
    assert engine_name(event(job="node", instance="h1:9100")) == ""
    assert engine_name(event(job="blackbox", instance="http://payments:8080/x")) == "payments"


def test_shared_streams_are_those_that_no_label_names() -> None:
    streams: list[dict[str, str]] = [
        {"job": "fluent-bit", "service_name": "fluent-bit"},
        {"agent": "vector", "service_name": "unknown_service", "level": "info"},
        {"agent": "vector", "service_name": "unknown_service", "level": "error"},
        {"service_name": "cart", "service_namespace": "shop"},
        {"container": "x", "job": "docker"},
        {"unit": "docker.service", "job": "journal"},
    ]
    assert shared(streams) == [
        {"job": "fluent-bit", "service_name": "fluent-bit"},
        {"agent": "vector", "service_name": "unknown_service"},
    ]


def test_a_hostile_name_stays_a_value_of_the_query() -> None:
    hostile = 'x"} or {a=~".+'
    of = known(container_name=hostile)
    record = in_records({"job": "fluent-bit"}, of)
    assert record is not None
    for query in (record.logql, *(one.logql for one in selectors(of, event(container_name=hostile).labels, None))):
        assert 'x"}' not in query.replace('\\\\"', "").replace('\\"', "")


def metrics(names: set[str] | None = None, state: ContainerState | None = None, **labels: str) -> Any:
    return [dict(one.labels) for one in metric_selectors(known(state, **labels), labels, names) if one.labels]


def test_metrics_of_a_container_are_asked_by_its_name_and_never_by_its_exporters_job() -> None:
    asked = metrics(state=PAYMENTS, name="shop-payments-1", job="cadvisor", instance="cadvisor:8080", image="x")
    assert asked[0] == {"name": "shop-payments-1"}
    assert {
        "container_label_com_docker_compose_project": "shop",
        "container_label_com_docker_compose_service": "payments",
    } in asked
    assert all("cadvisor" not in value for one in asked for value in one.values())


def test_metrics_of_a_host_and_of_a_target_are_asked_by_instance() -> None:
    assert metrics(job="node", instance="h1:9100")[0] == {"instance": "h1:9100"}
    assert metrics(job="blackbox", instance="https://shop.example/x")[0] == {"instance": "https://shop.example/x"}


def test_a_name_with_a_dot_is_asked_for_only_where_the_server_has_it() -> None:
    labels = {"service.name": "rails"}
    assert {"service.name": "rails"} in metrics(names={"service.name", "job"}, **labels)
    assert {"service.name": "rails"} not in metrics(names={"service_name", "job"}, **labels)
    assert {"service_name": "rails"} in metrics(names={"service_name", "job"}, **labels)
    assert metrics(names={"job"}, job="shop/payments")[0] == {"job": "shop/payments"}
