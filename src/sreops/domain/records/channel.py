"""Channels: which notices one takes, and when. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from sreops.domain.alerts.alert import Severity
from sreops.domain.alerts.severity import RANK
from sreops.domain.incidents.needs import Need
from sreops.domain.records.notice import Notice, NoticeKind


class ChannelRule(BaseModel):
    """What a channel takes.

    ``severities`` None: all of them, critical at once and the others as a digest. Given: these, at once, and no
    other. ``needs`` given: only what asks for that (``person``: whatever asks), and that it is over.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    severities: frozenset[Severity] | None = None
    needs: frozenset[Need] | None = None

    @classmethod
    def read(cls, severity: object, needs: object) -> "ChannelRule":
        """Read ``severity`` (one name: it and worse; a list: these) and ``needs``; raises ValueError naming both."""
        return cls(severities=_severities(severity), needs=_needs(needs))

    @field_validator("severities", "needs")
    @classmethod
    def _some(cls, value: frozenset[Any] | None) -> frozenset[Any] | None:
        return value or None

    def takes(self, notice: Notice) -> bool:
        """Whether the channel is for this notice at all."""
        if self.severities is not None and notice.severity not in self.severities:
            return False
        if self.needs is None:
            return True
        need = Need.approval if notice.kind is NoticeKind.approval else Need.attention
        return need in self.needs

    def at_once(self, notice: Notice) -> bool:
        """Whether it is told now, and not with the next digest."""
        if notice.kind is NoticeKind.approval or notice.severity is Severity.critical:
            return True
        return self.severities is not None


def next_digest(now: datetime, every_s: float) -> datetime:
    """Return when the next digest is due: at a multiple of ``every_s`` since 1970, for all replicas the same."""
    count = int(now.timestamp() // every_s) + 1
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=count * every_s)


def _severities(given: object) -> frozenset[Severity] | None:
    if given is None or given == "":
        return None
    names = _names(given)
    known = {severity.value: severity for severity in Severity}
    if strange := [name for name in names if name not in known]:
        raise ValueError(f"severity {strange[0]!r} is none of {', '.join(known)}")
    found = frozenset(known[name] for name in names)
    if isinstance(given, str) and len(found) == 1:
        [least] = found
        return frozenset(severity for severity in Severity if RANK[severity] <= RANK[least])
    return found


def _needs(given: object) -> frozenset[Need] | None:
    if given is None or given == "":
        return None
    names = _names(given)
    known: Mapping[str, frozenset[Need]] = {need.value: frozenset({need}) for need in Need}
    known = {**known, "person": frozenset(Need)}
    if strange := [name for name in names if name not in known]:
        raise ValueError(f"needs {strange[0]!r} is none of {', '.join(known)}")
    return frozenset(need for name in names for need in known[name])


def _names(given: object) -> list[str]:
    parts = given if isinstance(given, (list, tuple)) else str(given).split(",")
    return [str(part).strip().lower() for part in parts if str(part).strip()]
