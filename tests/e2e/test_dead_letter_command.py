"""`sreops dead-letter`: what a running sreops could not read is listed with its error, and goes back on purpose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from servers.sreops import Sreops
from servers.waiting import eventually
from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.ports import LogRecord

HOSTILE = "\x1b[2Jcheckout"


@pytest.fixture
def sreops() -> Iterator[Sreops]:
    with Sreops() as process:
        yield process


async def write(sreops: Sreops, *records: LogRecord) -> None:
    log = EmbeddedEventLog(sreops.data_dir / "events.db")
    await log.start()
    await log.append(records, timeout_s=5)
    await log.stop()


async def dead(sreops: Sreops, count: int) -> str:
    async def listed() -> str:
        shown = (await sreops.run("dead-letter", "list", timeout_s=60)).stdout
        return shown if f"{count} dead letters" in shown else ""

    return await eventually(listed, 30, every_s=0.2, what=f"{count} dead letters")


async def test_what_can_not_be_read_is_listed_and_goes_back_and_dies_again_under_its_id(sreops: Sreops) -> None:
    assert "0 dead letters" in (await sreops.run("dead-letter", "list", timeout_s=60)).stdout
    await write(sreops, LogRecord("sre-critical", HOSTILE, b"\xff\x00 not json"))
    shown = await dead(sreops, 1)
    [letter_id] = [line.split()[0] for line in shown.splitlines() if line.startswith("sre-critical:")]
    assert "not an event of schema 1" in shown
    assert "\x1b" not in shown
    assert "1 not put back" in shown

    back = await sreops.run("dead-letter", "requeue", letter_id, timeout_s=60)
    assert (back.returncode, "1 put back" in back.stdout) == (0, True), back.stderr

    async def died_again() -> bool:
        shown = (await sreops.run("dead-letter", "list", timeout_s=60)).stdout
        return "1 dead letters, 1 not put back" in shown and letter_id in shown

    await eventually(died_again, 20, every_s=0.2)


async def test_a_record_that_a_newer_version_could_read_is_handled_once_it_was_put_back(sreops: Sreops) -> None:
    """The reader of the topic moves on; the letter waits. Here the record's only fault is that it is not whole."""
    event = {
        "schema": 1, "event_id": "e-1", "source": "grafana", "fingerprint": "f", "status": "firing",
        "labels": {"alertname": "Down"}, "annotations": {}, "startsAt": datetime.now(UTC).isoformat(),
        "received_at": datetime.now(UTC).isoformat(), "tier": "autonomous", "severity": "critical",
        "service": "checkout",
    }  # fmt: skip
    letter = LogRecord(
        "sre-dead-letter", "checkout", json.dumps(event).encode(),
        (("dead-letter-id", b"e-1"), ("error", b"a bug of yesterday"), ("origin-topic", b"sre-critical")),
    )  # fmt: skip
    await write(sreops, letter)
    assert "a bug of yesterday" in await dead(sreops, 1)
    back = await sreops.run("dead-letter", "requeue", "--all", timeout_s=60)
    assert back.returncode == 0, back.stdout + back.stderr
    incident = await eventually(lambda: asyncio.to_thread(sreops.ended_incident_of, "checkout"), 30)
    assert incident["status"] == "escalated"
    shown = (await sreops.run("dead-letter", "list", timeout_s=60)).stdout
    assert "1 dead letters, 0 not put back" in shown
    assert "put back 20" in shown
    again = await sreops.run("dead-letter", "requeue", "--all", timeout_s=60)
    assert "0 put back" in again.stdout, "what was put back is not put back twice by --all"


async def test_an_unknown_id_is_told_and_so_is_no_id(sreops: Sreops) -> None:
    unknown = await sreops.run("dead-letter", "requeue", "nothing", timeout_s=60)
    assert (unknown.returncode, "no such dead letter" in unknown.stdout) == (1, True)
    none = await sreops.run("dead-letter", "requeue", timeout_s=60)
    assert (none.returncode, "--all" in none.stderr) == (2, True)
