"""Notices: which changes of an incident people are told of, each once. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, Severity
from sreops.domain.incidents.incident import Incident, IncidentStatus


class NoticeKind(StrEnum):
    """What people are told: the first four ask something of them, the others say that it is over."""

    approval = "approval"  # a plan waits
    attention = "attention"  # handed over
    worse = "worse"
    returned = "returned"
    cleared = "cleared"  # handed over, and its last alert was resolved
    resolved = "resolved"

    @property
    def asks(self) -> bool:
        """Whether it asks something of a person."""
        return self not in (NoticeKind.cleared, NoticeKind.resolved)


class Notice(BaseModel):
    """One state of an incident that people are told of; ``notice_id`` makes it single.

    ``facts`` is what the incident itself would not say later: the alert that made it worse, who closed it.
    """

    model_config = ConfigDict(frozen=True)
    notice_id: str
    incident_id: str
    episode: int
    kind: NoticeKind
    severity: Severity
    facts: Mapping[str, Any] = {}
    seq: int = 0  # the store's, once it is written
    at: AwareDatetime | None = None  # when it was written


def of_change(before: Incident, after: Incident) -> Notice | None:
    """Return what people are told where a step of the agent has brought an incident from one state to another."""
    if after.status is IncidentStatus.awaiting_approval:
        if before.status is IncidentStatus.awaiting_approval and before.plan_hash == after.plan_hash:
            return None
        return _notice(after, NoticeKind.approval, after.plan_hash or "")
    if before.status.ended and before.episode == after.episode:
        return None
    if after.status is IncidentStatus.escalated:
        return _notice(after, NoticeKind.attention, "")
    if after.status is IncidentStatus.resolved:
        return _notice(after, NoticeKind.resolved, "")
    return None


def got_worse(incident: Incident, event: AlertEvent, why: str) -> Notice:
    """Return what is told where an alert has made an incident worse: once per alert's name and severity."""
    facts = {
        "alertname": event.alertname,
        "severity": event.severity.value,
        "starts_at": event.starts_at.isoformat(),
        "why": why,
    }
    return _notice(incident, NoticeKind.worse, f"{event.severity.value}:{event.alertname}", **facts)


def came_back(incident: Incident, event: AlertEvent, ended_as: str) -> Notice:
    """Return what is told where an incident that was over begins anew; ``incident`` is in its new episode."""
    facts = {"alertname": event.alertname, "starts_at": event.starts_at.isoformat(), "ended_as": ended_as}
    return _notice(incident, NoticeKind.returned, "", **facts)


def cleared(incident: Incident) -> Notice:
    """Return what is told where the last alert of a handed-over incident was resolved: once an episode."""
    return _notice(incident, NoticeKind.cleared, "")


def closed(incident: Incident, by: str, was: str, cause: str) -> Notice:
    """Return what is told where a person has closed it."""
    return _notice(incident, NoticeKind.resolved, "", by=by, was=was, cause=cause)


def _notice(incident: Incident, kind: NoticeKind, key: str, **facts: Any) -> Notice:
    return Notice(
        notice_id=":".join(part for part in (incident.id, str(incident.episode), kind.value, key) if part),
        incident_id=incident.id,
        episode=incident.episode,
        kind=kind,
        severity=incident.severity,
        facts=facts,
    )


def why_quiet(notice: Notice, incident: Incident, later: Sequence[Notice], told_before: bool) -> str | None:
    """Return why nobody is told of a notice, or None where people are.

    ``later`` are newer notices of the incident, ``told_before`` says whether somebody was told of the trouble (or
    is about to be) since it was last over.
    """
    if not notice.kind.asks:
        return None if told_before else "nobody was told of the trouble, so nobody is told of its end"
    if incident.absorbed_by is not None:
        return "it is told with its storm" if incident.storm_id else "it is told with the incident that it has joined"
    same_breath = [other for other in later if other.kind in (NoticeKind.approval, NoticeKind.attention)]
    if notice.kind in (NoticeKind.returned, NoticeKind.worse) and same_breath:
        return "told with what came of it a moment later"
    return "it was over before anybody was told" if _over(notice, incident, later) else None


def _over(notice: Notice, incident: Incident, later: Sequence[Notice]) -> bool:
    if incident.status is IncidentStatus.resolved or any(other.kind is NoticeKind.cleared for other in later):
        return True
    if notice.kind is NoticeKind.worse:  # it may have begun the analysis that is under way
        return False
    if notice.episode < incident.episode:
        return True
    return notice.kind is NoticeKind.approval and (
        incident.status is not IncidentStatus.awaiting_approval
        or notice.notice_id.rpartition(":")[2] != incident.plan_hash
    )
