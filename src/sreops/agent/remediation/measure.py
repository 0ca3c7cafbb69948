"""Looking: measure a service's state now, for the baseline and for the proof."""

import asyncio
from collections.abc import Sequence

from sreops.agent.context import Tools
from sreops.agent.remediation.targets import find_target
from sreops.agent.visit import Visit
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import ContainerState, SeriesSet
from sreops.domain.remediation.verification import Look, Reading, read_condition
from sreops.domain.runbooks.runbook import Condition, Plan
from sreops.errors import SreopsError
from sreops.telemetry import log

_ASKED_AT_MOST = 20  # alerts of one incident: a look must not become a flood of queries
_WORST_FIRST = ("down", "unhealthy", "starting", "running", "healthy")


async def look(visit: Visit, plan: Plan) -> Look:
    """Measure the plan's conditions, its containers' health and the alert's own state; a failure is a gap."""
    readings = [await _read(visit.tools, condition) for condition in plan.verify]
    return Look(
        readings=tuple(readings),
        container=await _container(visit.tools, plan),
        alert_firing=await alert_firing(visit),
    )


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


async def _container(tools: Tools, plan: Plan) -> str | None:
    states: list[str] = []
    for step in plan.steps:
        if not step.action.disruptive:
            continue
        try:
            seen = await find_target(tools, step)
        except SreopsError as exc:
            log.warning("agent.container_unseen", target=step.target, error=str(exc))
            continue
        if isinstance(seen, ContainerState):
            states.append(container_word(seen))
        elif seen is not None:
            states.append("running" if seen.running >= seen.replicas else "starting")
    return worst(states)


def container_word(seen: ContainerState) -> str:
    """Return one word for a container's state, as ``Look.container`` has it."""
    if not seen.running or seen.status in ("restarting", "paused", "dead"):
        return "down"
    return seen.health or "running"


def worst(states: Sequence[str]) -> str | None:
    """Return the worst of the words, or None where there is none."""
    return next((word for word in _WORST_FIRST if word in states), None)


async def alert_firing(visit: Visit) -> bool | None:
    """Say whether an alert of the incident fires now: by those who evaluate it, else by our own record.

    The alert of the episode is not the only one that counts: what joined the incident and still burns would be
    closed with it. Our record can only say "no longer": that nobody has told us of a resolve proves nothing.
    """
    incident = visit.incident
    if incident.all_resolved_at is not None and incident.resolve_proven:
        return await _fires(visit.tools, visit.event) is True  # all were resolved: only who evaluates it may differ
    asked = (await visit.alerts())[:_ASKED_AT_MOST]
    states = await asyncio.gather(*(_fires(visit.tools, event) for event in asked))
    if True in states:
        return True
    return None if None in states else False


async def _fires(tools: Tools, event: AlertEvent) -> bool | None:
    if tools.alert_states is None:
        return None
    try:
        return await tools.alert_states.firing(event, timeout_s=tools.settings.prometheus.timeout_s)
    except SreopsError as exc:
        log.warning("agent.alert_state_unknown", error=str(exc))
        return None
