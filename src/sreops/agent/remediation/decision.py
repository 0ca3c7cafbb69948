"""What remediation decides to do next, as values: the node carries it out, and alone writes."""

from dataclasses import dataclass
from datetime import datetime

from sreops.domain.incidents.incident import Reason
from sreops.domain.remediation.verification import Look


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What people are told with it: ``thought`` on the page, ``note`` on the issue; empty: nothing."""

    thought: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class WaitUntil(_Told):
    """Come back at a time: ``timer`` says what for."""

    until: datetime
    timer: str
    step_began: datetime | None = None  # where the step is waited for: since when
    answer_lost: str = ""  # where an answer was lost: how


@dataclass(frozen=True, kw_only=True)
class Ask(_Told):
    """Put the plan to a person."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Escalate(_Told):
    """Hand the incident over."""

    reason: Reason
    why: str


@dataclass(frozen=True, kw_only=True)
class GiveUp(Escalate):
    """Hand over in the middle of a plan, whose effects are taken back where they can be."""


@dataclass(frozen=True, kw_only=True)
class Recovered(_Told):
    """End the incident: nothing fires any more, and nothing was done."""

    why: str = "no alert of the incident fires any more"


@dataclass(frozen=True, kw_only=True)
class Next(_Told):
    """The step is done: go on to the next one."""


@dataclass(frozen=True, kw_only=True)
class Prove(_Told):
    """Take no further step, and go to the proof."""


@dataclass(frozen=True, kw_only=True)
class Proceed(_Told):
    """Carry the step out; ``baseline`` and ``proof`` are kept where it is the first of its plan."""

    baseline: Look | None = None
    proof: tuple[str, ...] = ()


Decision = WaitUntil | Ask | Escalate | Recovered | Next | Prove | Proceed
