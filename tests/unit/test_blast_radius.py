"""What a plan can hit: who calls the target, what else runs of it, its last change; what is not known is said."""

from typing import Any

from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.records.blast_radius import blast_radius


def piece(kind: EvidenceKind, source: str = "docker", finding: str = "", **data: Any) -> Evidence:
    return Evidence(id="E1", kind=kind, source=source, finding=finding, data=data)


def caller(name: str, role: str = "caller") -> Evidence:
    return piece(EvidenceKind.neighbour, "neighbour", service=name, role=role)


def test_who_calls_it_is_named_and_the_rest_counted() -> None:
    assert blast_radius([caller("checkout"), caller("db", "called")]).dependants == "checkout calls it."
    told = blast_radius([caller(name) for name in ("a", "b", "c", "d", "e", "a")]).dependants
    assert told == "a, b, c and 2 more call it."
    assert blast_radius([caller("db", "called")]).dependants == "Nothing is known to call it."
    assert blast_radius([]).dependants == "What calls it is not known."


def test_how_many_of_it_run_is_counted() -> None:
    up, down = piece(EvidenceKind.container, running=True), piece(EvidenceKind.container, running=False)
    assert blast_radius([up]).replicas == "It is the only container of its service."
    assert blast_radius([up, down, up]).replicas == "2 of its 3 containers run."
    assert blast_radius([down]).replicas == "Its only container does not run."
    assert blast_radius([piece(EvidenceKind.gap)]).replicas == "How many of it run is not known."


def test_the_last_change_is_that_of_who_knows_most_of_it() -> None:
    made = piece(EvidenceKind.change, "docker", "pay was created 3 min before", changes=1)
    deployed = piece(EvidenceKind.change, "gitlab", "shop/pay: 4.2.1 deployed by ada", deployment=7)
    nothing = piece(EvidenceKind.change, "grafana", "no deployment is noted", noted=0)
    assert blast_radius([made, nothing, deployed]).last_change == "Last change: shop/pay: 4.2.1 deployed by ada"
    assert blast_radius([nothing, made]).last_change == "Last change: pay was created 3 min before"
    assert blast_radius([nothing]).last_change == "No change is known of the hour before the alert."
    assert blast_radius([]).last_change == "What was deployed last is not known."
