"""dead-letter list, requeue: what could not be processed, and putting it back on purpose."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from rich.console import Console

from sreops.app import build_event_log
from sreops.commands.terminal import complaints
from sreops.domain.alerts.routing import ALERT_TOPICS, DEAD_LETTER
from sreops.domain.text.printable import printable
from sreops.errors import EventLogUnavailable, PayloadRejected
from sreops.ports import EventLog, StoredRecord
from sreops.settings import Settings, load_settings
from sreops.telemetry import configure_logging
from sreops.worker.dead_letter import Letter, letters, mark_put_back, put_back

_READ_S = 60.0
_POLL_S = 1.0
_BATCH = 500


def show() -> int:
    """List the dead letters, oldest first; exit status 0."""
    return asyncio.run(_show())


def requeue(ids: Sequence[str], *, everything: bool) -> int:
    """Put letters back on their topics; status 1 where one is not there or can't be put back, 2 where none is named."""
    if not ids and not everything:
        complaints().say("name the IDs that `sreops dead-letter list` shows, or give --all")
        return 2
    return asyncio.run(_requeue(ids, everything))


async def _show() -> int:
    console = _console()
    async with _log() as (_, event_log):
        found = await _read(event_log)
    for letter in found:
        _tell(console, letter)
    waiting = sum(letter.requeued_at is None for letter in found)
    console.print(f"{len(found)} dead letters, {waiting} not put back", markup=False)
    return 0


async def _requeue(ids: Sequence[str], everything: bool) -> int:
    console = _console()
    async with _log() as (settings, event_log):
        found = {letter.id: letter for letter in await _read(event_log)}
        chosen = (
            [letter for letter in found.values() if letter.requeued_at is None and not letter.cut] if everything else []
        )
        missing = [wanted for wanted in ids if wanted not in found]
        chosen += [found[wanted] for wanted in dict.fromkeys(ids) if wanted in found]
        refused = 0
        for letter in chosen:
            refused += not await _put_back(console, settings, event_log, letter)
    for wanted in missing:
        console.print(
            f"{printable(wanted)}: there is no such dead letter; `sreops dead-letter list` shows them", markup=False
        )
    console.print(f"{len(chosen) - refused} put back", markup=False)
    return 1 if missing or refused else 0


async def _put_back(console: Console, settings: Settings, event_log: EventLog, letter: Letter) -> bool:
    try:
        record = put_back(letter)
    except PayloadRejected as exc:
        console.print(printable(str(exc)), markup=False)
        return False
    if record.topic not in ALERT_TOPICS:
        console.print(
            f"{printable(letter.id)}: nobody would take it from {printable(record.topic)}: it is no topic of alerts",
            markup=False,
        )
        return False
    # the record before its mark: where the second fails, the letter is shown as still to be put back
    await event_log.append([record], timeout_s=settings.ack_timeout_s)
    await event_log.append(mark_put_back([letter], datetime.now(UTC)), timeout_s=settings.ack_timeout_s)
    console.print(f"{printable(letter.id)}: put back on {printable(record.topic)}", markup=False)
    return True


@asynccontextmanager
async def _log() -> AsyncIterator[tuple[Settings, EventLog]]:
    settings = load_settings()
    configure_logging("error", settings.log_format)
    event_log = build_event_log(settings)
    await event_log.start()
    try:
        yield settings, event_log
    finally:
        await event_log.stop()


async def _read(event_log: EventLog) -> list[Letter]:
    """Read the whole topic as a group of its own that commits nothing, so that nobody's reading is moved."""
    records: list[StoredRecord] = []
    deadline = time.monotonic() + _READ_S
    async with event_log.subscribe([DEAD_LETTER], group=f"sreops-dead-letter-{uuid.uuid4().hex}") as subscription:
        while True:
            batch = await subscription.poll(max_records=_BATCH, timeout_s=_POLL_S)
            records += batch
            if batch:
                continue
            if subscription.health().status == "up" and await subscription.lag() == 0:
                return letters(records)
            if time.monotonic() > deadline:
                why = subscription.health().detail
                raise EventLogUnavailable(f"the dead letters could not be read within {_READ_S:g} s: {why}")


def _tell(console: Console, letter: Letter) -> None:
    state = f"put back {letter.requeued_at}" if letter.requeued_at else "dead"
    if letter.cut:
        state += ", only its beginning was kept"
    at = letter.record.at.isoformat(timespec="seconds") if letter.record.at else "?"
    lines = [f"{letter.id}  {at}  {letter.origin}  {letter.record.key or '-'}  {state}", f"    {letter.error}"]
    if letter.frame:
        lines.append(f"    at {letter.frame}")
    for line in lines:
        console.print(printable(line), markup=False)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
