"""The way back: older, different, and never rolled away from."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.evidence.deployments import Deployment
from sreops.domain.remediation.rollback import way_back

AT = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


def deployed(*shas: str, jobless: tuple[int, ...] = (), status: dict[int, str] | None = None) -> list[Deployment]:
    """Deployments of these commits, oldest first; their ids count from 1."""
    return [
        Deployment(
            id=number, project="shop/pay", environment="production", sha=sha, at=AT + timedelta(minutes=number),
            status=(status or {}).get(number, "success"), job_id=None if number in jobless else 100 + number,
            job_name="deploy", pipeline_id=number,
        )
        for number, sha in enumerate(shas, 1)
    ]  # fmt: skip


def test_it_leads_to_the_last_good_version_before() -> None:
    found = way_back(deployed("a", "b", "c"))
    assert found.to is not None
    assert (found.current.sha if found.current else "", found.to.sha) == ("c", "b")


def test_after_a_rollback_the_row_below_is_the_bad_version_and_is_not_gone_to() -> None:
    found = way_back(deployed("a", "b", "a"))
    assert found.to is None
    assert "never rolled away from" in found.why
    older = way_back(deployed("z", "a", "b", "a"))
    assert older.to is not None
    assert older.to.sha == "z"


def test_what_was_rolled_away_from_stays_left_after_a_mended_version() -> None:
    found = way_back(deployed("a", "bad", "a", "mended"))
    assert found.to is not None
    assert found.to.sha == "a"


@pytest.mark.parametrize("history", ["a bad a mended", "a bad a mended mended", "a bad worse a mended"])
def test_what_was_left_is_not_gone_to_where_the_version_before_it_has_no_job(history: str) -> None:
    shas = history.split()
    found = way_back(deployed(*shas, jobless=(1, shas.index("a", 1) + 1)))
    assert (found.to, found.current.sha if found.current else "") == (None, "mended")
    assert "never rolled away from" in found.why


def test_a_failed_deployment_is_neither_what_runs_nor_a_way_back() -> None:
    found = way_back(deployed("a", "b", "c", status={2: "failed", 3: "success"}))
    assert found.to is not None
    assert found.to.sha == "a"


def test_one_that_was_only_reported_has_no_job_to_run_again() -> None:
    found = way_back(deployed("a", "b", "c", jobless=(2,)))
    assert found.to is not None
    assert found.to.sha == "a"
    assert way_back(deployed("a", "b", jobless=(1,))).to is None


def test_while_one_is_under_way_nothing_is_rolled_back() -> None:
    found = way_back(deployed("a", "b", "c", status={3: "running"}))
    assert (found.to, found.why) == (None, "deployment 3 is under way")


def test_a_single_version_has_no_way_back() -> None:
    assert way_back([]).to is None
    assert way_back(deployed("a")).to is None
    assert way_back(deployed("a", "a")).to is None


@given(st.lists(st.sampled_from("abcd"), max_size=12))
def test_it_never_leads_to_what_runs_or_forward(shas: list[str]) -> None:
    history = deployed(*shas)
    found = way_back(history)
    if found.to is not None:
        assert found.to.sha != shas[-1]
        assert shas.index(found.to.sha) < shas.index(shas[-1])


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=8))
def test_a_second_rollback_never_leads_to_the_version_that_the_first_one_left(shas: list[str]) -> None:
    first = way_back(deployed(*shas))
    if first.to is None:
        return
    second = way_back(deployed(*shas, first.to.sha))
    assert second.to is None or second.to.sha != shas[-1]
