"""Correlation: what an event means for the incidents we know. Pure; the store asks and applies in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.incidents.incident import IncidentStatus, Resolution, Storm, StormKind, incident_id_of
from sreops.domain.incidents.target import KnownTarget


class Disposition(StrEnum):
    """What correlation decides for an event."""

    open = "open"
    attach = "attach"
    repeat = "repeat"
    refire = "refire"
    resolve = "resolve"
    stale = "stale"
    requeue = "requeue"

    @property
    def starts_graph(self) -> bool:
        """Whether this disposition starts a graph."""
        return self in (Disposition.open, Disposition.refire, Disposition.requeue)


class KnownAlert(BaseModel):
    """An alert that an incident holds; ``ended_at`` is when it was resolved."""

    model_config = ConfigDict(frozen=True)
    fingerprint: str
    starts_at: AwareDatetime
    ended_at: AwareDatetime | None = None

    @property
    def firing(self) -> bool:
        """Whether it still fires, as far as we were told."""
        return self.ended_at is None


class KnownIncident(BaseModel):
    """What correlation needs to know of an incident.

    ``alerts`` may be those with the event's fingerprint only; ``others_fire`` then says whether one that is not
    listed fires: what an alert costs must not grow with its incident. ``acted``: sreops has changed something for it.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    episode: int
    service: str
    status: IncidentStatus
    resolution: Resolution | None
    opened_at: AwareDatetime
    ended_at: AwareDatetime | None
    alerts: tuple[KnownAlert, ...]
    others_fire: bool = False
    scope: dict[str, str] = {}  # what tells its subject from its namesakes
    acted: bool = False
    storm: Storm | None = None  # of a storm incident
    target: KnownTarget | None = None  # once the engine was asked

    def is_of(self, event: AlertEvent) -> bool:
        """Whether it is of the event's subject: of its name, or of the target that this is another name of."""
        if self.service == event.service:
            return True
        return self.target is not None and self.target.is_called(event.service, event.subject.scope)

    @property
    def whole_scope(self) -> dict[str, str]:
        """What tells its subject from its namesakes, by its alerts and by the engine."""
        return self.scope if self.target is None else self.target.scope | self.scope


class Windows(BaseModel):
    """The windows of correlation in seconds, and how many openings within one of them are a storm or a burst."""

    model_config = ConfigDict(frozen=True)
    clear_grace_s: float = 600.0
    refire_window_s: float = 3600.0
    escalated_window_s: float = 86400.0
    storm_incidents: int = 50
    burst_incidents: int = 8  # of one alert's name, or of one group of the sender
    slots: int = 8  # incidents that are worked on at once
    storm_window_s: float = 60.0
    no_data_recovers: bool = False  # a resolve for want of data is recovery


class Correlation(BaseModel):
    """The decision: ``incident_id`` is the incident concerned (None for ``stale``); ``why`` is for people.

    ``all_resolved`` (with ``resolve``): no alert of the incident fires any more. ``storm`` (with ``open`` and
    ``attach``): the incident is a storm's, these are the labels that its alerts share now, and ``storm_kind`` and
    ``storm_key`` what makes it one. ``storm_id`` (with ``open``): it is a member of that storm, worked on by itself.
    """

    model_config = ConfigDict(frozen=True)
    disposition: Disposition
    incident_id: str | None
    all_resolved: bool = False
    why: str = ""
    storm: dict[str, str] | None = None
    storm_kind: StormKind = StormKind.time
    storm_key: str = ""
    storm_id: str | None = None


def ended_at_of(event: AlertEvent) -> datetime:
    """Return when a resolved alert ended: what its sender says where that is possible, else when we were told.

    Never later than that: what fires again while the resolve waits in a backlog must count as news.
    """
    if event.ends_at is not None and event.starts_at <= event.ends_at <= event.received_at:
        return event.ends_at
    return event.received_at


