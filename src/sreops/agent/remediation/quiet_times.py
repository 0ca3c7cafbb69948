"""Times in which nothing is done: silences, maintenance windows, change freezes, asked for right before each effect."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sreops.agent.alerts import Alerts
from sreops.agent.remediation.request import Request
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.remediation.policy import TargetFacts
from sreops.domain.runbooks.windows import held_by_label, holding
from sreops.errors import SreopsError
from sreops.ports import Silences
from sreops.telemetry import log

SILENCES_UNKNOWN: Final = "agent.silences_unknown"

MAINTENANCE_LABEL = "sreops.maintenance"
"""On an alert or a target: ``true``, or the time until which nothing is done."""


_TIMEOUT_S = 10.0


class QuietTimes(NamedTuple):
    """Why nothing is done now, and which system that may say so could not be asked."""

    holds: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()


async def quiet_times(
    request: Request, alerts: Alerts, targets: Sequence[TargetFacts], names: Collection[str]
) -> QuietTimes:
    """Ask for all that may forbid an act now; ``names`` are the subject's and the targets'."""
    policy, now = request.tools.settings.policy, request.now()
    events = tuple(alerts.standing)
    asked = await asyncio.gather(*(_ask(silence, events, now) for silence in request.tools.silences))
    labelled = [*_by_alerts(events, now), *_by_targets(targets, now)]
    return QuietTimes(
        holds=(
            *(why for answer in asked for why in answer.holds),
            *(f"maintenance: {told}" for told in holding(policy.maintenance, names, now)),
            *(f"change freeze: {told}" for told in holding(policy.freezes, names, now)),
            *(f"the runbook's not_during: {told}" for told in holding(request.plan.not_during, names, now)),
            *labelled,
        ),
        unasked=tuple(why for answer in asked for why in answer.unasked),
    )


async def _ask(silences: Silences, events: Sequence[AlertEvent], now: datetime) -> QuietTimes:
    try:
        found = await silences.silenced(events, now=now, timeout_s=_TIMEOUT_S)
    except SreopsError as exc:
        log.warning(SILENCES_UNKNOWN, where=silences.name, error=str(exc))
        return QuietTimes(unasked=(f"whether {silences.name} silences the alert can't be asked: {exc}",))
    return QuietTimes(
        holds=tuple(dict.fromkeys(silenced.why for silenced in found if silenced.sure)),
        unasked=tuple(dict.fromkeys(silenced.why for silenced in found if not silenced.sure)),
    )


def _by_alerts(events: Sequence[AlertEvent], now: datetime) -> Sequence[str]:
    return [
        f"alert {event.alertname} is under maintenance by its label {MAINTENANCE_LABEL}"
        for event in events
        if held_by_label(event.label(MAINTENANCE_LABEL) or "", now)
    ]


def _by_targets(targets: Sequence[TargetFacts], now: datetime) -> Sequence[str]:
    return [
        f"target {target.name!r} is under maintenance by its label {MAINTENANCE_LABEL}"
        for target in targets
        if held_by_label(target.labels.get(MAINTENANCE_LABEL, ""), now)
    ]
