"""Verification: fixed, not fixed, or unknown. Pure; no data is unknown, never success."""

import math
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from sreops.domain.evidence.evidence import SeriesSet
from sreops.domain.incidents.incident import VerificationResult
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


class Look(BaseModel):
    """One look at a service: conditions, the container's health, the alert's own state (True: fires)."""

    model_config = ConfigDict(frozen=True)
    readings: tuple[Reading, ...] = ()
    container: str | None = None  # "healthy", "running" (no health check), "starting", "unhealthy", "down", None
    alert_firing: bool | None = None


class Judgement(BaseModel):
    """The verdict of one or more looks; ``final`` False: keep polling until the deadline."""

    model_config = ConfigDict(frozen=True)
    result: VerificationResult
    why: str
    final: bool


History = Sequence[tuple[datetime, Look]]


def read_condition(condition: Condition, answer: SeriesSet | None, why: str = "") -> Reading:
    """Read one condition from the answer of its query; ``answer`` None: there was none, and ``why`` says so.

    Every returned series must meet the comparison. NaN (such as 0/0 without traffic), no series, and an
    answer that is cut and has no offender are unknown; ±Inf compares as it is.
    """
    compare, limit = parse_condition(condition.condition)
    reading = Reading(promql=condition.promql, condition=condition.condition, holds=None, why=why)
    if answer is None:
        return reading.model_copy(update={"why": why or "the query was not answered"})
    latest = [series.points[-1][1] for series in answer.series if series.points]
    values = tuple(value for value in latest if math.isfinite(value))
    reading = reading.model_copy(update={"values": values})
    offenders = [value for value in latest if not math.isnan(value) and not COMPARE[compare](value, limit)]
    if offenders:
        said = f"{len(offenders)} of {len(latest)} series: {offenders[0]:g} is not {compare} {limit:g}"
        return reading.model_copy(update={"holds": False, "why": said})
    if not latest:
        return reading.model_copy(update={"why": "the query returned no data"})
    if any(math.isnan(value) for value in latest):
        return reading.model_copy(update={"why": "a series is NaN (not a number): nothing was measured there"})
    if answer.partial:
        return reading.model_copy(update={"why": "the answer is partial: " + ("; ".join(answer.notes) or "cut")})
    return reading.model_copy(update={"holds": True, "why": f"{max(latest, key=abs):g} {compare} {limit:g}"})


def vetoed(look: Look) -> str | None:
    """Return why the container itself contradicts a recovery, or None."""
    return f"the container is {look.container}" if look.container in ("down", "unhealthy") else None


def already_met(look: Look) -> bool:
    """Say whether a look before acting shows nothing to fix: a success afterwards would then prove nothing."""
    return bool(look.readings) and all(r.holds is True for r in look.readings) and vetoed(look) is None


def judge(
    looks: History,
    conditions: Sequence[Condition],
    *,
    since: datetime,
    now: datetime,
    deadline: datetime,
    baseline: Look | None = None,
) -> Judgement:
    """Judge whether the fault is gone.

    ``looks`` are ascending in time, with readings in the order of ``conditions``; those before ``since`` (the end
    of the effect) do not count. The conditions decide, each held without a break for its ``for_s``; without any,
    the alert's own state does. A container that is down or unhealthy, and an alert that still fires, can only
    veto. Until ``deadline`` only ``fixed`` is final, since alerts and metrics lag.
    """
    late = now >= deadline
    counted = [(at, look) for at, look in looks if at >= since]
    if not counted:
        return Judgement(result=VerificationResult.unknown, why="nothing was measured since the effect", final=late)
    look = counted[-1][1]
    if len(look.readings) != len(conditions):
        return Judgement(
            result=VerificationResult.unknown,
            why=f"{len(look.readings)} of {len(conditions)} conditions were measured",
            final=late,
        )
    result, why = _state(counted, conditions)
    if result is VerificationResult.fixed and conditions and baseline is not None and already_met(baseline):
        unproven = "the conditions held before the effect already, so they can't tell a fix"
        return Judgement(result=VerificationResult.unknown, why=unproven, final=True)
    return Judgement(result=result, why=why, final=late or result is VerificationResult.fixed)


def _state(counted: History, conditions: Sequence[Condition]) -> tuple[VerificationResult, str]:
    """Return how things stand at the last look, and why."""
    look = counted[-1][1]
    failing = [f"{r.promql} {r.condition}: {r.why}" for r in look.readings if r.holds is False]
    if (veto := vetoed(look)) is not None:
        failing.append(veto)
    if look.alert_firing:
        failing.append("the alert still fires")
    if failing:
        return VerificationResult.not_fixed, "; ".join(failing)
    unclear = [f"{r.promql} {r.condition}: {r.why}" for r in look.readings if r.holds is None]
    if look.container == "starting":
        unclear.append("the container's health check has not answered yet")
    if not conditions and look.alert_firing is None:
        unclear.append("the runbook has no verify conditions and nobody knows whether the alert still fires")
    for index, condition in enumerate(conditions):
        held = _held_s(counted, index)
        if held is not None and held < condition.for_s:
            unclear.append(f"{condition.promql} {condition.condition} for {held:.0f} of {condition.for_s:.0f} s so far")
    if unclear:
        return VerificationResult.unknown, "; ".join(unclear)
    if conditions:
        return VerificationResult.fixed, "the runbook's conditions hold: " + "; ".join(r.why for r in look.readings)
    return VerificationResult.fixed, "the alert no longer fires"


def _held_s(counted: History, index: int) -> float | None:
    """Return for how long condition ``index`` has held without a break, to the last look; None: it does not."""
    began: datetime | None = None
    for at, look in reversed(counted):
        if index >= len(look.readings) or look.readings[index].holds is not True:
            break
        began = at
    return None if began is None else (counted[-1][0] - began).total_seconds()
