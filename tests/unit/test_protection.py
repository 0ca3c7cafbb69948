"""What is never a target: sreops itself and what it stands on, found from its own settings' addresses."""

from typing import Any

import pytest

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.evidence.reach import Attachment, Published, Reach
from sreops.domain.remediation.protection import Ourselves, OwnAddress, why_protected

COMPOSE = {"com.docker.compose.project": "ops", "com.docker.compose.service": "db"}


def container(name: str = "ops-db-1", container_id: str = "d" * 64, **changes: Any) -> ContainerState:
    fields = {"id": container_id, "name": name, "image": "i", "status": "running", "running": True} | changes
    return ContainerState.model_validate(fields)


def attached(network: str = "ops", ip: str = "172.20.0.3", *names: str) -> Reach:
    one = Attachment(
        network=network,
        names=frozenset(names or ("ops-db-1", "db")),
        addresses=frozenset({ip}),
        subnets=frozenset({"172.20.0.0/16"}),
        gateway="172.20.0.1",
    )
    return Reach(attachments=(one,))


def publishing(port: int, host_ip: str = "", reach: Reach | None = None) -> Reach:
    return (reach or attached("shop", "172.21.0.9", "shop-db-1")).model_copy(
        update={"published": (Published(port=port, host_ip=host_ip),)}
    )


def database(host: str, *ips: str, port: int = 5432) -> tuple[OwnAddress, ...]:
    return (OwnAddress(what="the database", setting="SREOPS_DATABASE_URL", host=host, port=port, ips=frozenset(ips)),)


SREOPS = container("ops-sreops-1", "a" * 64, labels=COMPOSE | {"com.docker.compose.service": "sreops"},
                   reach=attached("ops", "172.20.0.2", "sreops"))  # fmt: skip


@pytest.mark.parametrize("value", ["true", " True ", "TRUE"])
def test_the_label_protects_a_container_and_a_service(value: str) -> None:
    labels = {"sreops.protect": value, "sreops.enable": "true"}
    service = ServiceState(id="s", name="db", replicas=1, running=1, labels=labels)
    for target in (container(labels=labels), service):
        assert "sreops.protect=true" in why_protected(target, Ourselves())


@pytest.mark.parametrize("labels", [{}, {"sreops.protect": "false"}, {"sreops.protect": ""}])
def test_without_it_a_stranger_is_not_protected(labels: dict[str, str]) -> None:
    us = Ourselves(hostname="ops1", addresses=database("db.example.com", "8.8.4.4"))
    assert why_protected(container(labels=labels, reach=attached()), us) == ""


@pytest.mark.parametrize(
    ("target", "us"),
    [
        (container(container_id="a" * 64), Ourselves(ids=frozenset({"a" * 64}))),
        (container(container_id="abc123abc123" + "0" * 52), Ourselves(hostname="abc123abc123")),
        (container(reach=Reach(hostname="sreops")), Ourselves(hostname="sreops")),
        (container("ops-sreops-2", labels=SREOPS.labels), Ourselves(container=SREOPS)),  # another replica
    ],
)
def test_sreops_never_acts_upon_itself(target: ContainerState, us: Ourselves) -> None:
    assert why_protected(target, us) == "it is sreops' own container"


def test_on_the_hosts_network_every_container_is_called_like_the_host_and_none_is_sreops_for_that() -> None:
    target = container(reach=Reach(hostname="ops1", on_host_network=True))
    assert why_protected(target, Ourselves(hostname="ops1")) == ""


@pytest.mark.parametrize(
    ("reach", "us"),
    [
        # by name: in a network that sreops is in too, or where nobody here can resolve it
        (attached(), Ourselves(container=SREOPS, addresses=database("DB."))),
        (attached(), Ourselves(container=SREOPS, addresses=database("ops-db-1", "172.20.0.3"))),
        (attached(), Ourselves(container=SREOPS, addresses=database("db", "10.0.0.9"))),  # here and now it means this
        (attached(), Ourselves(addresses=database("db"))),
        # by address
        (attached(), Ourselves(addresses=database("pg.internal", "172.20.0.3"))),
        # by a port of the host
        (publishing(5432), Ourselves(addresses=database("localhost", "127.0.0.1", "::1"))),
        (publishing(5432, "0.0.0.0"), Ourselves(addresses=database("127.0.0.1", "127.0.0.1"))),
        (publishing(5432, "::"), Ourselves(addresses=database("localhost", "::1"))),
        (publishing(5432, "127.0.0.1"), Ourselves(addresses=database("127.0.0.1", "127.0.0.1"))),
        (publishing(5432), Ourselves(addresses=database("ops1", "10.0.0.5"), host_ips=frozenset({"10.0.0.5"}))),
        (publishing(5432), Ourselves(container=SREOPS, addresses=database("host.docker.internal", "172.20.0.1"))),
        (publishing(5432), Ourselves(container=SREOPS, addresses=database("10.0.0.5", "10.0.0.5"))),  # may be the host
        (publishing(5432), Ourselves(addresses=database("db.example.com"))),  # what it means is not known
    ],
)
def test_what_a_setting_leads_to_is_protected_and_the_setting_is_named(reach: Reach, us: Ourselves) -> None:
    why = why_protected(container(reach=reach, labels={"sreops.enable": "true"}), us)
    assert why.startswith("it is the database of sreops (SREOPS_DATABASE_URL leads to it: ")


