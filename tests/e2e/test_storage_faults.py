"""Disk full, read-only, locked, damaged: a clear state, no 202 that is not true, and recovery without a person."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.process import DidNotStart
from servers.sreops import Sreops
from servers.waiting import eventually

pytestmark = pytest.mark.timeout(240)
SIZE_BYTES = 32 * 1024 * 1024  # three logs of 4 MiB before SQLite checkpoints them, and room


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold it as another process might: nobody else reads or writes."""
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def webhook(*services: str, text: str = "x") -> dict[str, Any]:
    """Return a firing alert for each service, of a name of its own: many of one name would be one storm."""
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": f"Broken-{service}", "service": service, "severity": "critical", "tier": "0"},
            "annotations": {"summary": "it burns", "description": text},
            "startsAt": datetime.now(UTC).isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": f"f-{service}",
        }
        for service in services
    ]
    return {"version": "1", "orgId": 1, "status": "firing", "receiver": "sreops", "alerts": alerts}


def may_mount() -> bool:
    """Tell whether this process may mount a file system (root in a container often may not)."""
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return os.geteuid() == 0 and probe.returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of a few megabytes."""
    if not may_mount():
        if os.environ.get("CI"):
            pytest.fail("these tests need root and the right to mount")
        pytest.skip("needs root and the right to mount")
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(place))
    (place / "ballast").touch()
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@contextmanager
def serving(data_dir: Path, **settings: str) -> Iterator[Sreops]:
    sreops = Sreops({"SREOPS_DATA_DIR": str(data_dir), "SREOPS_WORKER__RETRY_S": "0.2", **settings})
    try:
        yield sreops.start()
    finally:
        sreops.close()


def health(sreops: Sreops) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{sreops.url}/health", timeout=20).json()
    return found


def fill(disk: Path) -> Path:
    """Take all of the free space."""
    ballast = disk / "ballast"
    with ballast.open("r+b", buffering=0) as file:
        for piece in (65536, 4096):
            try:
                while True:
                    file.write(b"\0" * piece)
            except OSError:
                continue
    return ballast


def free(ballast: Path) -> None:
    """Give it back."""
    os.truncate(ballast, 0)


def test_a_full_disk_is_503_and_never_202_and_it_recovers_by_itself(disk: Path) -> None:
    with serving(disk / "data") as sreops:
        assert sreops.post("/alerts", webhook("before")).status_code == 202
        ballast = fill(disk)
        taken = set()
        for number in range(400):  # what SQLite has already may take some
            answer = sreops.post("/alerts", webhook(f"full-{number}", text="x" * 30_000))
            if answer.status_code != 202:
                break
            taken.add(f"full-{number}")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        found = health(sreops)
        assert found["status"] == "unhealthy"
        assert "full" in str(found["checks"]["event_log"])
        assert httpx.get(f"{sreops.url}/readyz", timeout=10).status_code == 503
        assert httpx.get(f"{sreops.url}/livez", timeout=10).status_code == 200, "a restart would not help"

        free(ballast)
        deadline = time.monotonic() + 30
        while health(sreops)["status"] == "unhealthy":
            assert time.monotonic() < deadline, health(sreops)
            time.sleep(0.2)
        assert sreops.post("/alerts", webhook("after")).status_code == 202
        for service in {"before", "after"} | taken:
            poll_end(sreops, service)
        assert {one["service"] for one in sreops.incidents(limit="100")} == {"before", "after"} | taken
        assert {one["reason"] for one in sreops.incidents(limit="100")} & {"internal_error", "timed_out"} == set()


def poll_end(sreops: Sreops, service: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (found := sreops.ended_incident_of(service)) is None:
        assert time.monotonic() < deadline, f"{service} did not end"
        time.sleep(0.2)
    return found


def test_a_disk_that_fills_while_incidents_are_worked_on_ends_none_of_them_for_that(disk: Path) -> None:
    with serving(disk / "data") as sreops:
        services = [f"s{number}" for number in range(30)]
        assert sreops.post("/alerts", webhook(*services, text="x" * 30_000)).status_code == 202
        ballast = fill(disk)
        time.sleep(8)  # the fault itself: longer than three tries take
        assert "disk is full" in sreops.log_since_start(), "the work has met it"
        free(ballast)
        ends = [poll_end(sreops, service) for service in services]
        assert {end["reason"] for end in ends} & {"internal_error", "timed_out"} == set()


def test_a_read_only_data_directory_refuses_the_start_in_one_sentence(disk: Path) -> None:
    with serving(disk / "data") as sreops:
        poll = sreops.post("/alerts", webhook("before"))
        assert poll.status_code == 202
        poll_end(sreops, "before")
        sreops.stop()
        mount("-o", "remount,ro", str(disk))
        with pytest.raises(DidNotStart, match="status 2"):
            sreops.start()
        said = sreops.log_since_start()
        assert "SREOPS_DATA_DIR" in said
        assert "Traceback" not in said
        mount("-o", "remount,rw", str(disk))
        sreops.start()
        assert len(sreops.incidents()) == 1


async def test_a_locked_store_holds_work_up_and_not_the_alerts(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as sreops:
        with locked(tmp_path / "data" / "sreops.db"):
            answer = await asyncio.to_thread(sreops.post, "/alerts", webhook("locked"))
            assert answer.status_code == 202, "it is durable in the event log"
            found = await eventually(
                lambda: (got := health(sreops))["checks"]["store"]["status"] == "down" and got, 30, what="the lock"
            )
            assert found["status"] == "unhealthy"
        incident = await eventually(lambda: asyncio.to_thread(sreops.ended_incident_of, "locked"), 60)
        assert incident["reason"] not in ("internal_error", "timed_out")
        await eventually(lambda: health(sreops)["status"] != "unhealthy", 20)


async def test_a_locked_event_log_is_503_until_it_is_free(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as sreops:
        with locked(tmp_path / "data" / "events.db"):
            answer = await asyncio.to_thread(sreops.post, "/alerts", webhook("locked"))
            assert answer.status_code == 503
        assert (await asyncio.to_thread(sreops.post, "/alerts", webhook("free"))).status_code == 202
        await eventually(lambda: asyncio.to_thread(sreops.ended_incident_of, "free"), 60)
        # a write that waited for the lock may still be made after its 503: the sender repeats it, and it is known
        assert {one["service"] for one in sreops.incidents()} <= {"free", "locked"}


@pytest.mark.parametrize("name", ["sreops.db", "checkpoints.db"])
def test_a_damaged_database_refuses_the_start_and_is_not_written_over(tmp_path: Path, name: str) -> None:
    damaged = tmp_path / "data" / name
    damaged.parent.mkdir(mode=0o700)
    letter = b"this was a database before the disk went bad " * 500
    damaged.write_bytes(letter)
    sreops = Sreops({"SREOPS_DATA_DIR": str(damaged.parent)})
    try:
        with pytest.raises(DidNotStart, match="status 2"):
            sreops.start()
        said = sreops.log_since_start()
        assert str(damaged) in said
        assert "move it away" in said
        assert "Traceback" not in said
        assert damaged.read_bytes() == letter
        damaged.rename(damaged.with_suffix(".damaged"))
        sreops.start()
        assert sreops.post("/alerts", webhook("anew")).status_code == 202
    finally:
        sreops.close()


async def test_a_damaged_event_log_is_unhealthy_and_served_again_once_it_was_moved_away(tmp_path: Path) -> None:
    damaged = tmp_path / "data" / "events.db"
    damaged.parent.mkdir(mode=0o700)
    letter = b"this was a log before the disk went bad " * 500
    damaged.write_bytes(letter)
    with serving(damaged.parent) as sreops:
        assert (await asyncio.to_thread(sreops.post, "/alerts", webhook("lost"))).status_code == 503
        assert health(sreops)["status"] == "unhealthy"
        assert str(damaged) in str(health(sreops)["checks"]["event_log"])
        assert damaged.read_bytes() == letter
        damaged.rename(damaged.with_suffix(".damaged"))
        await eventually(lambda: health(sreops)["status"] != "unhealthy", 20, what="the log to be made anew")
        assert (await asyncio.to_thread(sreops.post, "/alerts", webhook("anew"))).status_code == 202
        await eventually(lambda: asyncio.to_thread(sreops.ended_incident_of, "anew"), 60)
