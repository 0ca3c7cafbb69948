"""runbooks simulate: what the runbooks would do about the alerts of a payload; nothing outside is asked or touched."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sreops.app import configured_runbooks, read_runbooks
from sreops.commands.payload import Unreadable, as_the_bridge, read_json, tell_notes, tell_rejected
from sreops.commands.terminal import Terminal
from sreops.domain.alerts.alert import AlertEvent, AlertStatus
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.runbooks.matching import RULES, offered, select_runbook
from sreops.domain.runbooks.plan import NAMES_TARGET, make_plan
from sreops.domain.runbooks.runbook import Autonomy, Plan, Runbook
from sreops.domain.runbooks.stand_in import analysis_of
from sreops.errors import PlanRefused
from sreops.settings import load_settings


def simulate(payload: Path, *, file: Path | None, cause: str, logs: Sequence[str]) -> int:
    """Print, for each firing alert, the runbook that would be run and its plan; status 1 where one can't be made.

    ``cause`` and ``logs`` stand for what an analysis would find; without a cause every runbook is shown that an
    analyst would be offered for the alert. Confidence, policy and the state of the world are not part of it.
    """
    terminal = Terminal()
    settings = load_settings()
    runbooks, path = read_runbooks(file, packaged_fallback=False) if file else configured_runbooks(settings)
    try:
        body = read_json(payload)
    except Unreadable as exc:
        terminal.say(str(exc))
        return 2
    parsed = as_the_bridge(body, settings, datetime.now(UTC), terminal)
    if parsed is None:
        return 1
    terminal.say(f"{path}: {len(runbooks)} runbooks")
    tell_rejected(parsed, terminal)
    tell_notes(parsed, terminal)
    good = [_one(terminal, event, runbooks, cause, logs) for event in parsed.events if _fires(event)]
    return 0 if all(good) and not parsed.rejected else 1


def _fires(event: AlertEvent) -> bool:
    return event.status is AlertStatus.firing


def _one(terminal: Terminal, event: AlertEvent, runbooks: Sequence[Runbook], cause: str, logs: Sequence[str]) -> bool:
    terminal.say("")
    terminal.say(f"{event.alertname} on {event.service} ({event.severity}, tier {event.tier})")
    chosen, why = _chosen(event, runbooks, cause, logs)
    if not chosen:
        terminal.say(f"  {why}")
        return event.runbook_id is None  # a label that names nothing is a mistake; no match is not
    good = True
    for runbook in chosen:
        terminal.say(f"  {runbook.id}: {why}")
        try:
            plan = make_plan(runbook, event, container=event.service)  # the engine, which knows it, is not asked
        except PlanRefused as exc:
            terminal.say(f"    can't be made concrete: {exc}")
            good = False
            continue
        for line in _lines(plan):
            terminal.say(f"    {line}")
    return good


def _chosen(
    event: AlertEvent, runbooks: Sequence[Runbook], cause: str, logs: Sequence[str]
) -> tuple[Sequence[Runbook], str]:
    """Return the runbooks to show, and why these: those on offer, or the agent's choice."""
    if not cause and not logs and not event.runbook_id:
        ids = {runbook.id for runbook in offered(runbooks, [event])}
        chosen = [runbook for runbook in runbooks if runbook.id in ids]
        return chosen, "offered: its conditions on the alert hold" if chosen else "no runbook is offered for it"
    seen = [Evidence(id="E1", kind=EvidenceKind.logs, source="simulated", finding="simulated", text="\n".join(logs))]
    selection = select_runbook(runbooks, [event], analysis_of(cause, reasoning="simulated"), RULES, seen)
    return ([selection.runbook] if selection.runbook else []), selection.why


def _lines(plan: Plan) -> list[str]:
    told = {
        Autonomy.autonomous: "acts by itself where the tier lets it",
        Autonomy.earned: "a person approves, until it has earned to act by itself",
        Autonomy.supervised: "a person approves",
        Autonomy.never: "never run: named to people",
    }
    lines = [f"{plan.autonomy}: {told[plan.autonomy]}; plan {plan.plan_hash}, cooldown {plan.cooldown_s:g} s"]
    for number, step in enumerate(plan.steps, 1):
        params = ", ".join(f"{name}={value}" for name, value in step.params.items() if name not in NAMES_TARGET)
        target = f" {step.target}" if step.action.disruptive or step.action == "check_health" else ""
        lines.append(f"{number}. {step.action}{target}{f' ({params})' if params else ''}")
    lines += [
        f"verify: {condition.promql} {condition.condition} for {condition.for_s:g} s" for condition in plan.verify
    ]
    return lines if plan.verify else [*lines, "verify: by the alert's own state"]
