"""Maintenance windows and change freezes: when they hold, for whom, and how a wrong one is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.windows import TimeWindow, held_by_label, holding, moment_of
from sreops.errors import RunbooksInvalid

SATURDAY = datetime(2026, 11, 28, tzinfo=UTC)


def window(**fields: Any) -> TimeWindow:
    return TimeWindow.model_validate(fields)


def at(hour: int, minute: int = 0, *, day: int = 28) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "now", "holds"),
    [
        ({"start": "2026-11-28T01:00:00Z", "end": "2026-11-28T02:00:00Z"}, at(1), True),
        ({"start": "2026-11-28T01:00:00Z", "end": "2026-11-28T02:00:00Z"}, at(2), False),
        ({"start": "2026-11-28T01:00:00Z", "end": "2026-11-28T02:00:00Z"}, at(0, 59), False),
        ({"start": "2026-11-28T01:00:00Z"}, at(23), True),
        ({"end": "2026-11-28T03:00:00+02:00"}, at(0, 59), True),
        ({"end": "2026-11-28T03:00:00+02:00"}, at(1), False),
        ({"after": "02:00", "before": "04:00"}, at(2), True),
        ({"after": "02:00", "before": "04:00"}, at(4), False),
        ({"after": "22:00", "before": "06:00"}, at(23), True),
        ({"after": "22:00", "before": "06:00"}, at(5, 59), True),
        ({"after": "22:00", "before": "06:00"}, at(6), False),
        ({"days": "saturday"}, at(12), True),
        ({"days": ["sat", "Sun"]}, at(0, day=30), False),
        ({"days": ["fri"], "after": "22:00", "before": "06:00"}, at(5), True),  # began on Friday evening
        ({"days": ["fri"], "after": "22:00", "before": "06:00"}, at(23), False),  # Saturday evening
        ({"days": ["sat"], "after": "22:00", "before": "06:00"}, at(5), False),
        ({"after": "22:00"}, at(23), True),
        ({"after": "22:00"}, at(0), False),
        ({"before": "06:00"}, at(0), True),
        ({"before": "06:00"}, at(6), False),
        ({"days": ["sat"], "timezone": "Pacific/Auckland"}, at(11), False),  # Sunday there
        ({"after": "01:00", "before": "02:00", "timezone": "Europe/Berlin"}, at(0, 30), True),
    ],
)
def test_a_window_holds_from_its_start_until_its_end(fields: dict[str, Any], now: datetime, holds: bool) -> None:
    assert window(**fields).holds(now) is holds


def test_a_window_that_comes_again_moves_with_the_clocks_of_its_zone() -> None:
    nightly = window(after="02:00", before="04:00", timezone="Europe/Berlin")
    winter, summer = datetime(2026, 1, 10, 1, 30, tzinfo=UTC), datetime(2026, 7, 10, 1, 30, tzinfo=UTC)
    assert nightly.holds(winter)
    assert nightly.holds(summer)
    assert not nightly.holds(datetime(2026, 7, 10, 2, 30, tzinfo=UTC))
    assert nightly.holds(datetime(2026, 1, 10, 2, 30, tzinfo=UTC))


def test_a_window_is_for_those_whom_its_globs_name_and_tells_why() -> None:
    some = window(name="db upgrade", days="sat", after="00:00", before="04:00", subjects="ledger-*")
    assert holding((some,), {"ledger-db"}, SATURDAY) == ("db upgrade (on saturday 00:00 to 04:00 UTC)",)
    assert holding((some,), {"payments"}, SATURDAY) == ()
    assert holding((some,), {"payments", "ledger-db"}, SATURDAY) != ()
    assert holding((window(days="sat"),), {"payments"}, SATURDAY) == ("on saturday",)
    assert holding((some,), {"ledger-db"}, SATURDAY + timedelta(hours=4)) == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "says no time"),
        ({"name": "x", "subjects": "a"}, "says no time"),
        ({"start": "2026-11-28T02:00:00Z", "end": "2026-11-28T02:00:00Z"}, "ends before it starts"),
        ({"start": "2026-11-28T02:00:00"}, "a time with its zone"),
        ({"start": "tomorrow"}, "a time with its zone"),
        ({"after": "25:00"}, "a time of day"),
        ({"after": "2:00"}, "a time of day"),
        ({"days": "su"}, "is no day of the week"),
        ({"days": ["caturday"]}, "did you mean 'saturday'?"),
        ({"days": []}, "a list of days"),
        ({"days": "sat", "timezone": "Europe/Berlni"}, "is no time zone"),
        ({"days": "sat", "timezone": "../etc/passwd"}, "is no time zone"),
    ],
)
def test_a_wrong_window_says_what_is_wrong(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match="(?s).*" + said.replace("?", r"\?")):
        window(**fields)


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("true", True), ("TRUE", True), ("", False), ("false", False), ("no", False), ("0", False),
        ("2026-11-28T00:00:01Z", True), ("2026-11-28T00:00:00Z", False), ("2026-11-28T00:30:00+01:00", False),
        ("until Monday", True), ("2026-11-28", True),
    ],
)  # fmt: skip
def test_a_label_holds_until_its_time_and_where_it_can_not_be_read(value: str, holds: bool) -> None:
    assert held_by_label(value, SATURDAY) is holds


def test_a_moment_is_read_with_its_zone_or_not_at_all() -> None:
    assert moment_of("2026-11-28t01:00:00.5z") == datetime(2026, 11, 28, 1, 0, 0, 500000, tzinfo=UTC)
    assert moment_of("9999-12-31T23:59:59-23:59") is None, "beyond what a clock can show"
    assert moment_of("2026-13-01T00:00:00Z") is None


def test_a_runbook_has_windows_of_its_own_and_its_faults_have_a_line() -> None:
    text = (
        "version: 1\nrunbooks:\n  - id: r\n    when: {alertname: X}\n    steps: [{action: restart_container}]\n"
        "    not_during:\n      - {name: night, days: [sat, sun], after: 22:00, before: 06:00}\n"
    )
    [runbook] = load_runbooks(text, path="r.yaml")
    assert runbook.not_during[0].holds(at(23))
    with pytest.raises(RunbooksInvalid) as caught:
        load_runbooks(text.replace("22:00", "22h").replace("days", "day"), path="r.yaml")
    assert [problem.split(": ", 1)[0] for problem in caught.value.problems] == ["r.yaml:7", "r.yaml:7"]
    assert "did you mean 'days'?" in str(caught.value)
