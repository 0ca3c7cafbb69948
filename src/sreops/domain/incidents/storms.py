"""Storms: more incidents are opened at once than can be worked on one by one; further alerts are gathered. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, gathers

STORM_LASTS_S = 3600.0
"""For so long after it was opened a storm incident takes further alerts: a later storm is another one."""
MAX_MEMBERS = 500
"""Alerts of one storm incident: more than that nobody reads on one issue, and each decision reads them all."""
MAX_STRANGERS = 5
"""So many storm incidents that share nothing may be open; what shares nothing with any of them joins the newest."""

_OURS = frozenset({"severity", "tier", "agent_action", "runbook_id", "escalate_threshold"})


def common_labels(labels: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that both have with the same value, less those that only tell sreops what to do."""
    return {
        name: value
        for name, value in labels.items()
        if others.get(name) == value and name not in _OURS and not name.startswith("__")
    }


def is_storm(opened: int, windows: Windows) -> bool:
    """Say whether one more opening would be one too many; ``opened``: incidents opened within ``storm_window_s``."""
    return opened >= windows.storm_incidents


def gathered(
    event: AlertEvent, decision: Correlation, storms: Sequence[KnownIncident], now: datetime, windows: Windows
) -> Correlation:
    """Return what becomes of an opening during a storm: the event joins a storm incident, or opens one.

    ``storms`` are the storm incidents of the last ``STORM_LASTS_S``, newest first. The one with which the event
    shares most labels takes it, and what all its alerts share is kept on it.
    """
    rush = f"{windows.storm_incidents} incidents were opened within {windows.storm_window_s:g} s"
    taking = [one for one in storms if gathers(one, now, windows) and len(one.alerts) < MAX_MEMBERS]
    shares = {one.id: common_labels(one.storm or {}, event.labels) for one in taking}
    best = max(taking, key=lambda one: len(shares[one.id]), default=None)
    if best is not None and not shares[best.id]:
        best = taking[0] if len(taking) >= MAX_STRANGERS else None
    if best is None:
        shared = common_labels(event.labels, event.labels)
        why = f"{rush}: this and further alerts that share its labels are gathered here"
        return decision.model_copy(update={"storm": shared, "why": why})
    shared = shares[best.id]
    why = f"{rush}: it joins the storm, with which it shares {in_words(shared)}"
    return Correlation(disposition=Disposition.attach, incident_id=best.id, storm=shared, why=why)


def storm_of(decision: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """Return the labels that a storm incident's alerts share, or None where it is none."""
    storm = (decision or {}).get("storm")
    return storm["shared"] if storm else None


def in_words(shared: Mapping[str, str]) -> str:
    """Return shared labels for people."""
    return ", ".join(f"{name}={value}" for name, value in sorted(shared.items())) or "no label"
