"""Whether an incident needs a person, and for what. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

ATTENTION_LASTS = timedelta(days=1)
"""So long after the last alert of a handed-over incident was resolved, it still asks for attention."""


class Need(StrEnum):
    """What is asked of a person: to decide about a plan, or to look at what was handed over."""

    approval = "approval"
    attention = "attention"


class Asking(Protocol):
    """What the rule looks at: of an incident as the store holds it."""

    @property
    def status(self) -> str:
        """Where it stands."""
        ...

    @property
    def acknowledged_by(self) -> str | None:
        """Who has said that they know; forgotten when it is handed over or gets worse."""
        ...

    @property
    def cleared_at(self) -> datetime | None:
        """When its last alert was resolved; None: one fires."""
        ...

    @property
    def absorbed_by(self) -> str | None:
        """The storm, or the older incident of its target, that has absorbed it."""
        ...


def need_of(incident: Asking, now: datetime) -> Need | None:
    """Return what the incident asks of a person.

    A plan that waits asks, whoever has acknowledged. What was handed over asks until somebody acknowledges it, or
    until it has been clear for a day. What a storm has absorbed asks through the storm's own incident.
    """
    if incident.status == "awaiting_approval":
        return Need.approval
    if incident.status != "escalated" or incident.acknowledged_by is not None:
        return None
    if incident.absorbed_by is not None:
        return None
    if incident.cleared_at is not None and now - incident.cleared_at >= ATTENTION_LASTS:
        return None
    return Need.attention
