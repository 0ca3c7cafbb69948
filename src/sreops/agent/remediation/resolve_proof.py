"""Recovery without an effect: a resolve is believed where the alert's own system agrees and the target lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sreops.agent.alerts import Alerts
from sreops.agent.context import Tools
from sreops.agent.remediation.decision import Escalate, Recovered, WaitUntil
from sreops.agent.remediation.life import subject_pulses
from sreops.agent.remediation.measure import alerts_now
from sreops.domain.alerts.alert import RESOLVE_REASONS_OF_NO_DATA, AlertEvent, AlertStatus
from sreops.domain.incidents.incident import Incident, Reason
from sreops.domain.remediation.life import LifeVerdict, Prospect, since_resolve
from sreops.telemetry import log

RESOLVE_DISBELIEVED: Final = "agent.resolve_disbelieved"


@dataclass(frozen=True)
class Disbelieved:
    """Every alert was said to be resolved, and these still fire: the resolve may be forged, or came too early."""

    firing: Sequence[str]


async def judge_resolve(tools: Tools, incident: Incident, alerts: Alerts) -> Recovered | Escalate | Disbelieved:
    """Return the end that a resolve gives an incident on which nothing was done yet.

    A resolve that the system which fired the alert contradicts is not believed. Whether the target lives is looked
    at when the incident is closed.
    """
    if not incident.resolve_proven:
        why = why_unproven(alerts, no_data_recovers=tools.settings.correlation.no_data_recovers)
        return Escalate(reason=Reason.resolved_without_proof, why=why)
    if firing := [alert.alertname for alert in await alerts_now(tools, alerts) if alert.firing]:
        log.warning(RESOLVE_DISBELIEVED, alerts=firing)
        return Disbelieved(firing)
    return Recovered(why="every alert of the incident was resolved before anything was done")


def why_unproven(alerts: Alerts, *, no_data_recovers: bool) -> str:
    """Say why the ends of the alerts prove no recovery, in Grafana's own words where it gave any."""
    resolved = [event for event in alerts.latest if event.status is AlertStatus.resolved]
    reasons = {reason for event in resolved for reason in event.ended_without_proof(no_data_recovers=no_data_recovers)}
    told = f" (Grafana's reason: {', '.join(sorted(reasons))})" if reasons else ""
    if reasons and reasons <= RESOLVE_REASONS_OF_NO_DATA:
        cure = "where the rule counts without data as healthy, set SREOPS_CORRELATION__NO_DATA_RECOVERS=true"
        return f"the alerts ended because their data went missing{told}, which proves no recovery; {cure}"
    if reasons == {"Error"}:
        return f"the alerts ended because their rule could not be evaluated{told}, which proves no recovery"
    return f"the alerts ended because their rule was edited, paused or deleted{told}"


async def target_lives(
    tools: Tools, incident: Incident, event: AlertEvent, since: datetime, why: str
) -> Recovered | Escalate | WaitUntil:
    """Say whether the target has lived for long enough since a time for the incident to be closed, and ``why``."""
    settings, now = tools.settings.verify, tools.clock.now()
    pulses = await subject_pulses(tools, incident, event)
    verdicts = [since_resolve(pulse, since, settle_s=settings.settle_s, now=now) for pulse in pulses]
    worst = max(verdicts, key=_badness, default=None)
    if worst is None:
        return Recovered(why=why)
    if worst.prospect is Prospect.lives:
        return Recovered(why=f"{why}; {worst.why}")
    patience_s = settings.settle_s + (0.0 if worst.prospect is Prospect.dead else settings.timeout_s)
    deadline = since + timedelta(seconds=patience_s)
    if now >= deadline:
        told = f"{_upper(worst.why)}. Its alerts were resolved, which a dead process brings about too: look at it"
        return Escalate(reason=Reason.resolved_without_proof, why=told)
    again = worst.again_at or now + timedelta(seconds=settings.poll_s)
    thought = f"Resolved, and not closed before its target has lived for {settings.settle_s:g} s: {worst.why}"
    return WaitUntil(until=min(again, deadline), timer="settle", thought=thought)


def _badness(verdict: LifeVerdict) -> int:
    order = (Prospect.lives, Prospect.settling, Prospect.unclear, Prospect.died, Prospect.dead)
    return order.index(verdict.prospect)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
