"""The wait after failures in a row."""

import math

from sreops.backoff import delay_s


def test_it_doubles_from_the_first_to_the_last_and_stays_there() -> None:
    assert [delay_s(failures, 0.5, 5.0) for failures in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_no_count_makes_it_less_than_the_first_or_more_than_the_last() -> None:
    assert delay_s(0, 2.0, 60.0) == delay_s(-5, 2.0, 60.0) == 2.0
    assert delay_s(10**9, 2.0, 60.0) == 60.0
    assert math.isfinite(delay_s(10**9, 2.0, math.inf))
