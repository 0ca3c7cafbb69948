"""What became of a job or a pipeline: from GitLab's word to an outcome, and from candidates to ours. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sreops.domain.remediation.effects import Settled

ENDED_ILL = frozenset({"failed", "canceled", "skipped"})
T = TypeVar("T")


def one_of_ours(found: Sequence[T], *, what: str, now: datetime, until: datetime, again_at: datetime) -> T | Settled:
    """Return the only candidate; none: later, until nothing can come any more; several: nobody can know which."""
    if len(found) == 1:
        return found[0]
    if found:
        return Settled.unknown(f"{len(found)} {what}s were begun under our name since the intent: which one is ours?")
    if now < until:
        return Settled.later(f"no {what} of ours is there yet", again_at)
    return Settled.unknown(
        f"no {what} of ours shows that it was begun, and nothing shows that it will not: look before doing it again"
    )


def of_status(status: str, told: str, *, now: datetime, until: datetime, poll_s: float) -> Settled:
    """Judge a status of GitLab; what it does not know as an end is none (``manual``, any new word)."""
    if status == "success":
        return Settled.succeeded(f"{told} ended well")
    if status in ENDED_ILL:
        return Settled.failed(f"{told} ended as {status}")
    if now >= until:
        return Settled.unknown(f"{told} is {status} and goes on, longer than the step's time-out: look there")
    return Settled.later(f"{told} is {status}", min(until, now + timedelta(seconds=poll_s)))
