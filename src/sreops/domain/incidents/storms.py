"""Storms: more incidents are opened at once than can be worked on one by one; further alerts are gathered. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, Severity
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, gathers
from sreops.domain.incidents.incident import StormKind

STORM_LASTS_S = 3600.0
"""For so long after it was opened a storm incident takes further alerts: a later storm is another one."""
MAX_STRANGERS = 5
"""So many storm incidents that share nothing may be open; what shares nothing with any of them joins the newest."""

_OURS = frozenset({"severity", "tier", "agent_action", "runbook_id", "escalate_threshold"})


class Openings(BaseModel):
    """Incidents that were opened within ``storm_window_s``: all, of the event's alert name, of its group."""

    model_config = ConfigDict(frozen=True)
    all: int
    of_name: int
    of_group: int


class Rush(BaseModel):
    """More openings than can be worked on one by one: of which kind, and how many there were."""

    model_config = ConfigDict(frozen=True)
    kind: StormKind
    key: str
    opened: int


def group_of(event: AlertEvent) -> str | None:
    """Return the sender's group of an alert, or None where it groups by nothing: what holds everything says nothing.

    Alertmanager and Grafana write ``ROUTE:{label="value", …}``; ``{}`` at the end is a route that groups by no label.
    """
    key = event.group_key.strip()
    return None if not key or key.endswith(":{}") or key == "{}" else key


def rush_of(event: AlertEvent, openings: Openings, windows: Windows) -> Rush | None:
    """Say whether one more opening would be one too many, and what these have in common; None: it would not."""
    group = group_of(event)
    if openings.of_name >= windows.burst_incidents:
        return Rush(kind=StormKind.name, key=event.alertname, opened=openings.of_name)
    if group is not None and openings.of_group >= windows.burst_incidents:
        return Rush(kind=StormKind.group, key=group, opened=openings.of_group)
    if openings.all >= windows.storm_incidents:
        return Rush(kind=StormKind.time, key="", opened=openings.all)
    return None


def going_on(event: AlertEvent, storms: Sequence[KnownIncident], now: datetime, windows: Windows) -> Rush | None:
    """Return the burst that the event belongs to, where it has not stopped: its last alert came within the window."""
    for incident in storms:
        storm = incident.storm
        if storm is None or storm.kind is StormKind.time or not gathers(incident, now, windows):
            continue
        its_own = event.alertname if storm.kind is StormKind.name else group_of(event)
        within = now - (storm.last_at or incident.opened_at) <= timedelta(seconds=windows.storm_window_s)
        if its_own == storm.key and within:
            return Rush(kind=storm.kind, key=storm.key, opened=0)
    return None


def is_worked_on(event: AlertEvent, busy: int, windows: Windows) -> bool:
    """Say whether an alert of a storm is analysed all the same: a critical one is while a slot is free."""
    return event.severity is Severity.critical and busy < windows.slots


def common_labels(labels: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that both have with the same value, less those that only tell sreops what to do."""
    return {
        name: value
        for name, value in labels.items()
        if others.get(name) == value and name not in _OURS and not name.startswith("__")
    }


def gathered(
    event: AlertEvent,
    decision: Correlation,
    rush: Rush,
    storms: Sequence[KnownIncident],
    now: datetime,
    windows: Windows,
) -> Correlation:
    """Return what becomes of an opening during a storm: the event joins a storm incident, or opens one.

    ``storms`` are the storm incidents of the last ``STORM_LASTS_S``, newest first. That of the same name or group
    takes it; where only the time is shared, the one with which it shares most labels. What all its alerts share is
    kept on it.
    """
    why = _in_words(rush, windows)
    taking = [storm for storm in storms if storm.storm is not None and gathers(storm, now, windows)]
    best = _of_kind(rush, taking) if rush.kind is not StormKind.time else _closest(event, taking)
    if best is None or best.storm is None:
        shared = common_labels(event.labels, event.labels)
        told = {"storm": shared, "storm_kind": rush.kind, "storm_key": rush.key}
        return decision.model_copy(update=told | {"why": f"{why}: this and further alerts are gathered here"})
    shared = common_labels(best.storm.shared, event.labels)
    why = f"{why}: it joins the storm, with which it shares {in_words(shared)}"
    return Correlation(
        disposition=Disposition.attach,
        incident_id=best.id,
        storm=shared,
        storm_kind=best.storm.kind,
        storm_key=best.storm.key,
        why=why,
    )


def _of_kind(rush: Rush, storms: Sequence[KnownIncident]) -> KnownIncident | None:
    mine = (
        storm
        for storm in storms
        if storm.storm is not None and (storm.storm.kind, storm.storm.key) == (rush.kind, rush.key)
    )
    return next(mine, None)


def _closest(event: AlertEvent, storms: Sequence[KnownIncident]) -> KnownIncident | None:
    shares = {storm.id: common_labels(storm.storm.shared if storm.storm else {}, event.labels) for storm in storms}
    best = max(storms, key=lambda storm: len(shares[storm.id]), default=None)
    if best is not None and not shares[best.id]:
        return storms[0] if len(storms) >= MAX_STRANGERS else None
    return best


def _in_words(rush: Rush, windows: Windows) -> str:
    of = {StormKind.name: f" of {rush.key}", StormKind.group: " of one group of the sender", StormKind.time: ""}
    if not rush.opened:
        return f"a storm{of[rush.kind]} goes on"
    return f"{rush.opened} incidents{of[rush.kind]} were opened within {windows.storm_window_s:g} s"


def in_words(shared: Mapping[str, str]) -> str:
    """Return shared labels for people."""
    return ", ".join(f"{name}={value}" for name, value in sorted(shared.items())) or "no label"
