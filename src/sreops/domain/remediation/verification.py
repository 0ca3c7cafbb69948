"""Verification: fixed, not fixed, or unknown. Pure; no data is unknown, never success.

Three witnesses: the runbook's conditions, the target's life (``life``), and the state of every alert that fires.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.evidence.evidence import SeriesSet
from sreops.domain.incidents.incident import VerificationResult
from sreops.domain.remediation.life import LifeVerdict, Prospect, Pulse, Vital, since_effect, since_resolve, unseen
from sreops.domain.remediation.measurement import in_words
from sreops.domain.runbooks.condition import COMPARE, parse_condition
from sreops.domain.runbooks.runbook import Condition


class Reading(BaseModel):
    """One verify condition as measured: ``holds`` None means no data or no answer (``why`` says which).

    ``values`` are the series' values, so that people see by how much.
    """

    model_config = ConfigDict(frozen=True)
    promql: str
    condition: str
    holds: bool | None
    values: tuple[float, ...] = ()
    why: str = ""


class OtherAlert(BaseModel):
    """Another alert of the incident, beside the one that the plan was made for; ``firing`` None: nobody knows."""

    model_config = ConfigDict(frozen=True)
    alertname: str
    firing: bool | None


class Look(BaseModel):
    """One look at a service: conditions, the pulses of targets and subject, and the alerts' own state.

    ``alert_firing`` is the state of the alert that the plan was made for; the conditions speak for it. For
    ``others`` they say nothing. ``container`` is the worst pulse in a word, for people.
    """

    model_config = ConfigDict(frozen=True)
    readings: tuple[Reading, ...] = ()
    container: str | None = None
    pulses: tuple[Pulse, ...] = ()
    alert_firing: bool | None = None
    others: tuple[OtherAlert, ...] = ()

    @property
    def nothing_fires(self) -> bool:
        """Whether no alert of the incident fires, by those who evaluate them or by a genuine resolve."""
        return self.alert_firing is False and all(other.firing is False for other in self.others)


class Judgement(BaseModel):
    """The verdict of one or more looks; ``final`` False: keep polling until the deadline."""

    model_config = ConfigDict(frozen=True)
    result: VerificationResult
    why: str
    final: bool
    again_at: AwareDatetime | None = None  # when the target's life will be long enough to judge


History = Sequence[tuple[datetime, Look]]


def read_condition(condition: Condition, answer: SeriesSet | None, why: str = "") -> Reading:
    """Read one condition from the answer of its query; ``answer`` None: there was none, and ``why`` says so.

    Every returned series must meet the comparison. Unknown are: no series, NaN and ±Inf (0/0, x/0: no traffic), and
    whatever a partial answer says, since what is missing may have made the sums that are there.
    """
    compare, limit = parse_condition(condition.condition)
    reading = Reading(promql=condition.promql, condition=condition.condition, holds=None)
    if answer is None:
        return reading.model_copy(update={"why": why or "the query was not answered"})
    latest = [series.points[-1][1] for series in answer.series if series.points]
    values = tuple(value for value in latest if math.isfinite(value))
    reading = reading.model_copy(update={"values": values})
    if answer.partial:
        return reading.model_copy(update={"why": "the answer is partial: " + ("; ".join(answer.notes) or "cut")})
    if offenders := [value for value in values if not COMPARE[compare](value, limit)]:
        said = f"{len(offenders)} of {len(latest)} series: {offenders[0]:g} is not {compare} {limit:g}"
        return reading.model_copy(update={"holds": False, "why": said})
    if not latest:
        return reading.model_copy(update={"why": "the query returned no data"})
    if len(values) < len(latest):
        return reading.model_copy(update={"why": "a series is NaN or infinite: nothing was measured there"})
    return reading.model_copy(update={"holds": True, "why": f"{max(latest, key=abs):g} {compare} {limit:g}"})


def vetoed(look: Look) -> str | None:
    """Return why a target itself contradicts a recovery, or None."""
    return next((pulse.told for pulse in look.pulses if pulse.vital.dead or pulse.vital is Vital.unhealthy), None)


def already_met(look: Look) -> bool:
    """Say whether a look before acting shows nothing to fix: a success afterwards would then prove nothing."""
    return bool(look.readings) and all(r.holds is True for r in look.readings) and vetoed(look) is None


class Standard(BaseModel):
    """What a look is held against: the conditions, and the targets with their pulses as the effect left them.

    ``since`` is the end of the last effect; a target whose effect ended earlier has its own time beside its pulse.
    """

    model_config = ConfigDict(frozen=True)
    conditions: tuple[Condition, ...] = ()
    targets: tuple[str, ...] = ()
    left_as: Mapping[str, tuple[AwareDatetime, Pulse]] = {}
    since: AwareDatetime
    settle_s: float


def judge(
    looks: History, standard: Standard, *, now: datetime, deadline: datetime, baseline: Look | None = None
) -> Judgement:
    """Judge whether the fault is gone.

    ``looks`` are ascending in time, with readings in the order of the conditions; those before ``since`` do not
    count. The conditions decide, each held without a break for its ``for_s``; without any, the alert's own state
    does. A target that does not live, an alert that still fires, and another alert of which nobody knows can only
    veto. Until ``deadline`` only ``fixed`` and a death since the effect are final, since alerts and metrics lag.
    """
    late = now >= deadline
    counted = [(at, look) for at, look in looks if at >= standard.since]
    if not counted:
        return Judgement(result=VerificationResult.unknown, why="nothing was measured since the effect", final=late)
    look, conditions = counted[-1][1], standard.conditions
    if len(look.readings) != len(conditions):
        return Judgement(
            result=VerificationResult.unknown,
            why=f"{len(look.readings)} of {len(conditions)} conditions were measured",
            final=late,
        )
    lives = _lives(counted, standard, now)
    result, why = _state(counted, conditions, lives, baseline)
    if result is VerificationResult.fixed and conditions and baseline is not None and already_met(baseline):
        unproven = "the conditions held before the effect already, so they can't tell a fix"
        return Judgement(result=VerificationResult.unknown, why=unproven, final=True)
    again = [life.again_at for life in lives if life.again_at is not None]
    died = any(life.prospect is Prospect.died for life in lives)
    final = late or died or result is VerificationResult.fixed
    return Judgement(result=result, why=why, final=final, again_at=max(again) if again else None)


def _lives(counted: History, standard: Standard, now: datetime) -> list[LifeVerdict]:
    """Judge the life of every target since its effect, and of what else was looked at since its own last start."""
    verdicts = []
    for target in standard.targets:
        first = [standard.left_as[target]] if target in standard.left_as else []
        blind = unseen(target, "it was not looked at")
        seen = [(at, next((pulse for pulse in look.pulses if pulse.target == target), blind)) for at, look in counted]
        verdicts.append(since_effect([*first, *seen], settle_s=standard.settle_s, now=now))
    for pulse in counted[-1][1].pulses:
        if pulse.target not in standard.targets:
            verdicts.append(since_resolve(pulse, standard.since, settle_s=standard.settle_s, now=now))
    return verdicts


def _state(
    counted: History, conditions: Sequence[Condition], lives: Sequence[LifeVerdict], baseline: Look | None
) -> tuple[VerificationResult, str]:
    """Return how things stand at the last look, and why; what is down is said first."""
    look = counted[-1][1]
    failing = [life.why for life in lives if life.prospect in (Prospect.died, Prospect.dead)]
    failing += [pulse.told for pulse in look.pulses if pulse.vital is Vital.unhealthy]
    failing += [
        _told(reading, baseline, place) for place, reading in enumerate(look.readings) if reading.holds is False
    ]
    if look.alert_firing:
        failing.append("the alert still fires")
    failing += [f"alert {other.alertname} of this incident still fires" for other in look.others if other.firing]
    if failing:
        return VerificationResult.not_fixed, "; ".join(failing)
    unclear = [
        f"{_told(reading, baseline, place)}: {reading.why}"
        for place, reading in enumerate(look.readings)
        if reading.holds is None
    ]
    unclear += [life.why for life in lives if life.prospect is not Prospect.lives]
    if not conditions and look.alert_firing is None:
        unclear.append("the runbook has no verify conditions and nobody knows whether the alert still fires")
    unclear += [
        f"nobody knows whether alert {other.alertname} of this incident still fires; the conditions don't speak of it"
        for other in look.others
        if other.firing is None
    ]
    for index, condition in enumerate(conditions):
        held = _held_s(counted, index)
        if held is not None and held < condition.for_s:
            told = _told(look.readings[index], baseline, index)
            unclear.append(f"{told}, for {held:.0f} of {condition.for_s:.0f} s so far")
    if unclear:
        return VerificationResult.unknown, "; ".join(unclear)
    told = "".join(f"; {life.why}" for life in lives)
    if conditions:
        measured = "; ".join(_told(reading, baseline, place) for place, reading in enumerate(look.readings))
        return VerificationResult.fixed, f"{measured}{told}"
    return VerificationResult.fixed, f"the alert no longer fires{told}"


def _told(reading: Reading, baseline: Look | None, place: int) -> str:
    """Say what was measured beside what it was before the effect, in words."""
    return in_words(
        reading.promql, reading.condition, reading.values, _before(reading, baseline, place), holds=reading.holds
    )


def _before(reading: Reading, baseline: Look | None, place: int) -> tuple[float, ...]:
    """Return what the same condition measured at the baseline; nothing where it was not measured."""
    if baseline is None or place >= len(baseline.readings):
        return ()
    before = baseline.readings[place]
    return before.values if before.promql == reading.promql else ()


def _held_s(counted: History, index: int) -> float | None:
    """Return for how long condition ``index`` has held without a break, to the last look; None: it does not."""
    began: datetime | None = None
    for at, look in reversed(counted):
        if index >= len(look.readings) or look.readings[index].holds is not True:
            break
        began = at
    return None if began is None else (counted[-1][0] - began).total_seconds()
