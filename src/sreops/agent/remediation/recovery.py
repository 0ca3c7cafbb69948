"""Recovery without an effect: a resolve is believed where the alert's own system agrees and the target lives."""

from datetime import datetime, timedelta

from sreops.agent.remediation.life import subject_pulses
from sreops.agent.remediation.measure import alerts_now
from sreops.agent.state import Outcome, State
from sreops.agent.visit import Visit, escalated, resolved, waiting
from sreops.domain.incidents.incident import IncidentStatus, Reason, Resolution
from sreops.domain.remediation.life import LifeVerdict, Prospect, since_resolve
from sreops.telemetry import log

_NEED_A_LIVING_TARGET = (Resolution.recovered.value, Resolution.false_alarm.value)


async def ended_meanwhile(visit: Visit) -> Outcome | None:
    """Return the end that a resolve gives an incident on which nothing was done yet; None: the work goes on.

    A resolve that the system which fired the alert contradicts is not believed: it may be forged, or too early.
    Whether the target lives is looked at when the incident is closed.
    """
    if visit.incident.all_resolved_at is None:
        return None
    if not visit.incident.resolve_proven:
        why = "the alerts ended because their rule was edited, paused or deleted"
        return escalated(Reason.resolved_without_proof, why)
    if firing := [alert.alertname for alert in await alerts_now(visit) if alert.firing]:
        log.warning("agent.resolve_disbelieved", alerts=firing)
        visit.doubted_resolve_at = visit.incident.all_resolved_at
        if not visit.state.get("disbelieved"):
            visit.think(f"Told that every alert is resolved, but {', '.join(firing[:5])} still fires: the work goes on")
            await visit.write()
        return None
    return resolved(Resolution.recovered, "every alert of the incident was resolved before anything was done")


def closes_on_life(outcome: Outcome) -> bool:
    """Whether this end says that the service is well though nothing was done: then its target must live."""
    return outcome["end"] == "resolved" and outcome.get("resolution") in _NEED_A_LIVING_TARGET


async def confirm(visit: Visit, outcome: Outcome) -> State:
    """Look whether the target lives before an incident is closed as recovered; wait for it, or return the end.

    Returns a state without an outcome where an alert fires again: the work begins anew, once.
    """
    settings, now = visit.tools.settings.verify, visit.now()
    told_at = visit.state.get("recovered_at")
    since = datetime.fromisoformat(told_at) if told_at else (visit.incident.all_resolved_at or now)
    if told_at and await _fires_again(visit):
        return await _begin_anew(visit)
    pulses = await subject_pulses(visit)
    verdicts = [since_resolve(pulse, since, settle_s=settings.settle_s, now=now) for pulse in pulses]
    worst = max(verdicts, key=_badness, default=None)
    if worst is None or worst.prospect is Prospect.lives:
        why = f"{outcome['why']}; {worst.why}" if worst else outcome["why"]
        return State(outcome={**outcome, "why": why}, wait_until=None)
    patience_s = settings.settle_s + (0.0 if worst.prospect is Prospect.dead else settings.timeout_s)
    deadline = since + timedelta(seconds=patience_s)
    if now >= deadline:
        why = f"{_upper(worst.why)}. Its alerts were resolved, which a dead process brings about too: look at it"
        return State(outcome=escalated(Reason.resolved_without_proof, why), wait_until=None)
    if not told_at:
        visit.think(f"Resolved, and not closed before its target has lived for {settings.settle_s:g} s: {worst.why}")
        await visit.write({"status": IncidentStatus.verifying})
    again = worst.again_at or now + timedelta(seconds=settings.poll_s)
    return State(
        outcome=outcome,
        recovered_at=since.isoformat(),
        by_resolve=visit.incident.all_resolved_at is not None,
        **waiting(min(again, deadline), "settle"),
    )


async def _fires_again(visit: Visit) -> bool:
    if any(alert.firing for alert in await alerts_now(visit)):
        return True
    # a resolve that was taken back: an alert fires again, or another has joined
    return visit.incident.all_resolved_at is None and bool(visit.state.get("by_resolve"))


async def _begin_anew(visit: Visit) -> State:
    why = "an alert fires again before the target had lived for long enough after the resolve"
    if visit.state.get("begun_anew"):
        return State(outcome=escalated(Reason.resolved_without_proof, f"{why}, for the second time"), wait_until=None)
    visit.think(f"{_upper(why)}: looked at anew")
    await visit.write({"status": IncidentStatus.investigating})
    return State(
        outcome=None, begun_anew=True, recovered_at=None, wait_until=None, looks=[], approval="", step=0, plan={}
    )


def _badness(verdict: LifeVerdict) -> int:
    order = (Prospect.lives, Prospect.settling, Prospect.unclear, Prospect.died, Prospect.dead)
    return order.index(verdict.prospect)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
