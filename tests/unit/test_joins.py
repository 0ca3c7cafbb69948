"""Who joins is heard: what an alert that joins changes, and when its incident is analysed again."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.alerts.alert import Severity
from sreops.domain.alerts.severity import RANK
from sreops.domain.incidents.joins import (
    APART_S,
    FLAPS,
    MAX_ANALYSES,
    Joined,
    Joins,
    News,
    Standing,
    flapping,
    is_safe_point,
    news_of,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CRITICAL, WARNING = Severity.critical, Severity.warning


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def joined(name: str = "DiskFull", severity: Severity = WARNING, *, new: bool = True) -> Joined:
    return Joined(event_id=f"of-{name}-{severity.value}", alertname=name, severity=severity, new_name=new)


def standing(
    status: str = "escalated", severity: Severity = WARNING, *, begun: bool = True, storm: bool = False
) -> Standing:
    return Standing(status=status, severity=severity, begun=begun, is_storm=storm)


def heard(*alerts: Joined, of: Standing | None = None, joins: Joins | None = None, seconds: float = 0) -> News:
    return news_of(of or standing(), alerts, joins or Joins(), at(seconds))


def test_more_of_the_same_is_no_news() -> None:
    said = heard(joined(new=False), joined("HighMemory", new=False))
    assert (said.told, said.joins) == (False, Joins())


def test_a_worse_one_of_the_same_name_is_told_and_analysed() -> None:
    said = heard(joined(severity=CRITICAL, new=False))
    assert (said.worse, said.names, said.event_id) == (True, (), "of-DiskFull-critical")
    assert said.joins.pending is not None
    assert (said.joins.pending.due_at, said.joins.pending.names) == (NOW, ("DiskFull",))


def test_one_of_another_name_is_told_and_analysed_though_it_is_less_bad() -> None:
    said = heard(joined(), of=standing(severity=CRITICAL))
    assert (said.told, said.worse, said.names) == (True, False, ("DiskFull",))
    assert said.joins.pending is not None


def test_the_worst_who_joined_is_what_the_analysis_is_about() -> None:
    said = heard(joined("A"), joined("B", CRITICAL), joined("C"))
    assert said.joins.pending is not None
    assert (said.joins.pending.event_id, said.joins.pending.names) == ("of-B-critical", ("A", "B", "C"))


@pytest.mark.parametrize("status", ["awaiting_approval", "escalated", "remediating", "verifying"])
def test_whatever_it_is_at_it_is_analysed_again(status: str) -> None:
    assert heard(joined(), of=standing(status)).joins.pending is not None
    assert is_safe_point(status) is (status in ("awaiting_approval", "escalated"))


def test_what_joins_before_the_analysis_has_begun_is_part_of_it() -> None:
    said = heard(joined(severity=CRITICAL), of=standing("investigating", begun=False))
    assert said.told
    assert said.joins.pending is None
    assert heard(joined(), of=standing("investigating")).joins.pending is not None


def test_each_name_is_analysed_once() -> None:
    after = heard(joined("A")).joins.begun(NOW)
    assert (after.analyses, after.names, after.began_by, after.pending) == (1, ("A",), "of-A-warning", None)
    again = heard(joined("A", CRITICAL, new=False), joins=after, seconds=1000)
    assert again.worse
    assert again.joins.pending is None


def test_at_most_one_in_three_hundred_seconds_and_what_joins_meanwhile_is_heard_together() -> None:
    after = heard(joined("A")).joins.begun(NOW)
    first = heard(joined("B"), joins=after, seconds=10).joins
    assert first.pending is not None
    assert first.pending.due_at == at(APART_S)
    both = heard(joined("C", CRITICAL), joins=first, seconds=20).joins
    assert both.pending is not None
    assert (both.pending.due_at, both.pending.names) == (at(APART_S), ("B", "C"))
    assert both.pending.event_id == "of-C-critical"


def test_three_times_and_no_more() -> None:
    joins = Joins()
    for number in range(5):
        joins = heard(joined(f"A{number}"), joins=joins, seconds=1000 * number).joins.begun(at(1000 * number))
    assert joins.analyses == MAX_ANALYSES


def test_a_storm_is_told_of_what_is_worse_only_and_never_analysed_again() -> None:
    of = standing(storm=True)
    assert not heard(joined(), of=of).told
    said = heard(joined(severity=CRITICAL), of=of)
    assert (said.worse, said.joins.pending) == (True, None)


def test_an_alert_that_began_to_fire_four_times_in_ten_minutes_flaps() -> None:
    assert flapping("A", FLAPS - 1, NOW) is None
    flaps = flapping("A", FLAPS, NOW)
    assert flaps is not None
    assert "A is flapping: it began to fire 4 times" in flaps.in_words


ALERTS = st.builds(joined, st.sampled_from("ABCDEF"), st.sampled_from(Severity), new=st.booleans())
STANDING = st.builds(
    standing, st.sampled_from(["investigating", "escalated", "verifying"]), st.sampled_from(Severity),
    begun=st.booleans(), storm=st.booleans(),
)  # fmt: skip


@given(
    st.lists(
        st.tuples(st.floats(0, 400), st.lists(ALERTS, min_size=1, max_size=4), STANDING, st.booleans()), max_size=30
    )
)
def test_over_any_history_the_bounds_hold(history: list[tuple[float, list[Joined], Standing, bool]]) -> None:
    joins, now, begun_at = Joins(), NOW, []
    for seconds, alerts, of, begins in history:
        now += timedelta(seconds=seconds)
        said = news_of(of, alerts, joins, now)
        assert said.worse is (min(RANK[one.severity] for one in alerts) < RANK[of.severity])
        if said.told:
            assert said.event_id in {one.event_id for one in alerts}
        joins = said.joins
        if begins and joins.pending is not None and joins.pending.due_at <= now:
            analysed = set(joins.names)
            joins = joins.begun(now)
            assert set(joins.names) > analysed, "each analysis is about a name that had none"
            begun_at.append(now)
    assert len(begun_at) == joins.analyses <= MAX_ANALYSES
    assert all((b - a).total_seconds() >= APART_S for a, b in itertools.pairwise(begun_at))
