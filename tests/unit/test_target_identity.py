"""The standing identity of a target."""

import pytest

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.remediation.places import places_of, too_many
from sreops.domain.remediation.target_identity import (
    Namesake,
    Touched,
    concerns,
    deployment_identity,
    may_be_one,
    names_of,
    standing_identity,
)

COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "payments"}


def container(name: str = "shop-payments-1", **changes: object) -> ContainerState:
    fields = {"id": "c" * 64, "name": name, "image": "i", "status": "running", "running": True} | changes
    return ContainerState.model_validate(fields)


def test_a_recreated_renamed_or_further_container_of_a_compose_service_is_the_same_target() -> None:
    first = container(labels=COMPOSE, image="registry.example:5000/shop/payments:1")
    for other in (
        container(labels=COMPOSE, id="d" * 64, image="payments:2"),
        container("abc_shop-payments-1", labels=COMPOSE),
        container("shop-payments-2", labels=COMPOSE),
    ):
        assert standing_identity(other) == standing_identity(first) == "docker/compose/shop/payments"


@pytest.mark.parametrize(
    ("changes", "identity"),
    [
        ({"labels": {}}, "docker/container/shop-payments-1"),
        ({"labels": COMPOSE | {"com.docker.compose.project": "monitoring"}}, "docker/compose/monitoring/payments"),
        ({"labels": COMPOSE | {"com.docker.compose.oneoff": "True"}}, "docker/container/shop-payments-1"),
        ({"labels": {"com.docker.compose.service": "payments"}}, "docker/container/shop-payments-1"),
        ({"labels": COMPOSE, "engine": "eu-1"}, "docker%3Aeu-1/compose/shop/payments"),
        ({"swarm_service": "shop_payments"}, "docker/swarm/shop_payments"),
        ({"labels": COMPOSE | {"com.docker.compose.project": "a/b"}}, "docker/compose/a%2Fb/payments"),
    ],
)
def test_it_is_engine_and_service_or_else_the_name(changes: dict[str, object], identity: str) -> None:
    assert standing_identity(container(**changes)) == identity


def test_a_task_and_its_swarm_service_are_one() -> None:
    service = ServiceState(id="s", name="shop_payments", replicas=1, running=1)
    assert standing_identity(service) == standing_identity(container("x.1.y", swarm_service="shop_payments"))


def test_the_names_of_a_target() -> None:
    assert names_of(container(labels=COMPOSE)) == {"shop-payments-1", "payments"}
    assert names_of(ServiceState(id="s", name="web", replicas=1, running=1)) == {"web"}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Touched("x", "shop-payments-1", "docker/compose/shop/payments"), True),  # the same under another name
        (Touched("payments", "y", "docker/compose/other/y"), True),  # for the same subject
        (Touched("x", "payments", "docker/compose/monitoring/payments"), False),  # only called the same
        (Touched("x", "payments"), True),  # of 0.1
        (Touched("payments", "x"), True),
        (Touched("x", "y"), False),
    ],
)
def test_what_concerns_a_target_and_subject(other: Touched, same: bool) -> None:
    asked = ({"payments"}, {"payments", "shop-payments-1"}, {"docker/compose/shop/payments"})
    assert concerns(*asked, other) is same


def test_rows_without_an_identity_are_not_all_one() -> None:
    assert not concerns({"a"}, {"a"}, {""}, Touched("b", "b", ""))


@pytest.mark.parametrize(
    ("standing", "places"),
    [
        (standing_identity(container(labels=COMPOSE)), ["docker", "docker/compose/shop"]),
        (standing_identity(container(labels=COMPOSE, engine="eu-1")), ["docker%3Aeu-1", "docker%3Aeu-1/compose/shop"]),
        (standing_identity(container(labels={})), ["docker"]),
        (standing_identity(container("x.1.y", swarm_service="q")), ["docker"]),
        (deployment_identity("grp/shop", "prod"), ["gitlab/grp%2Fshop"]),
        (deployment_identity("grp/shop"), ["gitlab/grp%2Fshop"]),
        ("url/https%3A%2F%2Fhooks", []),
        ("", []),
        ("docker", []),
    ],
)
def test_a_target_lies_on_a_host_and_in_a_project(standing: str, places: list[str]) -> None:
    assert [place.identity for place in places_of(standing)] == places


def test_each_place_has_its_own_limit_and_is_named() -> None:
    standings = ["docker%3Aeu-1/compose/shop/db", "docker%3Aeu-1/container/x"]
    acts = {"docker%3Aeu-1": 9, "docker%3Aeu-1/compose/shop": 4}
    assert too_many(standings, acts, lambda kind: 11 if kind == "host" else 5) == []
    [host] = too_many(standings, acts, lambda kind: 10 if kind == "host" else 5)
    assert host.startswith("9 acts in the last hour on engine 'eu-1', and 10 are allowed, with 2 of this plan")
    [project] = too_many(standings, acts, lambda kind: 11 if kind == "host" else 4)
    assert "Compose project 'shop', and 4 are allowed, with 1 of this plan" in project


SHOP, MONITORING = {"compose_project": "shop"}, {"compose_project": "monitoring"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Namesake("docker/compose/shop/db", {}), Namesake("docker/compose/monitoring/db", {}), False),
        (Namesake("docker/compose/shop/db", {}), Namesake("docker%3Aeu/compose/shop/db", {}), False),
        (Namesake("docker/compose/shop/db", {}), Namesake("docker/compose/shop/db", {"host": "a"}), True),
        (Namesake("", SHOP), Namesake("", MONITORING), False),
        (Namesake("docker/compose/shop/db", SHOP), Namesake("", MONITORING), False),
        (Namesake("", SHOP), Namesake("", {"environment": "prod"}), True),  # nothing that both say differs
        (Namesake("docker/compose/shop/db", {}), Namesake("", {}), True),  # not known: none the less
        (Namesake("docker/compose/shop/db", {}), Namesake("docker/container/db", {}), True),  # taken over by Compose
        (Namesake("", {}), Namesake("", {}), True),
    ],
)
def test_namesakes_are_told_apart_where_that_is_known(one: Namesake, other: Namesake, same: bool) -> None:
    assert may_be_one(one, other) is may_be_one(other, one) is same
