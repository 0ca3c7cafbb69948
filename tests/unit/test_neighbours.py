"""Who is next to a service, and what is told of it."""

import pytest

from sreops.domain.evidence.evidence import ContainerState, Evidence, EvidenceKind
from sreops.domain.evidence.neighbours import (
    MAX_CALLS,
    MAX_NEIGHBOURS,
    NearService,
    Neighbour,
    NeighbourRole,
    calls_of,
    compose_calls,
    near_services,
    neighbour_evidence,
    neighbours_of,
)
from sreops.domain.evidence.peers import ContainerPlace, beside, user_networks
from sreops.domain.text.redaction import Redactor


def container(
    service: str,
    *needs: str,
    running: bool = True,
    name: str = "",
    health: str | None = None,
    networks: tuple[str, ...] = ("apart",),
) -> ContainerState:
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": service,
        "com.docker.compose.depends_on": ",".join(needs),
    }
    return ContainerState(
        id="0" * 64, name=name or f"shop-{service}-1", image="i", labels=labels, running=running, health=health,
        status="running" if running else "exited", exit_code=None if running else 137, networks=networks,
    )  # fmt: skip


def names(found: tuple[Neighbour, ...]) -> list[tuple[str, str]]:
    return [(one.service, one.role.value) for one in found]


def test_what_a_service_calls_comes_before_what_calls_it() -> None:
    own = container("payments", "ledger-db:service_started:false", "migrate:service_completed_successfully:false")
    around = [container("checkout", "payments:service_started:false"), container("ledger-db")]
    found = neighbours_of("payments", own, around, {"payments": ["mail"], "batch": ["payments"]})
    assert names(found) == [("mail", "called"), ("ledger-db", "called"), ("batch", "caller"), ("checkout", "caller")]
    assert [one.state is not None for one in found] == [False, True, False, True]
    assert calls_of("payments", found) == {
        ("payments", "mail"), ("payments", "ledger-db"), ("batch", "payments"), ("checkout", "payments"),
    }  # fmt: skip


def test_the_topology_is_known_by_the_compose_service_too_and_nobody_is_its_own_neighbour() -> None:
    own = container("api", "api:service_started:false", name="shop-api-1")
    assert names(neighbours_of("shop-api-1", own, [], {"api": ["db", "shop-api-1"]})) == [("db", "called")]


def test_of_several_containers_the_one_that_is_worst_off_stands_for_the_service() -> None:
    own = container("api", "db:service_started:false")
    around = [container("db", health="healthy"), container("db", running=False), container("db", health="unhealthy")]
    [db] = neighbours_of("api", own, around, {})
    assert db.state is not None
    assert not db.state.running


def test_no_more_neighbours_than_can_be_looked_at() -> None:
    assert len(neighbours_of("hub", None, [], {"hub": [f"s{n}" for n in range(50)]})) == MAX_CALLS
    crowd = [container(f"p{n}", networks=("shop",)) for n in range(50)]
    found = neighbours_of("hub", container("hub", networks=("shop",)), crowd, {"hub": [f"s{n}" for n in range(50)]})
    assert [one.role for one in found] == [NeighbourRole.called] * MAX_CALLS + [NeighbourRole.peer] * (
        MAX_NEIGHBOURS - MAX_CALLS
    )


def test_peers_come_last_those_that_are_down_first_and_no_calls_are_known_of_them() -> None:
    own = container("web", "db:service_started:false", networks=("front", "back"))
    around = [
        container("a", networks=("front",)), container("z", running=False, networks=("back",)),
        container("db", networks=("back",)), container("mail", networks=("front",)),
        container("apart", networks=("third",)), container("web", networks=("front",)),
    ]  # fmt: skip
    found = neighbours_of("web", own, around, {"mail": ["web"]})
    assert names(found) == [("db", "called"), ("mail", "caller"), ("z", "peer"), ("a", "peer")]
    assert [one.by for one in found] == ["depends_on", "the topology", "network back", "network front"]
    assert calls_of("web", found) == {("web", "db"), ("mail", "web")}
    told = neighbour_evidence(found[2], [], Redactor())
    assert told.finding.startswith("neighbour z (beside it, no calls known: same network back): ")
    assert (told.data["role"], told.data["by"]) == ("peer", "network back")


P, S = "com.docker.compose.project", "com.docker.compose.service"


