"""Random schedules of deaths, looks, resolves and joins: nothing is fixed or recovered while it is dead or dies again.

Over the pure part, in the rhythm of verify_success and of the recovery that a resolve brings; the true course is known
here, and each verdict is held against it.
"""

from dataclasses import dataclass
from datetime import datetime

from hypothesis import event, given, settings
from hypothesis import strategies as st

from sreops.domain.incidents.incident import VerificationResult
from sreops.domain.remediation.life import Prospect, since_resolve
from sreops.domain.remediation.verification import Look, OtherAlert, Reading, Standard, judge
from sreops.domain.runbooks.runbook import Condition
from unit.life_course import SETTLE_S, TURNS, Course, Turn, at

DEADLINE_S = 200
EXAMPLES = max(200, settings().max_examples)
CONDITION = Condition(promql="errors", condition="< 0.01")


@dataclass(frozen=True)
class Alert:
    """An alert of the incident: when it joined, its firing from then on, and who tells of it.

    ``asked``: the system that evaluates it answers; else only its resolves, which come ``late_s`` after their time,
    tell that it is over.
    """

    joined: int
    fires_s: tuple[int, ...]  # it fires for so long, is silent for so long, fires …
    asked: bool
    late_s: int
    same_name: bool

    def fires(self, second: float) -> bool:
        """Whether it fires in truth."""
        began: float = self.joined
        for place, span in enumerate(self.fires_s):
            if second < began + span:
                return place % 2 == 0
            began += span
        return len(self.fires_s) % 2 == 0

    def told_over(self, second: float) -> bool:
        """Whether the newest that its sender has told of it is a genuine resolve."""
        return not self.fires(second) and second - self.late_s >= self.joined and not self.fires(second - self.late_s)

    def state(self, second: float) -> bool | None:
        """Return what a look is told: by its system, else by our own record."""
        if self.asked:
            return self.fires(second)
        return False if self.told_over(second) else None


_alerts = st.lists(
    st.builds(
        Alert,
        st.integers(0, 150),
        st.lists(st.integers(1, 90), min_size=1, max_size=5).map(tuple),
        st.booleans(),
        st.integers(0, 20),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
_gaps = st.lists(st.integers(1, 25), min_size=1, max_size=15)
_measured = st.lists(st.sampled_from([True, True, False, None]), min_size=16, max_size=16)


def looks_at(gaps: list[int], first: float) -> list[float]:
    """Return when is looked, from the first look on."""
    times = [first]
    for gap in gaps:
        times.append(times[-1] + gap)
    return times


def look(course: Course, alerts: list[Alert], second: float, holds: bool | None, *, conditions: bool) -> Look:
    """Return what one look is told; as measured by the agent."""
    pulse = course.look(second)
    assert pulse is not None
    main, *joined = alerts
    others = [
        OtherAlert(alertname="main" if one.same_name else f"other-{place}", firing=one.state(second))
        for place, one in enumerate(joined)
        if one.joined <= second
    ]
    readings = (Reading(promql="errors", condition="< 0.01", holds=holds),) if conditions else ()
    spoken_for = [one for one in others if one.firing is None and one.alertname == "main" and conditions]
    return Look(
        readings=readings,
        pulses=(pulse,),
        alert_firing=main.state(second),
        others=tuple(one for one in others if one not in spoken_for),
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(TURNS, _alerts, _gaps, _measured, st.booleans())
def test_after_an_effect_nothing_is_fixed_that_is_dead_dies_again_or_whose_alerts_fire(
    turns: list[Turn], alerts: list[Alert], gaps: list[int], measured: list[bool | None], conditions: bool
) -> None:
    course = Course(turns)
    first = course.look(0)
    assert first is not None
    standard = Standard(
        conditions=(CONDITION,) if conditions else (), targets=("payments",),
        left_as={"payments": (at(0), first)}, since=at(0), settle_s=SETTLE_S,
    )  # fmt: skip
    history: list[tuple[datetime, Look]] = []
    for second, holds in zip(looks_at(gaps, SETTLE_S), measured, strict=False):
        history.append((at(second), look(course, alerts, second, holds, conditions=conditions)))
        judgement = judge(history, standard, now=at(second), deadline=at(SETTLE_S + DEADLINE_S))
        event(judgement.result.value)
        if judgement.result is VerificationResult.fixed:
            assert judgement.final
            assert not course.deaths(0, second)
            assert course.was_well(second - SETTLE_S, second)
            assert holds is True or not conditions
            for place, one in enumerate(alerts):
                if place and one.joined > second:
                    continue  # it has not joined yet: what joins after the last look keeps the incident open
                assert one.state(second) is not True
                if not conditions or (place and not one.same_name):
                    assert one.state(second) is False, "of what the conditions say nothing, somebody must know"
        if judgement.final:
            return


@settings(max_examples=EXAMPLES, deadline=None)
@given(TURNS, _alerts, _gaps)
def test_without_an_effect_nothing_is_recovered_that_is_dead_dies_again_or_fires(
    turns: list[Turn], alerts: list[Alert], gaps: list[int]
) -> None:
    course = Course(turns)
    resolved_at: float | None = None
    for second in looks_at(gaps, 1):
        known = [alerts[0], *(one for one in alerts[1:] if one.joined <= second)]
        if not all(one.told_over(second) for one in known) or any(one.state(second) for one in known):
            resolved_at = None  # it fires, fires again, or somebody has joined: the work goes on
            continue
        resolved_at = second if resolved_at is None else resolved_at
        pulse = course.look(second)
        assert pulse is not None
        verdict = since_resolve(pulse, at(resolved_at), settle_s=SETTLE_S, now=at(second))
        event(verdict.prospect.value)
        if verdict.prospect is Prospect.lives:
            assert second - resolved_at >= SETTLE_S
            assert course.was_well(second - SETTLE_S, second)
            assert not course.deaths(second - SETTLE_S, second)
            assert not any(one.fires(second) for one in known)
            return


@settings(max_examples=EXAMPLES, deadline=None)
@given(TURNS, _gaps)
def test_what_dies_after_each_start_within_the_settle_time_is_never_called_well(
    turns: list[Turn], gaps: list[int]
) -> None:
    """A crash loop, however its looks fall: nothing fires any more, since its series died with it."""
    course = Course(turns)
    starts = [start for start, _, _ in course.starts]
    first = course.look(0)
    assert first is not None
    standard = Standard(targets=("payments",), left_as={"payments": (at(0), first)}, since=at(0), settle_s=SETTLE_S)
    history: list[tuple[datetime, Look]] = []
    for second in looks_at(gaps, SETTLE_S):
        pulse = course.look(second)
        assert pulse is not None
        history.append((at(second), Look(pulses=(pulse,), alert_firing=False)))
        up_s = second - max(start for start in starts if start <= second)
        if up_s < SETTLE_S or not course.was_well(second, second + 0.1):
            assert since_resolve(pulse, at(0), settle_s=SETTLE_S, now=at(second)).prospect is not Prospect.lives
            judged = judge(history, standard, now=at(second), deadline=at(900))
            assert judged.result is not VerificationResult.fixed