def correlate(event: AlertEvent, known: Sequence[KnownIncident], now: datetime, windows: Windows) -> Correlation:
    """Decide what ``event`` means for the incidents that we know.

    ``known`` must hold every incident with the event's fingerprint or id, of whatever age (else ``open`` could
    mint an id that exists), and the service's open and recently ended ones; newest first. Windows count from an
    incident's end to the time of reception, so a backlog does not turn a repeat into a refire.
    """
    if event.status is AlertStatus.resolved:
        return _correlate_resolve(event, known)
    told_at = min(now, event.received_at)
    own_id = incident_id_of(event)
    holders = [incident for incident in known if _entry(incident, event) or incident.id == own_id]
    holders.sort(key=lambda incident: not gathers(incident, now, windows))  # stable: else newest first
    for incident in holders:
        if why := _repeats(incident, event, told_at, windows):
            return Correlation(disposition=Disposition.repeat, incident_id=incident.id, why=why)
    gathering = [incident for incident in holders if gathers(incident, now, windows)]
    # a storm that was handed over has alerts of many services: it must not swallow what each of them has later
    mine = [one for one in known if one.is_of(event) and not (one.storm is not None and one.status.ended)]
    gathering += _of_subject([one for one in mine if gathers(one, now, windows)], event.subject.scope)
    if gathering:
        # one that is being worked on comes before one that waits for people
        incident = min(gathering, key=lambda one: one.status.ended)
        state = "escalated and still gathers its alerts" if incident.status.ended else "open"
        why = f"incident {incident.id} of this service is {state}: noted there"
        return Correlation(disposition=Disposition.attach, incident_id=incident.id, why=why)
    for incident in holders:
        if why := _refires(incident, event, told_at, windows):
            return Correlation(disposition=Disposition.refire, incident_id=incident.id, why=why)
    for incident in holders:
        if why := _comes_back(incident, event, told_at, windows):
            return Correlation(disposition=Disposition.attach, incident_id=incident.id, why=why)
    why = "no incident of this service is open, and none that held this alert ended a short time ago"
    return Correlation(disposition=Disposition.open, incident_id=incident_id_of(event), why=why)


def _of_subject(namesakes: Sequence[KnownIncident], scope: Mapping[str, str]) -> list[KnownIncident]:
    """Return the incidents that may be of this very subject, the closest first.

    Those of the same scope are. Else those where no key that both have differs; but where they are of several
    subjects, nobody can say which of them is meant, and it is none.
    """
    if same := [namesake for namesake in namesakes if namesake.scope == scope]:
        return same
    fit = [namesake for namesake in namesakes if fits(namesake.whole_scope, scope)]
    if any(not fits(one.whole_scope, other.whole_scope) for one in fit for other in fit):
        return []
    return sorted(fit, key=lambda one: -len(one.whole_scope.keys() & scope.keys()))


