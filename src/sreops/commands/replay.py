"""replay: a recorded webhook through the graph without side effects, printed as it thinks."""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sreops.app import Running, running
from sreops.commands.payload import Unreadable, as_the_bridge, read_json, tell_notes, tell_rejected
from sreops.commands.terminal import Terminal
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.event_record import SCHEMA_HEADER, event_json
from sreops.domain.alerts.routing import CRITICAL
from sreops.domain.alerts.subject import in_words
from sreops.domain.records.handover import closing
from sreops.ports import LogRecord
from sreops.settings import DockerSettings, GitLabSettings, KafkaSettings, NotifySettings, Settings, load_settings
from sreops.telemetry import configure_logging

_LOOK_EVERY_S = 0.1


def run(payload: Path, *, timeout_s: float) -> int:
    """Replay the file; exit status 0 when every incident came to its end, 1 when not, or the payload is wrong."""
    terminal = Terminal()
    settings = load_settings()
    configure_logging("error", settings.log_format)
    try:
        body = read_json(payload)
    except Unreadable as exc:
        terminal.say(str(exc))
        return 1
    parsed = as_the_bridge(body, settings, datetime.now(UTC), terminal)
    if parsed is None:
        return 1
    tell_rejected(parsed, terminal)
    tell_notes(parsed, terminal)
    if not parsed.events:
        terminal.say("no alert of it would be worked on: there is nothing to replay")
        return 1 if parsed.rejected else 0
    with tempfile.TemporaryDirectory(prefix="sreops-replay-") as directory:
        return asyncio.run(_replay(harmless(settings, Path(directory)), parsed.events, terminal, timeout_s))


def harmless(settings: Settings, directory: Path) -> Settings:
    """Return settings that read the same sources and write nothing outside ``directory``."""
    return settings.model_copy(
        update={
            "data_dir": directory,
            "database_url": "",
            "dry_run": True,
            "roles": ("bridge", "worker"),
            "kafka": KafkaSettings(),
            "gitlab": GitLabSettings(),
            "notify": NotifySettings(),
            "docker": DockerSettings.model_validate(settings.docker.model_dump()),
        }
    )


async def _replay(settings: Settings, events: Sequence[AlertEvent], terminal: Terminal, timeout_s: float) -> int:
    async with running(settings) as app:
        for event in events:
            terminal.say(f"{event.alertname}: {in_words(event.subject)}")
        await inject(app, events)
        ended = await follow(app, len(events), terminal, timeout_s)
        await _tell(app, terminal)
        return 0 if ended else 1


async def inject(app: Running, events: Sequence[AlertEvent]) -> None:
    """Put events on the topic of what is worked on, whatever their severity."""
    # sre-info is not worked on by default: a replay shows every alert's way
    records = [LogRecord(CRITICAL, event.service, event_json(event), (SCHEMA_HEADER,)) for event in events]
    if records:
        await app.parts.event_log.append(records, timeout_s=app.settings.ack_timeout_s)


async def follow(app: Running, count: int, terminal: Terminal | None, timeout_s: float) -> bool:
    """Print thoughts as they come (without a terminal none); return whether every incident ended in time."""
    store, after, deadline = app.parts.store, 0, asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        for record in await store.records(after=after, kind="thought"):
            after = record.seq
            if terminal is not None:
                terminal.say(f"{record.body.get('node', ''):>20}  {' '.join(str(record.body.get('text', '')).split())}")
        backlog = await store.backlog(now=app.parts.tools.clock.now())
        incidents, _ = await store.incidents(limit=200)
        taken = sum(incident.event_count for incident in incidents)
        if backlog.inbox == 0 and backlog.open_incidents == 0 and (taken >= count or not count):
            return True
        if app.broken.is_set():
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    if terminal is not None:
        terminal.say(f"not at its end after {timeout_s:g} s")
    return False


async def _tell(app: Running, terminal: Terminal) -> None:
    incidents, _ = await app.parts.store.incidents(limit=200)
    for incident in incidents:
        evidence = await app.parts.store.evidence(incident.id)
        outcome = {"end": incident.status.value, "resolution": incident.resolution, "reason": incident.reason}
        decision = incident.decision or {}
        account = decision.get("handover") or closing(incident, {**outcome, "why": ""}, evidence, decision, {})
        terminal.title(f"{incident.service}: {incident.alertname}")
        terminal.block(account)