@pytest.mark.parametrize(
    ("own", "other", "by"),
    [
        (ContainerPlace({P: "p", S: "a"}, ("n",)), ContainerPlace({P: "p", S: "b"}, ("m", "n")), "network n"),
        (ContainerPlace({P: "p", S: "a"}, ("n",)), ContainerPlace({P: "p", S: "b"}, ("m",)), ""),
        (ContainerPlace({P: "p", S: "a"}), ContainerPlace({P: "p", S: "b"}, ("m",)), "Compose project p"),
        (ContainerPlace({P: "p", S: "a"}, ("n",)), ContainerPlace({P: "q", S: "b"}, ("n",)), ""),
        (ContainerPlace({P: "p", S: "a"}, ("n",)), ContainerPlace({P: "p", S: "a"}, ("n",)), ""),
        (ContainerPlace({P: "p", S: "a"}), ContainerPlace({P: "p", S: "b", "com.docker.compose.oneoff": "True"}), ""),
        (ContainerPlace({"team": "x"}), ContainerPlace({"team": "x"}), "label team=x"),
        (ContainerPlace({"team": "x"}), ContainerPlace({"team": "y"}), ""),
        (ContainerPlace({}), ContainerPlace({}), ""),
        (
            ContainerPlace({P: "p", S: "a", "team": "x"}, ("n",)),
            ContainerPlace({P: "p", S: "b", "team": "x"}, ("m",)),
            "label team=x",
        ),
    ],
)
def test_by_what_two_containers_are_peers(own: ContainerPlace, other: ContainerPlace, by: str) -> None:
    assert beside(own, other, ("part-of", "team")) == by


def test_the_engine_s_own_networks_and_what_is_no_name_make_no_peers() -> None:
    assert user_networks(["shop_default", "bridge", "host", "none", "ingress", "a b", "", 7, "x"]) == (
        "shop_default", "x",
    )  # fmt: skip


def test_labels_that_are_no_names_are_left_out() -> None:
    labels = {"com.docker.compose.depends_on": "ok:service_started:false,,a b,../x:y,\x00,ok"}
    assert compose_calls(labels) == ("ok",)


def test_the_finding_tells_the_worst_signal_first_and_the_container() -> None:
    def signal(name: str, finding: str, change: float) -> Evidence:
        data = {"signal": name, "change": change}
        return Evidence(id="", kind=EvidenceKind.metric, source="prometheus", query=name, finding=finding, data=data)

    down = Neighbour("ledger-db", NeighbourRole.called, container("ledger-db", running=False), "depends_on")
    signals = [signal("latency_p95", "latency steady", 0.01), signal("error_ratio", "errors rose", 0.9)]
    item = neighbour_evidence(down, signals, Redactor())
    assert item.finding == (
        "neighbour ledger-db (which it calls, by depends_on): "
        "errors rose; latency steady; container exited (exit code 137)"
    )
    assert item.data["container"]["running"] is False
    assert set(item.data["signals"]) == {"latency_p95", "error_ratio"}
    unseen = neighbour_evidence(Neighbour("x", NeighbourRole.caller), [], Redactor())
    assert "no metric is known" in unseen.finding
    assert "no container is known" in unseen.finding


def piece(kind: str, **data: object) -> Evidence:
    return Evidence(id="E1", kind=EvidenceKind(kind), source="s", finding="f", data=data)


def test_a_neighbour_that_may_be_asked_about_is_one_that_the_evidence_was_gathered_of() -> None:
    found = near_services(
        [
            piece("neighbour", service="db", role="called", container={"name": "shop-db-1"}),
            piece("neighbour", service="web", role="caller", container=None),
            piece("neighbour", service="db", role="caller"),
            piece("neighbour", service="a\x00b", role="called"),
            piece("neighbour", service=7, role="called"),
            piece("neighbour", service="mail", role="peer", by="network x"),
            piece("logs", service="stranger", role="called"),
            piece("events", service="stranger", role="called"),
        ]
    )
    assert found == (
        NearService("db", "which it calls", "shop-db-1"),
        NearService("web", "which calls it"),
        NearService("mail", "beside it, no calls known"),
    )
    assert len(near_services([piece("neighbour", service=f"s{n}", role="called") for n in range(99)])) == MAX_NEIGHBOURS