def fits(scope: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Say whether no key that both scopes have differs."""
    return all(other.get(key, value) == value for key, value in scope.items())


def once_more(decision: Correlation, handled_by: str | None, known: Sequence[KnownIncident]) -> Correlation:
    """Return the decision for an event that a person has put back from the dead letter.

    Its identity says that it was handled before, and here that is the point: the incident that it had begun and
    that has ended begins anew. One that was set aside before it came to an incident (``handled_by`` None), or
    whose incident is open again anyway, is decided as any other.
    """
    incident = next((one for one in known if one.id == handled_by), None)
    if incident is None or not incident.status.ended:
        return decision
    why = f"put back from the dead letter: incident {incident.id} is worked on again"
    return Correlation(disposition=Disposition.requeue, incident_id=incident.id, why=why)


def gathers(incident: KnownIncident, now: datetime, windows: Windows) -> bool:
    """Whether new alerts of the service still join this incident.

    An open one does; a resolved one never; an escalated one while an alert of it fires, for a day at most.
    """
    if not incident.status.ended:
        return True
    if incident.status is IncidentStatus.resolved:
        return False
    fires = incident.others_fire or any(alert.firing for alert in incident.alerts)
    return fires and now <= _closed_at(incident) + _s(windows.escalated_window_s)


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _closed_at(incident: KnownIncident) -> datetime:
    return incident.ended_at or incident.opened_at


def _entry(incident: KnownIncident, event: AlertEvent) -> KnownAlert | None:
    """Return the incident's entry for this fingerprint, the one of the same startsAt before a later one."""
    entries = [alert for alert in incident.alerts if alert.fingerprint == event.fingerprint]
    return max(entries, key=lambda alert: (alert.starts_at == event.starts_at, alert.starts_at), default=None)


def _is_same_episode(entry: KnownAlert | None, event: AlertEvent) -> bool:
    """Whether the event speaks of the firing that an incident's entry holds, or of one before it."""
    if entry is None or entry.starts_at >= event.starts_at:
        return True  # without an entry it opened this incident; and older news never replaces newer
    if entry.ended_at is not None:
        # begun and told before the end that we know: a late notice. Both, since the clocks are two.
        return max(event.starts_at, event.received_at) <= entry.ended_at
    return event.starts_at == event.received_at  # startsAt was missing: nothing tells it from the one that fires


def _repeats(incident: KnownIncident, event: AlertEvent, told_at: datetime, windows: Windows) -> str | None:
    entry = _entry(incident, event)
    if not _is_same_episode(entry, event):
        return None
    grace = _s(windows.clear_grace_s)
    if incident.status is IncidentStatus.resolved:
        if told_at <= _closed_at(incident) + grace:
            return f"incident {incident.id} holds this alert and ended a short time ago: senders clear late"
        return None
    if entry is None or entry.ended_at is None:
        return f"incident {incident.id} holds this alert and counts it as firing"
    if told_at <= entry.ended_at + grace:
        return f"incident {incident.id} holds this alert, resolved a short time ago: this notice is late"
    return None


def _refires(incident: KnownIncident, event: AlertEvent, told_at: datetime, windows: Windows) -> str | None:
    entry = _entry(incident, event)
    same = entry is None or entry.starts_at == event.starts_at or incident.id == incident_id_of(event)
    if same:
        # of whatever age: by its identity this alert can't open a second incident
        return f"the alert of incident {incident.id} fires on after that incident ended"
    if incident.status is IncidentStatus.resolved and told_at <= _closed_at(incident) + _s(windows.refire_window_s):
        return f"incident {incident.id} was closed as resolved a short time ago, and its alert fires again"
    over_at = _over_at(incident, entry)
    if incident.acted and told_at <= over_at + _s(windows.refire_window_s):
        return f"incident {incident.id} had a remedy a short time ago, and its alert fires again all the same"
    return None


def _comes_back(incident: KnownIncident, event: AlertEvent, told_at: datetime, windows: Windows) -> str | None:
    """Say why an alert that fires again joins the incident that was handed over with it, though it had cleared.

    Within the grace only: it flaps, and twelve incidents of one flapping alert are eleven too many.
    """
    entry = _entry(incident, event)
    if incident.status is not IncidentStatus.escalated or entry is None:
        return None
    if told_at <= _over_at(incident, entry) + _s(windows.clear_grace_s):
        return f"incident {incident.id} was handed over with this alert, which cleared a short time ago and fires again"
    return None


def _over_at(incident: KnownIncident, entry: KnownAlert | None) -> datetime:
    """Return when the incident was over for this alert: it had ended, and the alert was resolved."""
    closed_at = _closed_at(incident)
    return closed_at if entry is None or entry.ended_at is None else max(closed_at, entry.ended_at)


def _correlate_resolve(event: AlertEvent, known: Sequence[KnownIncident]) -> Correlation:
    holders = [incident for incident in known if any(_ends(alert, event) for alert in incident.alerts)]
    if not holders:
        return Correlation(disposition=Disposition.stale, incident_id=None, why="nothing that we know of fires for it")

    def preference(incident: KnownIncident) -> tuple[bool, bool, bool]:
        exact = any(_ends(alert, event) and alert.starts_at == event.starts_at for alert in incident.alerts)
        return (not exact, incident.status is IncidentStatus.resolved, incident.status.ended)

    incident = min(holders, key=preference)
    left = incident.others_fire or any(alert.firing and not _ends(alert, event) for alert in incident.alerts)
    why = "others of it still fire" if left else "none of its alerts fires any more"
    return Correlation(
        disposition=Disposition.resolve,
        incident_id=incident.id,
        all_resolved=not left,
        why=f"an alert of incident {incident.id} is resolved: {why}",
    )


def _ends(alert: KnownAlert, event: AlertEvent) -> bool:
    """Whether this resolve ends that alert: the same firing, or an end that is not before the alert's start.

    A resolve that is older than the firing we know of (its end, or where it names none its start, lies
    before) arrived late and speaks of an earlier one.
    """
    if not alert.firing or alert.fingerprint != event.fingerprint:
        return False
    return alert.starts_at == event.starts_at or (event.ends_at or event.starts_at) >= alert.starts_at
