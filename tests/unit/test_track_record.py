"""What a runbook has done on a service, earned, and lost."""

from datetime import UTC, datetime, timedelta

import pytest

from sreops.domain.records.track_record import Run, track_records

T0 = datetime(2026, 11, 30, tzinfo=UTC)


def runs(*told: str, service: str = "payments") -> list[Run]:
    """Return runs, oldest first in ``told``: a fix under approval, a fix alone, recovered by itself, handed over."""
    made = [
        Run(
            runbook_id="restart", service=service, ended_at=T0 + timedelta(hours=number),
            fixed=word in ("approved", "alone", "fixed and handed over"),
            handed_over=word in ("failed", "fixed and handed over"),
            approved=word in ("approved", "fixed and handed over"),
        )
        for number, word in enumerate(told)
    ]  # fmt: skip
    return made[::-1]


@pytest.mark.parametrize(
    ("told", "in_a_row", "lost_hour"),
    [
        (("approved", "approved"), 2, None),
        (("approved", "alone", "approved"), 2, None),
        (("approved", "recovered", "approved"), 2, None),
        (("approved", "failed", "approved"), 1, 1),
        (("approved", "approved", "failed"), 0, 2),
        (("failed", "approved"), 1, None),  # there was nothing to lose
        (("failed", "failed"), 0, None),
        (("approved", "failed", "failed"), 0, 1),
        (("approved", "failed", "approved", "failed"), 0, 3),
        (("approved", "fixed and handed over"), 2, None),  # what was fixed is not lost by what came after it
    ],
)
def test_fixes_under_approval_count_in_a_row_and_are_lost_at_the_first_that_failed(
    told: tuple[str, ...], in_a_row: int, lost_hour: int | None
) -> None:
    [found] = track_records(runs(*told))
    assert found.in_a_row == in_a_row
    assert found.lost_at == (None if lost_hour is None else T0 + timedelta(hours=lost_hour))


def test_each_service_has_a_record_of_its_own() -> None:
    first, second = track_records([*runs("approved", "failed"), *runs("alone", service="cart")])
    assert (first.service, first.runs, first.fixed, first.handed_over) == ("payments", 2, 1, 1)
    assert first.last_at == T0 + timedelta(hours=1)
    assert (second.service, second.runs, second.fixed, second.in_a_row) == ("cart", 1, 1, 0)
