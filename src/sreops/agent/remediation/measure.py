"""Looking: measure a service's state now, for the baseline and for the proof."""

import asyncio
from collections.abc import Sequence
from typing import Final

from sreops.agent.alerts import Alerts
from sreops.agent.context import Tools
from sreops.agent.remediation.life import pulses
from sreops.agent.remediation.request import Request
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import ContainerState, SeriesSet
from sreops.domain.remediation.life import worst
from sreops.domain.remediation.verification import Look, OtherAlert, Reading, read_condition
from sreops.domain.runbooks.runbook import Condition, Plan
from sreops.errors import SreopsError
from sreops.telemetry import log

ALERT_STATE_UNKNOWN: Final = "agent.alert_state_unknown"

_ASKED_AT_MOST = 20  # alerts of one incident: a look must not become a flood of queries


async def look(request: Request, alerts: Alerts) -> Look:
    """Measure the plan's conditions, its targets' lives and the alerts' own state; a failure is a gap."""
    readings = [await _read(request.tools, condition) for condition in request.plan.verify]
    seen = await pulses(request)
    mine, *others = await alerts_now(request.tools, alerts)
    most_ill = worst(seen)
    return Look(
        readings=tuple(readings),
        container=most_ill.vital.value if most_ill else None,
        pulses=seen,
        alert_firing=mine.firing,
        others=tuple(other for other in others if not _spoken_for(other, mine, request.plan)),
    )


def _spoken_for(other: OtherAlert, mine: OtherAlert, plan: Plan) -> bool:
    """Whether the plan's conditions answer for an alert that nobody knows of: of the same name, it is no other."""
    return other.firing is None and other.alertname == mine.alertname and bool(plan.verify)


async def _read(tools: Tools, condition: Condition) -> Reading:
    series: SeriesSet | None = None
    why = "Prometheus is not configured"
    if tools.metrics is not None:
        try:
            series = await tools.metrics.instant(
                condition.promql, at=None, timeout_s=tools.settings.prometheus.timeout_s
            )
            why = ""
        except SreopsError as exc:
            why = str(exc)
    return read_condition(condition, series, why)


def container_word(seen: ContainerState) -> str:
    """Return one word for a container's state, as ``Look.container`` has it."""
    if not seen.running or seen.status in ("restarting", "paused", "dead"):
        return "down"
    return seen.health or "running"


async def alerts_now(tools: Tools, alerts: Alerts) -> Sequence[OtherAlert]:
    """Return each alert of the incident with its state now, the one that opened the episode first.

    By those who evaluate it, else by our own record, which can only say "no longer", by a genuine resolve: that
    nobody has told us of one proves nothing.
    """
    asked, healthy = alerts.latest, tools.settings.correlation.no_data_recovers
    states = await asyncio.gather(*(_fires(tools, event) for event in asked[:_ASKED_AT_MOST]))
    states += [None] * (len(asked) - len(states))
    return [
        OtherAlert(alertname=event.alertname, firing=_by_record(event, healthy) if state is None else state)
        for event, state in zip(asked, states, strict=True)
    ]


async def nothing_fires(tools: Tools, alerts: Alerts) -> bool:
    """Whether it is known of every alert of the incident that it fires no more."""
    return all(alert.firing is False for alert in await alerts_now(tools, alerts))


def _by_record(event: AlertEvent, no_data_recovers: bool) -> bool | None:
    return False if event.proves_recovery(no_data_recovers=no_data_recovers) else None


async def _fires(tools: Tools, event: AlertEvent) -> bool | None:
    if tools.alert_states is None:
        return None
    try:
        return await tools.alert_states.firing(event, timeout_s=tools.settings.prometheus.timeout_s)
    except SreopsError as exc:
        log.warning(ALERT_STATE_UNKNOWN, error=str(exc))
        return None