@pytest.mark.parametrize(
    ("reach", "us"),
    [
        # a namesake in a network of others
        (attached("monitoring", "172.22.0.3"), Ourselves(container=SREOPS, addresses=database("db", "172.20.0.3"))),
        (attached("monitoring", "172.22.0.3"), Ourselves(container=SREOPS, addresses=database("db"))),
        (attached(), Ourselves(addresses=database("db", "10.0.0.9"))),  # the name means another machine here
        (publishing(5433), Ourselves(addresses=database("localhost", "127.0.0.1"))),
        (publishing(5432, "10.0.0.5"), Ourselves(addresses=database("localhost", "127.0.0.1"))),
        (publishing(5432), Ourselves(addresses=database("db.example.com", "8.8.4.4"))),
        # sreops' own container: its loopback is not the host's, and a neighbour in its network is no host
        (publishing(5432), Ourselves(container=SREOPS, addresses=database("localhost", "127.0.0.1"))),
        (publishing(5432), Ourselves(container=SREOPS, addresses=database("db", "172.20.0.3"))),
        (publishing(5432), Ourselves(engine_is_local=False, addresses=database("localhost", "127.0.0.1"))),
        (publishing(5432), Ourselves(container=SREOPS, addresses=database("db.example.com", "8.8.4.4"))),
    ],
)
def test_what_only_looks_like_it_is_not(reach: Reach, us: Ourselves) -> None:
    assert why_protected(container("shop-db-1", reach=reach), us) == ""


@pytest.mark.parametrize(
    ("reach", "us", "how"),
    [
        (attached(), Ourselves(container=SREOPS, addresses=database("DB.")), "DB. is its name in network ops"),
        (attached(), Ourselves(addresses=database("pg", "172.20.0.3")), "172.20.0.3 is its address in network ops"),
        (
            publishing(5432), Ourselves(addresses=database("localhost", "127.0.0.1")),
            "it publishes port 5432 of its host",
        ),
        (
            publishing(5432), Ourselves(addresses=database("db.example.com")),
            "it publishes port 5432 of its host, and what its name means can't be found out",
        ),
        (
            publishing(5432), Ourselves(container=SREOPS, addresses=database("10.0.0.5", "10.0.0.5")),
            "it publishes port 5432 of its host, and that may be the host that is meant",
        ),
    ],
)  # fmt: skip
def test_people_are_told_how_the_setting_leads_there_and_what_is_uncertain(
    reach: Reach, us: Ourselves, how: str
) -> None:
    told = f"it is the database of sreops (SREOPS_DATABASE_URL leads to it: {how})"
    assert why_protected(container(reach=reach), us) == told


def test_a_subnet_that_is_written_by_an_address_in_it_is_read() -> None:
    [own] = SREOPS.reach.attachments
    loosely = own.model_copy(update={"subnets": frozenset({"172.20.0.1/16"})})
    sreops = SREOPS.model_copy(update={"reach": Reach(attachments=(loosely,))})
    us = Ourselves(container=sreops, addresses=database("db", "172.20.0.3"))
    assert why_protected(container("shop-db-1", reach=publishing(5432)), us) == "", "a neighbour, not the host"


def test_a_swarm_service_that_is_the_broker_is_protected() -> None:
    broker = OwnAddress(what="the broker", setting="SREOPS_KAFKA__BOOTSTRAP_SERVERS", host="redpanda", port=9092)
    service = ServiceState(
        id="s", name="redpanda", replicas=1, running=1,
        reach=Reach(attachments=(Attachment(network="n", names=frozenset({"redpanda", "tasks.redpanda"})),)),
    )  # fmt: skip
    assert "the broker" in why_protected(service, Ourselves(addresses=(broker,)))
