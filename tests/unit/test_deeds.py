"""What other people did to a target: told from the engine's events and the target's present life."""

from datetime import UTC, datetime, timedelta

import pytest

from sreops.domain.evidence.evidence import ContainerEvent, ContainerState
from sreops.domain.remediation.deeds import DeedKind, deeds_of
from sreops.domain.remediation.meanwhile import Hand

PLANNED = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return PLANNED + timedelta(seconds=seconds)


def events(*told: tuple[float, str, str]) -> list[ContainerEvent]:
    return [ContainerEvent(at=at(s), action=action, name="web", container_id=one) for s, action, one in told]


def running(started_s: float, *, made_s: float = -3600, restarts: int = 0) -> ContainerState:
    return ContainerState(
        id="a", name="web", image="web:1", status="running", running=True, created_at=at(made_s),
        started_at=at(started_s), restart_count=restarts,
    )  # fmt: skip


RESTART = [(30.0, "kill", "a"), (31.0, "die", "a"), (31.0, "stop", "a"), (32.0, "start", "a"), (32.0, "restart", "a")]
CRASH = [(30.0, "die", "a"), (31.0, "start", "a")]
STOP = [(30.0, "kill", "a"), (31.0, "die", "a"), (31.0, "stop", "a")]
MADE_ANEW = [
    (30.0, "kill", "a"), (31.0, "die", "a"), (31.5, "destroy", "a"), (32.0, "start", "b"),
]  # fmt: skip  # Compose creates the new one under another name
RUN_ANEW = [(30.0, "destroy", "a"), (31.0, "create", "b"), (32.0, "start", "b")]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (RESTART, [(32.0, DeedKind.started)]),
        (CRASH, []),
        (STOP, [(31.0, DeedKind.stopped)]),
        ([*STOP, (40.0, "start", "a")], [(40.0, DeedKind.started)]),
        (MADE_ANEW, [(32.0, DeedKind.replaced)]),
        (RUN_ANEW, [(32.0, DeedKind.replaced)]),
        ([*STOP, (33.0, "destroy", "a")], [(33.0, DeedKind.removed)]),
        ([(30.0, "kill", "a")], []),  # a signal that ended nothing
        ([(30.0, "kill", "a"), (31.0, "die", "b"), (32.0, "start", "b")], []),  # one was asked, another ended
        ([*RESTART, (40.0, "die", "a"), (41.0, "start", "a")], [(32.0, DeedKind.started)]),
        ([*RUN_ANEW, (40.0, "die", "b"), (41.0, "start", "b")], [(32.0, DeedKind.replaced)]),
        ([(31.0, "create", "b"), (32.0, "start", "b"), (33.0, "start", "b")], [(32.0, DeedKind.replaced)]),
        ([*STOP, (33.0, "kill", "b"), (34.0, "die", "b")], [(31.0, DeedKind.stopped), (34.0, DeedKind.stopped)]),
        ([(30.0, "destroy", "b"), *STOP], [(30.0, DeedKind.removed), (31.0, DeedKind.stopped)]),
        ([(0.0, "destroy", "a")], []),  # at the moment of the plan, which knew of it
        ([(-30.0, "kill", "a"), (-29.0, "die", "a"), (-28.0, "start", "a")], []),
        ([], []),
    ],
)
def test_the_engines_events_tell_what_was_asked_for_from_what_happened_by_itself(
    told: list[tuple[float, str, str]], found: list[tuple[float, DeedKind]]
) -> None:
    deeds = deeds_of("web", events(*told), None, PLANNED)
    assert [(deed.at, deed.what) for deed in deeds] == [(at(seconds), what) for seconds, what in found]


def test_what_the_engine_has_forgotten_its_present_life_tells() -> None:
    [deed] = deeds_of("web", [], running(32), PLANNED)
    assert (deed.what, deed.at) == (DeedKind.started, at(32))
    [made] = deeds_of("web", [], running(41, made_s=40), PLANNED)
    assert (made.what, made.at) == (DeedKind.replaced, at(41))
    assert deeds_of("web", [], running(32, restarts=1), PLANNED) == (), "its own restart policy"
    assert deeds_of("web", [], running(-600), PLANNED) == ()


def test_one_restart_that_both_tell_of_is_one_deed() -> None:
    assert len(deeds_of("web", events(*RESTART), running(32.2), PLANNED)) == 1


def test_what_we_did_ourselves_is_no_deed_of_others() -> None:
    ours = [Hand(since=at(29), until=at(34))]
    assert deeds_of("web", events(*RESTART), running(32), PLANNED, ours) == ()
    assert len(deeds_of("web", events(*RESTART, *[(s + 60, a, c) for s, a, c in RESTART]), None, PLANNED, ours)) == 1


def test_what_does_not_run_or_has_never_been_started_tells_of_no_start() -> None:
    ended = running(32).model_copy(update={"running": False})
    assert deeds_of("web", [], ended, PLANNED) == ()
    assert deeds_of("web", [], running(32).model_copy(update={"started_at": None}), PLANNED) == ()


@pytest.mark.parametrize(
    ("present", "deed"),
    [
        (running(41, made_s=40), (DeedKind.replaced, 41)),
        (running(60, made_s=40, restarts=1), (DeedKind.replaced, 40)),  # its restart policy has started it since
        (running(41, made_s=0), (DeedKind.started, 41)),  # made for the plan to see
        (running(41).model_copy(update={"created_at": None}), (DeedKind.started, 41)),
    ],
)
def test_a_life_tells_whether_its_container_was_made_anew(
    present: ContainerState, deed: tuple[DeedKind, float]
) -> None:
    [found] = deeds_of("web", [], present, PLANNED)
    assert (found.target, found.what, found.at) == ("web", deed[0], at(deed[1]))


@pytest.mark.parametrize(("started_s", "count"), [(27, 1), (26.5, 2), (37, 1), (37.5, 2)])
def test_a_life_that_begins_within_five_seconds_of_a_told_start_is_that_one(started_s: float, count: int) -> None:
    found = deeds_of("web", events(*RESTART), running(started_s), PLANNED)
    assert len(found) == count
    assert list(found) == sorted(found, key=lambda deed: deed.at)


@pytest.mark.parametrize(("since", "until", "count"), [(32, 40, 0), (20, 32, 0), (33, 40, 1), (20, 31, 1)])
def test_only_what_happened_while_we_acted_is_ours(since: float, until: float, count: int) -> None:
    ours = [Hand(since=at(since), until=at(until))]
    assert len(deeds_of("web", events(*RESTART), None, PLANNED, ours)) == count
    assert len(deeds_of("web", [], running(32), PLANNED, ours)) == count
    assert len(deeds_of("web", [], running(32, made_s=30), PLANNED, ours)) == count
