"""The rules blame a dependency that is down, and not the service that tells of it."""

from typing import Any

import pytest

from sreops.domain.causes.analysis import Analysis, Brief, Category, RecommendedAction
from sreops.domain.causes.conclude import DECISIVE, conclude
from sreops.domain.evidence.evidence import Evidence, EvidenceKind


def neighbour(role: str = "called", *, errors: float | None = None, **container: Any) -> Evidence:
    signals = {} if errors is None else {"error_ratio": {"signal": "error_ratio", "last": errors}}
    state = {"running": True, "health": "healthy", "exit_code": None, "status": "running", **container}
    data = {"service": "ledger-db", "role": role, "container": state, "signals": signals}
    return Evidence(id="E4", kind=EvidenceKind.neighbour, source="neighbour", finding="f", data=data)


def suspects(first: str, *, abstained: bool = False) -> Evidence:
    data = {"first": first, "abstained": abstained}
    return Evidence(id="E5", kind=EvidenceKind.suspects, source="suspects", finding="f", data=data)


def own(**state: Any) -> Evidence:
    data = {"running": True, "health": "unhealthy", "status": "running", **state}
    return Evidence(id="E3", kind=EvidenceKind.container, source="docker", finding="f", data=data)


def concluded(*evidence: Evidence) -> Analysis:
    return conclude(Brief(incident_id="i", alerts=(), evidence=evidence, offered=()))


def test_a_dependency_that_is_down_explains_the_unhealthy_messenger() -> None:
    alone = concluded(own())
    assert (alone.category, alone.recommended_action) == (Category.unhealthy, RecommendedAction.restart)
    found = concluded(own(), neighbour(running=False, exit_code=137), suspects("ledger-db"))
    assert (found.category, found.recommended_action) == (Category.dependency_down, RecommendedAction.escalate)
    assert found.confidence > DECISIVE
    assert {"E4", "E5"} <= set(found.evidence)
    assert "ledger-db, which it calls, is not running (exit code 137)" in found.root_cause


def test_an_unhealthy_dependency_counts_more_where_it_changed_most() -> None:
    led = concluded(neighbour(health="unhealthy"), suspects("ledger-db"))
    other = concluded(neighbour(health="unhealthy"), suspects("payments"))
    unsure = concluded(neighbour(health="unhealthy"), suspects("ledger-db", abstained=True))
    assert led.category is other.category is Category.dependency_down
    assert led.confidence >= DECISIVE > other.confidence == unsure.confidence


def test_errors_of_a_dependency_alone_are_not_decisive() -> None:
    found = concluded(neighbour(errors=0.4), suspects("ledger-db"))
    assert found.category is Category.dependency_down
    assert found.confidence < DECISIVE
    assert concluded(neighbour(errors=0.4), suspects("payments")).category is Category.unknown


@pytest.mark.parametrize(
    "item",
    [
        neighbour("caller", running=False, exit_code=1),
        neighbour(),
        neighbour(errors=0.01),
        neighbour().model_copy(update={"data": {"role": "called", "container": "down", "signals": []}}),
    ],
)
def test_callers_and_healthy_dependencies_are_no_signs(item: Evidence) -> None:
    assert concluded(item, suspects("ledger-db")).category is Category.unknown


def test_the_services_own_death_by_memory_is_not_blamed_on_a_dependency_that_fails_requests() -> None:
    found = concluded(own(oom_killed=True, running=False), neighbour(errors=0.4), suspects("ledger-db"))
    assert found.category is Category.out_of_memory


def test_one_that_was_stopped_in_an_orderly_way_is_not_decisive() -> None:
    assert concluded(neighbour(running=False, exit_code=0), suspects("payments")).confidence < DECISIVE


PEER_DOWN: dict[str, Any] = {"running": False, "exit_code": 137, "status": "exited"}


def test_a_peer_that_is_down_is_told_where_nothing_else_is_found_and_hardly_believed() -> None:
    peer, called = concluded(neighbour("peer", **PEER_DOWN)), concluded(neighbour(**PEER_DOWN))
    assert peer.category is called.category is Category.dependency_down
    assert peer.confidence < 0.3 < DECISIVE <= called.confidence
    assert "ledger-db, beside it (no calls known), is not running" in peer.root_cause
    assert not peer.recommended_action.acts


@pytest.mark.parametrize("ill", [PEER_DOWN, {"health": "unhealthy"}])
def test_a_peer_s_illness_changes_nothing_in_what_the_service_s_own_evidence_says(ill: dict[str, Any]) -> None:
    peer = neighbour("peer", errors=0.9, **ill)
    for alone in ((own(oom_killed=True, running=False),), (own(),), (neighbour(health="unhealthy"),)):
        assert concluded(*alone, peer, suspects("ledger-db")) == concluded(*alone, suspects("ledger-db"))


def test_a_peer_that_ended_in_an_orderly_way_or_is_well_is_no_sign() -> None:
    ended = neighbour("peer", running=False, exit_code=0, status="exited")
    assert concluded(ended, neighbour("peer", errors=0.9)).category is Category.unknown
