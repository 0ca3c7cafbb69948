"""Closing by a person: what the incident was. Pure."""

from enum import StrEnum

from sreops.domain.incidents.incident import Resolution


class ClosedAs(StrEnum):
    """What an incident was, says the person who closes it."""

    fixed = "fixed"
    false_alarm = "false_alarm"
    duplicate = "duplicate"
    other = "other"

    @property
    def as_before(self) -> Resolution:
        """The resolution that sreops 0.1, which knows no ``closed``, reads beside us."""
        return Resolution.false_alarm if self is ClosedAs.false_alarm else Resolution.recovered
