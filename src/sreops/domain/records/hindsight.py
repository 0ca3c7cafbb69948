"""Plans that were only told (shadow, dry run), compared with what people then did, and whether it helped. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.incidents.incident import Incident
from sreops.domain.records.record import Record, RecordKind
from sreops.domain.remediation.deeds import Deed, DeedKind
from sreops.domain.remediation.policy import DRY_RUN, Verdict
from sreops.domain.runbooks.runbook import Plan, StepAction
from sreops.domain.text.spans import span

HELPS_WITHIN_S = 900.0
"""An alert that ends within this time of a deed ends because of it, as far as can be told; ``max_event_age_s`` too."""
COMES_BACK_WITHIN_S = 3600.0
"""What fires again within this time was not over; the window of a refire."""
NODE = "hindsight"
"""Whose thoughts tell what was seen of people's deeds; their ``data`` is an ``Afterwards``."""
SHOWS_AS = {
    StepAction.restart_container: DeedKind.started,
    StepAction.start_container: DeedKind.started,
    StepAction.stop_container: DeedKind.stopped,
}
"""What the engine tells of the same done by people; of other acts it tells nothing."""


class Mode(StrEnum):
    """Why a plan was only told."""

    shadow = "shadow"
    dry_run = "dry_run"


class Comparison(StrEnum):
    """What hindsight says of a plan that was only told."""

    confirmed = "confirmed"  # people did the same, and it helped
    in_vain = "in_vain"  # people did the same, and it did not help
    otherwise = "otherwise"  # people did something else, and that helped
    needless = "needless"  # nobody did anything, and it went over; or it was a false alarm
    unknown = "unknown"


class Told(BaseModel):
    """A plan that was only told. ``would``: policy's verdict on it otherwise; None where that was not kept."""

    model_config = ConfigDict(frozen=True)
    at: AwareDatetime
    mode: Mode
    runbook_id: str
    steps: tuple[tuple[StepAction, str], ...]  # those that disrupt, with their targets
    would: Verdict | None = None
    would_why: tuple[str, ...] = ()


class Afterwards(BaseModel):
    """What the engine tells of others' deeds since the plan; ``whole``: it was followed to the incident's end."""

    model_config = ConfigDict(frozen=True)
    deeds: tuple[Deed, ...] = ()
    whole: bool = False


class Course(BaseModel):
    """How the incident went on: when its last alert ended, when it came back, and what a person said at its end."""

    model_config = ConfigDict(frozen=True)
    cleared_at: AwareDatetime | None = None
    back_at: AwareDatetime | None = None
    closed_as: ClosedAs | None = None


class Hindsight(BaseModel):
    """The comparison; ``helped``: whether what people did last helped (None: not known, or nothing was done)."""

    model_config = ConfigDict(frozen=True)
    comparison: Comparison
    helped: bool | None
    why: str


def told_of(incident: Incident) -> Told | None:
    """Return the incident's plan that was only told; None where there is none."""
    decision = incident.decision or {}
    policy = decision.get("policy") or {}
    if not decision.get("plan"):
        return None
    plan = Plan.model_validate(decision["plan"])
    dry = any(str(reason) == DRY_RUN for reason in policy.get("reasons", ()))
    if not plan.shadow and not dry:
        return None
    would = policy.get("would") or {}
    return Told(
        at=would.get("at") or incident.episode_at,
        mode=Mode.shadow if plan.shadow else Mode.dry_run,
        runbook_id=plan.runbook_id,
        steps=tuple((step.action, step.target) for step in plan.steps if step.action.disruptive),
        would=Verdict(would["verdict"]) if would else None,
        would_why=tuple(would.get("reasons", ())),
    )


def afterwards_in(records: Sequence[Record], told: Told) -> Afterwards:
    """Return what was last seen of people's deeds since this plan was told; nothing where nobody looked."""
    for record in reversed(records):
        if record.kind is RecordKind.thought and record.body.get("node") == NODE and record.at >= told.at:
            return Afterwards.model_validate(record.body["data"])
    return Afterwards()


def course_of(incident: Incident, opened_again: Iterable[datetime]) -> Course:
    """Return how it went on; ``opened_again`` is when the same alert of the same service opened other incidents."""
    cleared, closed = incident.cleared_at, incident.closed or {}
    back: list[datetime] = []
    if cleared is not None:
        until = cleared + timedelta(seconds=COMES_BACK_WITHIN_S)
        back = [at for at in opened_again if cleared < at <= until]
    was = closed.get("was")
    return Course(
        cleared_at=cleared, back_at=min(back, default=None), closed_as=ClosedAs(was) if was is not None else None
    )


