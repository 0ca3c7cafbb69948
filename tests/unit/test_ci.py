"""What became of a job or a pipeline, by GitLab's word; and what is told of deployments."""

from datetime import UTC, datetime, timedelta

import pytest

from sreops.domain.evidence.deployments import (
    Brought,
    BroughtCommit,
    Deployment,
    Place,
    deployment_evidence,
    no_deployment,
)
from sreops.domain.incidents.incident import EffectOutcome
from sreops.domain.remediation.ci import of_status, one_of_ours
from sreops.domain.remediation.effects import Settled
from sreops.domain.text.redaction import Redactor

AT = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
AGAIN = AT + timedelta(seconds=20)


@pytest.mark.parametrize("status", ["manual", "running", "a word of the future"])
def test_what_is_no_end_is_looked_at_again_until_the_time_is_over_and_then_unknown(status: str) -> None:
    open_ = of_status(status, "job x", now=AT, until=LATER, poll_s=10)
    assert (open_.outcome, open_.look_again_at) == (None, AT + timedelta(seconds=10))
    assert of_status(status, "job x", now=LATER, until=LATER, poll_s=10).outcome is EffectOutcome.unknown


def test_ends_are_told_as_they_are() -> None:
    assert of_status("success", "job x", now=AT, until=LATER, poll_s=10).outcome is EffectOutcome.succeeded
    for status in ("failed", "canceled", "skipped"):
        assert of_status(status, "job x", now=AT, until=LATER, poll_s=10).outcome is EffectOutcome.failed


def test_of_candidates_one_is_ours_none_may_still_come_and_several_nobody_can_tell() -> None:
    def ours(found: list[int], now: datetime = AT) -> object:
        return one_of_ours(found, what="job", now=now, until=LATER, again_at=AGAIN)

    assert ours([7]) == 7
    unknown = EffectOutcome.unknown
    for found, now, told in ([], AT, (None, AGAIN)), ([], LATER, (unknown, None)), ([7, 8], AT, (unknown, None)):
        settled = ours(found, now)
        assert isinstance(settled, Settled)
        assert (settled.outcome, settled.look_again_at) == told


def test_a_deployment_is_told_with_what_it_brought_and_the_rest_is_counted() -> None:
    one = Deployment(id=2, project="shop/pay", environment="production", sha="b" * 40, status="success", at=AT)
    brought = Brought(
        commits=(BroughtCommit(sha="b" * 40, title="One", author="Al"), BroughtCommit(sha="c" * 40, title="Two")),
        files=tuple(f"f{n}" for n in range(20)), release="v2", back=True,
    )  # fmt: skip
    place = Place(project="shop/pay", why="the map")
    told = deployment_evidence(place, one, brought, LATER, Redactor(), way_back="none")
    assert "was rolled back" in told.finding
    assert "One and 1 more" in told.finding
    assert "release v2" in told.text
    assert "and 8 more" in told.text
    assert "suspected" not in told.data
    assert "no deployment is known" in no_deployment(place, 0).finding
    assert "of 3 deployments none" in no_deployment(place, 3).finding
