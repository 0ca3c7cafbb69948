"""The standing identity of a target."""

import pytest

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.remediation.places import places_of, too_many
from sreops.domain.remediation.target_identity import (
    Namesake,
    Touched,
    Where,
    address_identity,
    concerns,
    deployment_identity,
    full_names,
    may_be_one,
    names_of,
    read_identity,
    same_project,
    scope_of,
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


def service(**changes: object) -> ServiceState:
    return ServiceState.model_validate({"id": "s", "name": "web", "replicas": 1, "running": 1} | changes)


@pytest.mark.parametrize(
    ("target", "identity", "read"),
    [
        (service(), "docker/swarm/web", Where("", "swarm", ("web",))),
        (service(engine="eu-1"), "docker%3Aeu-1/swarm/web", Where("eu-1", "swarm", ("web",))),
        (service(project="a/b"), "docker/compose/a%2Fb/web", Where("", "compose", ("a/b", "web"))),
        (service(project="shop", engine="eu"), "docker%3Aeu/compose/shop/web", Where("eu", "compose", ("shop", "web"))),
        (container("x.1.y", swarm_service="web", engine="eu"), "docker%3Aeu/swarm/web", Where("eu", "swarm", ("web",))),
        (container("db", engine="eu"), "docker%3Aeu/container/db", Where("eu", "container", ("db",))),
        (container("db"), "docker/container/db", Where("", "container", ("db",))),
    ],
)
def test_an_identity_says_engine_kind_and_names_and_is_read_again(
    target: ContainerState | ServiceState, identity: str, read: Where
) -> None:
    assert standing_identity(target) == identity
    assert read_identity(identity) == read


@pytest.mark.parametrize(
    "identity",
    [
        "", "docker", "docker/swarm", "docker/swarm/a/b", "docker/container", "docker/container/a/b",
        "docker/compose/shop", "docker/compose/shop/web/x", "docker/pod/x", "podman/swarm/x", "gitlab/shop%2Fpay/prod",
    ],
)  # fmt: skip
def test_what_is_no_identity_of_an_engine_is_not_read_as_one(identity: str) -> None:
    assert read_identity(identity) is None


def test_what_lies_outside_the_engine_is_known_by_its_address_or_project() -> None:
    assert address_identity("https://hooks.example/a?b") == "url/https%3A%2F%2Fhooks.example%2Fa%3Fb"
    assert deployment_identity("Shop/Pay") == "gitlab/shop%2Fpay"
    assert deployment_identity("Shop/Pay", "Prod/eu") == "gitlab/shop%2Fpay/Prod%2Feu"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("gitlab/shop%2Fpay/production", "gitlab/shop%2Fpay", True),
        ("gitlab/shop%2Fpay/production", "gitlab/shop%2Fpay/staging", True),
        ("gitlab/shop%2Fpay/production", "gitlab/shop%2Fpay2/production", False),
        ("docker/compose/shop/pay", "docker/compose/shop/web", False),
        ("gitlab", "gitlab", False),
    ],
)
def test_one_effect_in_a_project_at_a_time_whatever_its_environment(one: str, other: str, same: bool) -> None:
    assert same_project(one, other) is same_project(other, one) is same


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"labels": COMPOSE}, {"x", "shop-payments", "shop_payments"}),
        (
            {"labels": COMPOSE | {"com.docker.compose.container-number": "2"}},
            {"x", "shop-payments", "shop_payments", "shop-payments-2", "shop_payments_2"},
        ),
        ({"labels": {"com.docker.compose.service": "payments"}}, {"x"}),
        ({"swarm_service": "shop_payments"}, {"x", "shop_payments"}),
    ],
)
def test_a_name_that_says_the_project_means_its_container_alone(changes: dict[str, object], names: set[str]) -> None:
    assert full_names(container("x", **changes)) == names


def test_the_scope_of_a_container_is_its_compose_project_and_swarm_stack() -> None:
    assert scope_of(container(labels=COMPOSE)) == {"compose_project": "shop"}
    assert scope_of(container(labels={"com.docker.stack.namespace": "shop"})) == {"swarm_stack": "shop"}
    assert scope_of(container()) == {}


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
        ("docker/compose", ["docker"]),
        ("docker/compose/shop", ["docker", "docker/compose/shop"]),
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


@pytest.mark.parametrize(
    ("standing", "limits", "told"),
    [
        ("docker/container/x", {"host": 0}, "the engine, and 0 are allowed, with 1 of this plan (SREOPS_POLICY__HOST_"),
        (
            "docker/compose/shop/db", {"host": 1, "project": 0},
            "Compose project 'shop', and 0 are allowed, with 1 of this plan (SREOPS_POLICY__PROJECT_",
        ),
        (
            "gitlab/grp%2Fshop/prod", {"project": 0},
            "GitLab project 'grp/shop', and 0 are allowed, with 1 of this plan (SREOPS_POLICY__PROJECT_",
        ),
    ],
)  # fmt: skip
def test_where_nothing_was_done_lately_the_plan_itself_counts_and_the_limit_is_named(
    standing: str, limits: dict[str, int], told: str
) -> None:
    assert too_many([standing], {}, limits.__getitem__) == [f"0 acts in the last hour on {told}ACTS_PER_HOUR)"]


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
