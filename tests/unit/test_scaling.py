"""How many replicas are wanted, and of which Compose services there may be a further one."""

import copy
from typing import Any

import pytest

from sreops.adapters.docker.compose_copy import copy_of, why_not_copied
from sreops.domain.remediation.scaling import wanted_replicas, why_not_scaled

ID = "ab" * 32
REPLICA: dict[str, Any] = {
    "Id": ID,
    "Name": "/shop-web-1",
    "Image": "sha256:1",
    "State": {"Running": True},
    "Config": {
        "Hostname": ID[:12], "Image": "web:1", "Env": ["A=1"],
        "Labels": {
            "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
            "com.docker.compose.container-number": "1", "com.docker.compose.config-hash": "h",
            "com.docker.compose.image": "sha256:1", "com.docker.compose.oneoff": "False",
            "com.docker.compose.replace": "old", "own": "kept",
        },
    },
    "HostConfig": {
        "NetworkMode": "shop_front", "Binds": ["shop_data:/data:rw"], "PortBindings": {"80/tcp": [{"HostPort": ""}]},
    },
    "NetworkSettings": {
        "Networks": {
            "shop_back": {"Aliases": ["shop-web-1", "web", ID[:12]], "IPAMConfig": None},
            "shop_front": {"Aliases": ["shop-web-1", "web", "shopfront"], "IPAMConfig": {}},
        }
    },
}  # fmt: skip


def replica(*path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(REPLICA)
    at = changed
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("params", "replicas", "wanted"),
    [
        ({"replicas": 3}, 1, 3),
        ({"by": 1, "max": 4}, 1, 2),
        ({"by": 2, "max": 4}, 1, 3),
        ({"by": 2, "max": 4}, 3, 4),
        ({"by": 2, "max": 4}, 7, 7),
        ({"by": -1}, 2, 1),
        ({"by": -1}, 1, 1),
        ({"by": -3, "min": 2}, 4, 2),
        ({"by": -1, "min": 5}, 3, 3),
    ],
)
def test_more_and_fewer_stay_within_their_bounds_and_never_turn_round(
    params: dict[str, int], replicas: int, wanted: int
) -> None:
    assert wanted_replicas(params, replicas) == wanted
    assert bool(why_not_scaled("web", params, replicas)) == ("by" in params and wanted == replicas)


@pytest.mark.parametrize(
    ("params", "bound"),
    [
        ({"by": 1, "max": 4}, "at most 4"),
        ({"by": 2, "min": 2, "max": 4}, "at most 4"),
        ({"by": -1}, "at least 1"),
        ({"by": -1, "min": 4, "max": 6}, "at least 4"),
    ],
)
def test_the_bound_that_leaves_nothing_to_scale_is_named(params: dict[str, int], bound: str) -> None:
    replicas = int(bound.rpartition(" ")[2])
    assert why_not_scaled("web", params, replicas) == f"web has {replicas} replicas, and the runbook's bound is {bound}"


def test_a_further_replica_is_the_same_but_for_name_number_and_aliases() -> None:
    assert why_not_copied([REPLICA]) == ""
    made = copy_of(REPLICA, 4)
    assert made.name == "shop-web-4"
    labels = made.body["Labels"]
    assert labels["com.docker.compose.container-number"] == "4"
    assert "com.docker.compose.replace" not in labels
    assert {k: v for k, v in labels.items() if "number" not in k}.items() <= REPLICA["Config"]["Labels"].items()
    assert "Hostname" not in made.body
    assert made.body["Env"] == ["A=1"]
    assert made.body["HostConfig"] == REPLICA["HostConfig"]
    assert made.body["NetworkingConfig"] == {
        "EndpointsConfig": {"shop_front": {"Aliases": ["shop-web-4", "web", "shopfront"]}}
    }
    assert made.networks == [("shop_back", {"Aliases": ["shop-web-4", "web"]})]


def test_a_hostname_of_the_file_is_kept_and_the_hosts_network_needs_no_other() -> None:
    assert copy_of(replica("Config", "Hostname", value="front"), 2).body["Hostname"] == "front"
    on_host = replica("HostConfig", "NetworkMode", value="host")
    on_host["NetworkSettings"]["Networks"] = {"host": {"Aliases": None}}
    made = copy_of(on_host, 2)
    assert made.networks == ()
    assert "NetworkingConfig" not in made.body


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (replica("HostConfig", "PortBindings", value={"80/tcp": [{"HostPort": "8080"}]}), "fixed port"),
        (replica("Name", value="/storefront"), "container_name"),
        (replica("State", "Running", value=False), "start it first"),
        (replica("Config", "Labels", "com.docker.compose.config-hash", value=""), "no label"),
        (replica("Config", "MacAddress", value="02:42:ac:11:00:02"), "MAC"),
        (
            replica("NetworkSettings", "Networks", "shop_back", "IPAMConfig", value={"IPv4Address": "10.0.0.7"}),
            "fixed address in network shop_back",
        ),
    ],
)
def test_what_there_can_be_one_of_is_not_copied(one: dict[str, Any], why: str) -> None:
    assert why in why_not_copied([one])


def test_replicas_that_differ_are_not_copied() -> None:
    other = replica("Config", "Labels", "com.docker.compose.config-hash", value="new")
    assert "differ in com.docker.compose.config-hash" in why_not_copied([REPLICA, other])
