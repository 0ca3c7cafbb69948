"""probe: without acting, which container, log selector and metrics sreops would use for a service or an alert."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sreops.app import Running, running
from sreops.commands.payload import Unreadable, as_the_bridge, read_json, tell_rejected
from sreops.commands.replay import follow, harmless, inject
from sreops.commands.terminal import Terminal
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.subject import in_words
from sreops.domain.evidence.probe import ProbeAnswer, Probed, lacking, probed
from sreops.settings import LLMSettings, McpSettings, Settings, load_settings
from sreops.telemetry import configure_logging

_TICKS: Mapping[ProbeAnswer, str] = {ProbeAnswer.found: "✓", ProbeAnswer.nothing: "✗", ProbeAnswer.not_configured: "-"}
_TIMEOUT_S = 120.0


def run(service: str | None, *, alert: Path | None, labels: Sequence[str]) -> int:
    """Print what is found for each subject; status 0, 1 where something configured has nothing, 2 for bad input."""
    terminal = Terminal()
    settings = load_settings()
    configure_logging("error", settings.log_format)
    wrong = [pair for pair in labels if "=" not in pair]
    if wrong:
        terminal.say(f"--label {wrong[0]}: write NAME=VALUE, such as --label namespace=shop")
        return 2
    if labels and alert:
        terminal.say("--label goes with a SERVICE: an --alert has its own labels")
        return 2
    if not (service or alert) or (service and alert):
        terminal.say("give a SERVICE (with --label NAME=VALUE where its alerts have more), or --alert FILE")
        return 2
    try:
        body = read_json(alert) if alert else None
    except Unreadable as exc:
        terminal.say(str(exc))
        return 2
    if service:
        body = {"labels": {"service": service, **dict(pair.split("=", 1) for pair in labels)}}
    with tempfile.TemporaryDirectory(prefix="sreops-probe-") as directory:
        return asyncio.run(_probe(_unaided(harmless(settings, Path(directory))), _payload(body), terminal))


def _unaided(settings: Settings) -> Settings:
    """Return settings without a model and its tools: what is asked of the sources is the same, and nothing is spent."""
    return settings.model_copy(update={"llm": LLMSettings(), "anthropic_api_key": None, "mcp": McpSettings()})


def _payload(body: object) -> object:
    """Return a webhook's payload; one alert by itself, such as a page's or a rule's labels, is wrapped into one."""
    if not isinstance(body, dict):
        return body
    if "alerts" not in body and isinstance(body.get("labels"), dict):
        alert: dict[str, Any] = {"status": "firing", **body, "labels": {"alertname": "SreopsProbe", **body["labels"]}}
        body = {"version": "1", "status": "firing", "alerts": [alert]}
    alerts = body.get("alerts")
    return {**body, "alerts": [_without_tier(alert) for alert in alerts]} if isinstance(alerts, list) else body


def _without_tier(alert: object) -> object:
    """Return an alert that the bridge takes in though it is for people only: nothing is done about it here."""
    if not isinstance(alert, dict) or not isinstance(alert.get("labels"), dict):
        return alert
    return {**alert, "labels": {name: value for name, value in alert["labels"].items() if name != "tier"}}


async def _probe(settings: Settings, body: object, terminal: Terminal) -> int:
    async with running(settings) as app:
        parsed = as_the_bridge(body, settings, app.parts.tools.clock.now(), terminal)
        if parsed is None:
            return 1
        tell_rejected(parsed, terminal)
        events = [_looked_at_only(event, app.parts.tools.clock.now()) for event in parsed.events]
        if not events:
            terminal.say("there is no alert in it that sreops would work on")
            return 1
        await inject(app, events)
        ended = await follow(app, len(events), None, _TIMEOUT_S)
        good = await _tell(app, terminal)
        if not ended:
            terminal.say(f"not all of it was found out within {_TIMEOUT_S:g} s")
        return 0 if ended and good and not parsed.rejected else 1


def _looked_at_only(event: AlertEvent, now: datetime) -> AlertEvent:
    """Return the event as one that is worked on and never acted on, whatever it says of itself."""
    return event.model_copy(
        update={
            "status": AlertStatus.firing,
            "ends_at": None,
            "starts_at": min(event.starts_at, now),
            "agent_action": "observe",
            "tier": Tier.supervised,
            "severity": Severity.critical,
            "runbook_id": None,
        }
    )


async def _tell(app: Running, terminal: Terminal) -> bool:
    good = True
    incidents, _ = await app.parts.store.incidents(limit=200)
    for incident in incidents:
        asked = probed(await app.parts.store.evidence(incident.id))
        terminal.title(incident.service)
        terminal.say(in_words(incident.subject))
        for probe in asked:
            for line in lines(probe):
                terminal.say(line)
        missing = lacking(asked)
        good = good and not missing
        if missing:
            terminal.say(f"nothing was found of: {', '.join(missing)}")
    return good and bool(incidents)


def lines(asked: Probed) -> list[str]:
    """Return one question in lines: what came back, the query, what was tried before it, the cure."""
    told = [f"{_TICKS[asked.answer]} {asked.part:<9}  {asked.found}"]
    told += [f"             tried  {query}" for query in asked.tried]
    if asked.query:
        told.append(f"             asked  {asked.query}")
    if asked.cure:
        told.append(f"             cure   {asked.cure}")
    return told
