"""Verification: the conditions decide, the rest can only veto, and no data is never success."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreops.domain.evidence.evidence import Series, SeriesSet
from sreops.domain.incidents.incident import VerificationResult
from sreops.domain.remediation.life import Pulse, Vital
from sreops.domain.remediation.verification import (
    Judgement,
    Look,
    OtherAlert,
    Reading,
    Standard,
    already_met,
    judge,
    parse_condition,
    read_condition,
    vetoed,
)
from sreops.domain.runbooks.runbook import Condition

START = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
FIXED, NOT_FIXED, UNKNOWN = VerificationResult.fixed, VerificationResult.not_fixed, VerificationResult.unknown
ERRORS = Condition(promql="errors", condition="< 0.05")
SLOW = Condition(promql="latency", condition="< 1", for_s=30)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def answer(*values: float, partial: bool = False) -> SeriesSet:
    series = tuple(Series(labels={"n": str(n)}, points=((0.0, value),)) for n, value in enumerate(values))
    return SeriesSet(query="errors", series=series, partial=partial)


STARTED = START - timedelta(seconds=1)


def pulse(word: str, target: str = "payments") -> Pulse:
    return Pulse(target=target, vital=Vital(word), id="c1", started_at=STARTED)


def look(
    *holds: bool | None, container: str | None = "healthy", alert: bool | None = False, other: object = "none"
) -> Look:
    readings = tuple(Reading(promql=f"q{n}", condition="< 1", holds=hold) for n, hold in enumerate(holds))
    others = () if other == "none" else (OtherAlert(alertname="QueueStuck", firing=other),)  # type: ignore[arg-type]
    pulses = (pulse(container),) if container else ()
    return Look(readings=readings, pulses=pulses, alert_firing=alert, others=others)


def judged(
    *looks: tuple[float, Look],
    conditions: tuple[Condition, ...] = (ERRORS,),
    deadline: float = 300,
    baseline: Look | None = None,
    settle_s: float = 10,
) -> Judgement:
    """Judge looks since an effect at 0 that left its target healthy, where the looks see a target at all."""
    history = [(at(seconds), seen) for seconds, seen in looks]
    now = history[-1][0] if history else at(deadline)
    targets = ("payments",) if any(seen.pulses for _, seen in history) else ()
    standard = Standard(
        conditions=conditions, targets=targets, left_as={"payments": (at(0), pulse("healthy"))}, since=at(0),
        settle_s=settle_s,
    )  # fmt: skip
    return judge(history, standard, now=now, deadline=at(deadline), baseline=baseline)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("< 0.01", ("<", 0.01)), (">=1", (">=", 1.0)), (" == -2.5e3 ", ("==", -2500.0)), ("!= .5", ("!=", 0.5))],
)
def test_conditions_are_comparisons(text: str, expected: tuple[str, float]) -> None:
    assert parse_condition(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.01",
        "<",
        "< x",
        "=< 1",
        "= 1",
        "< 1 s",
        "< nan",
        "< inf",
        "< 1e999",
        "1 < 2",
        "<" * 99,
        "< 1_0",
        "< \u0661",
    ],
)
def test_what_is_no_comparison_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"as in '< 0\.01'"):
        parse_condition(text)


@given(st.text())
def test_any_condition_is_read_or_refused(text: str) -> None:
    try:
        _, limit = parse_condition(text)
    except ValueError:
        return
    assert math.isfinite(limit)


@pytest.mark.parametrize(
    ("given_answer", "holds", "why"),
    [
        (answer(0.01), True, "0.01 < 0.05"),
        (answer(0.01, 0.02), True, "0.02 < 0.05"),
        (answer(0.01, 0.5), False, "1 of 2 series: 0.5 is not < 0.05"),
        (answer(0.05), False, "0.05 is not < 0.05"),
        (answer(), None, "no data"),
        (answer(math.nan), None, "NaN"),
        (answer(0.01, math.nan), None, "NaN"),
        (answer(0.5, math.nan), False, "0.5 is not < 0.05"),
        (answer(math.inf), None, "infinite"),
        (answer(-math.inf), None, "infinite"),
        (answer(0.01, -math.inf), None, "infinite"),
        (answer(0.01, partial=True), None, "partial"),
        (answer(0.5, partial=True), None, "partial"),
        (SeriesSet(query="q", series=(Series(labels={}, points=()),)), None, "no data"),
        (None, None, "Prometheus is away"),
    ],
)
def test_every_series_must_meet_the_condition_and_what_was_not_measured_is_unknown(
    given_answer: SeriesSet | None, holds: bool | None, why: str
) -> None:
    reading = read_condition(ERRORS, given_answer, "Prometheus is away" if given_answer is None else "")
    assert reading.holds is holds
    assert why in reading.why
    assert all(math.isfinite(value) for value in reading.values)


@pytest.mark.parametrize(
    ("given_answer", "values", "why"),
    [
        (answer(0.01, -0.02), (0.01, -0.02), "-0.02 < 0.05"),
        (answer(0.6, 0.01, 0.5), (0.6, 0.01, 0.5), "2 of 3 series: 0.6 is not < 0.05"),
        (answer(0.01, math.inf), (0.01,), "a series is NaN or infinite: nothing was measured there"),
        (answer(), (), "the query returned no data"),
        (answer(0.01, partial=True), (0.01,), "the answer is partial: cut"),
        (
            answer(0.01, partial=True).model_copy(update={"notes": ("a store is away", "b too")}), (0.01,),
            "the answer is partial: a store is away; b too",
        ),
        (None, (), "the query was not answered"),
    ],
)  # fmt: skip
def test_a_reading_says_what_was_asked_measured_and_why(
    given_answer: SeriesSet | None, values: tuple[float, ...], why: str
) -> None:
    reading = read_condition(ERRORS, given_answer)
    assert (reading.promql, reading.condition, reading.values, reading.why) == ("errors", "< 0.05", values, why)


@pytest.mark.parametrize(
    ("alert", "others", "nothing"),
    [
        (False, (), True), (False, (False, False), True), (False, (False, True), False), (False, (None,), False),
        (None, (), False), (True, (False,), False),
    ],
)  # fmt: skip
def test_nothing_fires_only_where_that_is_known_of_every_alert(
    alert: bool | None, others: tuple[bool | None, ...], nothing: bool
) -> None:
    told = tuple(OtherAlert(alertname="a", firing=firing) for firing in others)
    assert Look(alert_firing=alert, others=told).nothing_fires is nothing


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("healthy", "starting", "unseen", "done"), None),
        (("healthy", "unhealthy", "down"), "target 1 is unhealthy"),
        (("down",), "target 0 is down"),
        (("gone",), "target 0 is gone"),
        ((), None),
    ],
)
def test_a_target_that_is_not_well_contradicts_a_recovery(words: tuple[str, ...], why: str | None) -> None:
    assert vetoed(Look(pulses=tuple(pulse(word, f"target {n}") for n, word in enumerate(words)))) == why


def test_the_latest_point_of_a_series_counts() -> None:
    series = SeriesSet(query="q", series=(Series(labels={}, points=((1.0, 0.9), (2.0, 0.01))),))
    assert read_condition(ERRORS, series).holds is True


def test_conditions_that_hold_with_nothing_against_them_are_a_fix_at_once() -> None:
    judgement = judged((10, look(True)))
    assert (judgement.result, judgement.final) == (FIXED, True)


@pytest.mark.parametrize("alert", [False, None])
@pytest.mark.parametrize("container", ["healthy", "running", None])
def test_only_a_contradiction_vetoes(container: str | None, alert: bool | None) -> None:
    assert judged((10, look(True, container=container, alert=alert))).result is FIXED


@pytest.mark.parametrize(
    ("seen", "early", "late", "why"),
    [
        (look(False), NOT_FIXED, NOT_FIXED, "q0"),
        (look(True, container="unhealthy"), NOT_FIXED, NOT_FIXED, "payments is unhealthy"),
        (look(True, alert=True), NOT_FIXED, NOT_FIXED, "the alert still fires"),
        (look(True, container="starting"), UNKNOWN, UNKNOWN, "payments is starting"),
        (look(True, container="unseen"), UNKNOWN, UNKNOWN, "payments is unseen"),
        (look(True, other=True), NOT_FIXED, NOT_FIXED, "alert QueueStuck of this incident still fires"),
        (look(True, other=None), UNKNOWN, UNKNOWN, "nobody knows whether alert QueueStuck"),
        (look(None), UNKNOWN, UNKNOWN, "q0"),
        (look(False, None, container=None), NOT_FIXED, NOT_FIXED, "q0"),
        (look(True, None), UNKNOWN, UNKNOWN, "q1"),
    ],
)
def test_what_is_not_a_fix_is_final_only_at_the_deadline(
    seen: Look, early: VerificationResult, late: VerificationResult, why: str
) -> None:
    conditions = (ERRORS,) * len(seen.readings)
    before, after = judged((299, seen), conditions=conditions), judged((300, seen), conditions=conditions)
    assert (before.result, before.final) == (early, False)
    assert (after.result, after.final) == (late, True)
    assert why in after.why


def test_a_condition_must_hold_without_a_break_for_its_time() -> None:
    good, bad, blind = look(True), look(False), look(None)
    ten = (SLOW,)
    assert not judged((10, good), (39, good), conditions=ten).final
    assert judged((10, good), (40, good), conditions=ten).result is FIXED
    assert judged((10, good), (20, bad), (30, good), (50, good), conditions=ten).result is UNKNOWN
    assert judged((10, good), (20, blind), (30, good), (50, good), conditions=ten).result is UNKNOWN
    assert judged((10, good), (20, bad), (30, good), (60, good), conditions=ten).result is FIXED


def test_holding_too_short_at_the_deadline_is_unknown_not_fixed() -> None:
    judgement = judged((290, look(True)), (300, look(True)), conditions=(SLOW,))
    assert (judgement.result, judgement.final) == (UNKNOWN, True)
    assert "for 10 of 30 s" in judgement.why


def test_what_was_seen_before_the_effect_does_not_count() -> None:
    judgement = judged((-60, look(True)), (-1, look(True)))
    assert (judgement.result, judgement.final) == (UNKNOWN, False)
    assert judged((-60, look(True)), (10, look(True)), conditions=(SLOW,)).result is UNKNOWN


@pytest.mark.parametrize("word", ["down", "gone"])
def test_a_target_that_is_down_after_the_effect_ends_it_at_once_and_is_said_first(word: str) -> None:
    judgement = judged((10, look(False, container=word, alert=True)))
    assert (judgement.result, judgement.final) == (NOT_FIXED, True)
    assert judgement.why.startswith(f"payments is {word}")


def test_it_is_fixed_only_after_the_target_has_lived_for_the_settle_time() -> None:
    early = judged((9, look(True)))
    assert (early.result, early.final, early.again_at) == (UNKNOWN, False, at(10))
    assert judged((10, look(True))).result is FIXED
    ill_between = judged((9, look(True, container="unhealthy")), (11, look(True)))
    assert (ill_between.result, ill_between.again_at) == (UNKNOWN, at(19))


def test_a_service_that_was_no_target_must_live_too() -> None:
    both = look(True)
    dead = both.model_copy(update={"pulses": (*both.pulses, pulse("down", "checkout"))})
    judgement = judged((10, dead))
    assert (judgement.result, judgement.final) == (NOT_FIXED, False)
    assert "checkout is down" in judgement.why


def test_an_alert_that_is_known_to_be_over_is_no_obstacle() -> None:
    assert judged((10, look(True, other=False))).result is FIXED


@pytest.mark.parametrize(
    ("alert", "container", "result", "final"),
    [
        (False, "healthy", FIXED, True),
        (False, None, FIXED, True),
        (False, "down", NOT_FIXED, True),
        (False, "unhealthy", NOT_FIXED, False),
        (True, "healthy", NOT_FIXED, False),
        (None, "healthy", UNKNOWN, False),
    ],
)
def test_without_conditions_the_alerts_own_state_decides(
    alert: bool | None, container: str | None, result: VerificationResult, final: bool
) -> None:
    judgement = judged((10, look(container=container, alert=alert)), conditions=())
    assert (judgement.result, judgement.final) == (result, final)


def test_a_success_proves_nothing_where_the_conditions_held_before() -> None:
    judgement = judged((10, look(True)), baseline=look(True, alert=True))
    assert (judgement.result, judgement.final) == (UNKNOWN, True)
    assert "can't tell a fix" in judgement.why
    for before in (look(False), look(None), look(True, container="down"), look(True, container="unhealthy")):
        assert judged((10, look(True)), baseline=before).result is FIXED
    assert judged((10, look(alert=False)), conditions=(), baseline=look(alert=True)).result is FIXED


@pytest.mark.parametrize(
    ("seen", "met"),
    [(look(True, True), True), (look(True, None), False), (look(True, False), False), (look(), False),
     (look(True, container="down"), False), (look(True, container="starting"), True)]
)  # fmt: skip
def test_already_met_means_nothing_to_fix_is_seen(seen: Look, met: bool) -> None:
    assert already_met(seen) is met


def test_a_last_look_that_lacks_a_target_is_no_proof_that_it_lives() -> None:
    judgement = judged((10, look(True)), (20, look(True, container=None)))
    assert (judgement.result, judgement.why) == (UNKNOWN, "payments is unseen (it was not looked at)")


def test_an_earlier_look_that_lacks_a_condition_breaks_the_time_that_it_held() -> None:
    seen = ((5, look()), (10, look(True)))
    assert judged(*seen, (39, look(True)), conditions=(SLOW,)).result is UNKNOWN
    assert judged(*seen, (40, look(True)), conditions=(SLOW,)).result is FIXED


def test_a_look_that_lacks_a_condition_is_unknown() -> None:
    judgement = judged((300, look(True)), conditions=(ERRORS, SLOW))
    assert (judgement.result, judgement.final) == (UNKNOWN, True)


def measured(value: float, promql: str = "q{}", *, holds: bool | None = True, why: str = "") -> Reading:
    return Reading(promql=promql, condition="< 1", holds=holds, values=(value,), why=why)


def seen_as(*readings: Reading, word: str = "healthy", alert: bool | None = False, other: object = "none") -> Look:
    return look(container=word, alert=alert, other=other).model_copy(update={"readings": readings})


LIVES = "payments is healthy, for 10 s since the effect"
ILL = measured(3, holds=False)
NOBODY_KNOWS = "nobody knows whether alert QueueStuck of this incident still fires; the conditions don't speak of it"


@pytest.mark.parametrize(
    ("seen", "baseline", "why"),
    [
        (seen_as(measured(0.5)), None, f"q 0.5; {LIVES}"),
        (seen_as(measured(0.5)), seen_as(ILL), f"q 0.5, was 3; {LIVES}"),
        (seen_as(measured(0.5)), seen_as(measured(3, "of another{}", holds=False)), f"q 0.5; {LIVES}"),
        (seen_as(measured(0.5), measured(0.4)), seen_as(ILL), f"q 0.5, was 3; q 0.4; {LIVES}"),
        (seen_as(), seen_as(alert=True), f"the alert no longer fires; {LIVES}"),
        (seen_as(ILL, word="down", alert=True, other=True), seen_as(measured(4, holds=False)),
         "payments is down since the effect; q 3, was 4, should be < 1; the alert still fires; "
         "alert QueueStuck of this incident still fires"),
        (seen_as(ILL, measured(0.5), word="unhealthy"), None, "payments is unhealthy; q 3, should be < 1"),
        (seen_as(measured(0.5, holds=None, why="cut"), word="starting", other=None), seen_as(ILL),
         f"q 0.5, was 3: cut; payments is starting; {NOBODY_KNOWS}"),
        (seen_as(alert=None), None,
         "the runbook has no verify conditions and nobody knows whether the alert still fires"),
        (seen_as(measured(0.5), alert=None), None, f"q 0.5; {LIVES}"),
    ],
)  # fmt: skip
def test_how_things_stand_is_told_with_what_was_before_and_what_is_down_first(
    seen: Look, baseline: Look | None, why: str
) -> None:
    assert judged((10, seen), conditions=(ERRORS,) * len(seen.readings), baseline=baseline).why == why


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([(290, seen_as(measured(0.5))), (300, seen_as(measured(0.4)))], "q 0.4, was 3, for 10 of 30 s so far"),
        ([(300, seen_as())], "0 of 1 conditions were measured"),
        ([(-1, seen_as(measured(0.5)))], "nothing was measured since the effect"),
        ([], "nothing was measured since the effect"),
    ],
)
def test_what_is_not_known_yet_is_told(looks: list[tuple[float, Look]], why: str) -> None:
    judgement = judged(*looks, conditions=(SLOW,), baseline=seen_as(ILL))
    assert (judgement.result, judgement.why) == (UNKNOWN, why)
    assert judgement.final is (not looks or looks[-1][0] == 300)


def test_a_look_at_the_moment_of_the_effects_end_counts() -> None:
    assert judged((0, look(True)), settle_s=0).result is FIXED


def test_one_that_lacks_a_condition_is_final_only_at_the_deadline() -> None:
    assert not judged((299, look(True)), conditions=(ERRORS, SLOW)).final


def test_each_target_is_judged_by_how_its_own_effect_left_it() -> None:
    both = look(True).model_copy(update={"pulses": (pulse("healthy"), pulse("healthy", "checkout"))})
    standard = Standard(
        conditions=(ERRORS,), targets=("payments", "checkout", "unlooked"), since=at(0), settle_s=10,
        left_as={"payments": (at(0), pulse("healthy")), "checkout": (at(-7), pulse("healthy", "checkout"))},
    )  # fmt: skip
    judgement = judge([(at(2), both)], standard, now=at(2), deadline=at(300))
    assert judgement.why == (
        "payments is healthy, not yet for 10 s since the effect; checkout is healthy, not yet for 10 s since the "
        "effect; unlooked is unseen (it was not looked at)"
    )
    assert judgement.again_at == at(10)
    two = standard.model_copy(update={"targets": ("payments", "checkout")})
    lived = judge([(at(12), both)], two, now=at(12), deadline=at(300)).why
    assert lived.endswith(
        "payments is healthy, for 10 s since the effect; checkout is healthy, for 10 s since the effect"
    )
    later = judge([(at(5), both)], standard, now=at(5), deadline=at(300))
    assert "checkout" not in later.why
    again = both.model_copy(update={"pulses": (pulse("healthy"), pulse("healthy", "checkout").model_copy(
        update={"started_at": at(1)}))})  # fmt: skip
    died = judge([(at(2), both), (at(3), again)], standard, now=at(3), deadline=at(300))
    assert (died.result, died.final) == (NOT_FIXED, True)
    assert "checkout was started anew since the effect" in died.why


def test_what_was_no_target_must_live_since_the_effect_and_its_own_last_start() -> None:
    started = pulse("healthy", "checkout").model_copy(update={"started_at": at(4)})
    seen = look(True, container=None).model_copy(update={"pulses": (started,)})
    judgement = judged((12, seen))
    assert judgement.result is UNKNOWN


_looks = st.builds(
    look, st.sampled_from([True, False, None]), st.sampled_from([True, False, None]),
    container=st.sampled_from(["healthy", "running", "starting", "unhealthy", "down", None]),
    alert=st.sampled_from([True, False, None]), other=st.sampled_from([True, False, None, "none"]),
)  # fmt: skip


@given(st.lists(_looks, max_size=8), st.floats(0, 400), st.floats(0, 60))
def test_fixed_always_has_all_conditions_met_and_no_contradiction(
    seen: list[Look], deadline: float, for_s: float
) -> None:
    conditions = (ERRORS, Condition(promql="q", condition="< 1", for_s=for_s))
    history = [(at(10 * n), one) for n, one in enumerate(seen)]
    now = at(10 * len(seen))
    standard = Standard(conditions=conditions, targets=("payments",), since=at(0), settle_s=10)
    judgement = judge(history, standard, now=now, deadline=at(deadline))
    assert judgement.final or now < at(deadline)
    if judgement.result is FIXED:
        last = seen[-1]
        assert [reading.holds for reading in last.readings] == [True, True]
        assert [one.vital.value for one in last.pulses] in (["healthy"], ["running"])
        assert not last.alert_firing
        assert all(other.firing is False for other in last.others)