def compare(told: Told, after: Afterwards, course: Course, now: datetime) -> Hindsight:
    """Compare what would have been done with what was; what is not known stays unknown."""
    if course.closed_as is ClosedAs.false_alarm:
        return _said(Comparison.needless, None, "a person closed it as a false alarm")
    if course.closed_as is ClosedAs.duplicate:
        return _said(Comparison.unknown, None, "a person closed it as a duplicate of another")
    until = course.cleared_at or now
    deeds = [deed for deed in after.deeds if told.at <= deed.at <= until]
    if not deeds:
        return _untouched(told, after, course)
    helped, how = _helped(deeds[-1], course, now)
    did = f"somebody {_words(deeds[-1])}, {_span(deeds[-1].at - told.at)} after the plan"
    same = [deed for deed in deeds if _same(told, deed)]
    if deeds[-1] in same:
        found = {True: Comparison.confirmed, False: Comparison.in_vain, None: Comparison.unknown}[helped]
        return _said(found, helped, f"{did}: {how}")
    if same:
        before = (
            f"somebody {_words(same[-1])}, {_span(same[-1].at - told.at)} after the plan, and it did not end by that"
        )
        return _said(Comparison.in_vain, helped, f"{before}; then {did}: {how}")
    return _said(Comparison.otherwise if helped else Comparison.unknown, helped, f"{did}: {how}")


def tally(found: Iterable[tuple[str, Comparison]]) -> dict[str, Counter[Comparison]]:
    """Count the comparisons of each runbook, in the order of their ids."""
    by: dict[str, Counter[Comparison]] = {}
    for runbook_id, comparison in found:
        by.setdefault(runbook_id, Counter())[comparison] += 1
    return dict(sorted(by.items()))


def shown_as(told: Told, after: Afterwards, found: Hindsight) -> dict[str, Any]:
    """Return a plan and its comparison as JSON shows them."""
    return {
        "told_at": told.at.isoformat(),
        "mode": told.mode.value,
        "runbook_id": told.runbook_id,
        "steps": [{"action": action.value, "target": target} for action, target in told.steps],
        "would": told.would.value if told.would is not None else None,
        "would_why": list(told.would_why),
        "people_did": [deed.model_dump(mode="json") for deed in after.deeds],
        "helped": found.helped,
        "comparison": found.comparison.value,
        "why": found.why,
    }


def _untouched(told: Told, after: Afterwards, course: Course) -> Hindsight:
    unseen = sorted({action.value for action, _ in told.steps if action not in SHOWS_AS})
    if course.closed_as is ClosedAs.fixed:
        return _said(Comparison.unknown, None, "a person closed it as fixed; the engine tells of nothing that was done")
    if course.cleared_at is None:
        return _said(Comparison.unknown, None, "it still fires, and nothing is known to have been done")
    if not after.whole:
        return _said(Comparison.unknown, None, "it went over; what was done to its target meanwhile is not known")
    if unseen:
        why = f"it went over; whether people did what only they can tell ({', '.join(unseen)}) is not known"
        return _said(Comparison.unknown, None, why)
    if course.back_at is not None:
        return _said(Comparison.unknown, None, f"it went over untouched, and came back {_clock(course.back_at)}")
    return _said(Comparison.needless, None, "it went over, and nobody had touched its target")


def _helped(deed: Deed, course: Course, now: datetime) -> tuple[bool | None, str]:
    if course.cleared_at is None:
        if course.closed_as is ClosedAs.fixed:
            return True, "a person closed it as fixed"
        if (now - deed.at).total_seconds() <= HELPS_WITHIN_S:
            return None, "whether that helps is not known yet"
        return False, "it fires on"
    took = course.cleared_at - deed.at
    if course.back_at is not None:
        return False, f"it ended {_span(took)} later, and came back {_clock(course.back_at)}"
    if took.total_seconds() > HELPS_WITHIN_S:
        return None, f"it ended {_span(took)} later, which may have another reason"
    return True, f"it ended {_span(took)} later"


def _same(told: Told, deed: Deed) -> bool:
    return any(SHOWS_AS.get(action) is deed.what and target == deed.target for action, target in told.steps)


def _words(deed: Deed) -> str:
    what = {
        DeedKind.started: "started or restarted",
        DeedKind.stopped: "stopped",
        DeedKind.replaced: "made anew",
        DeedKind.removed: "removed",
    }[deed.what]
    return f"{what} {deed.target}"


def _span(took: timedelta) -> str:
    return span(max(0.0, took.total_seconds()))


def _clock(at: datetime) -> str:
    return f"at {at:%Y-%m-%d %H:%M} UTC"


def _said(comparison: Comparison, helped: bool | None, why: str) -> Hindsight:
    return Hindsight(comparison=comparison, helped=helped, why=why)
