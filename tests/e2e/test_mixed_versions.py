"""A rolling upgrade: sreops 0.1 and this version beside each other on one PostgreSQL and one Kafka."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from crash.world import QUICK, RUNBOOKS, Process, World, payload
from servers.kafka import Kafka
from servers.postgres import Postgres
from servers.waiting import eventually

psycopg = pytest.importorskip("psycopg", reason="needs the extra postgres")
from psycopg.rows import dict_row  # noqa: E402

pytestmark = [pytest.mark.needs("postgres", "kafka"), pytest.mark.timeout(420)]

OLD = "533b89d"
"""The last commit of 0.1."""
REPOSITORY = Path(__file__).resolve().parents[2]
Row = dict[str, Any]


class OldProcess(Process):
    """sreops 0.1, from its own sources; what it has never heard of is not among its settings."""

    prepared = False  # it has imports of its own

    def __init__(self, settings: Mapping[str, str], sources: Path) -> None:
        super().__init__({name: value for name, value in settings.items() if "BURST" not in name})
        self.settings.pop("SREOPS_WEBHOOK__ANONYMOUS_AUTONOMOUS", None)
        self._sources = sources

    def environment(self) -> dict[str, str]:
        return super().environment() | {"PYTHONPATH": str(self._sources)}


@pytest.fixture(scope="module")
def old_sources() -> Iterator[Path]:
    """The sources of 0.1, as the repository's history has them."""
    directory = Path(tempfile.mkdtemp(prefix="sreops-0.1-"))
    archive = subprocess.run(
        ["git", "-C", str(REPOSITORY), "archive", OLD, "src"], capture_output=True, check=False, timeout=60
    )
    if archive.returncode:
        pytest.skip(f"the history does not reach back to {OLD}: {archive.stderr.decode()}")
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive.stdout, check=True, timeout=60)
    yield directory / "src"
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def kafka() -> Iterator[Kafka]:
    """A broker of the test's own: a new group reads all that the topics ever held."""
    with Kafka() as broker:
        yield broker


def query(url: str, sql: str) -> list[Row]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(sql.encode()).fetchall()


async def ended(process: Process, service: str, reason: str | None = None, *, approve: bool = False) -> Row:
    """Return the service's newest incident once it has ended; ``approve``: a plan that waits is approved."""

    def look() -> Row | None:
        found = process.incident_of(service)
        assert found is not None
        if approve and found["status"] == "awaiting_approval":
            decision = {"by": "tester", "reason": "because", "plan_hash": found["plan_hash"]}
            process.post(f"/api/incidents/{found['id']}/approve", decision)
        assert found["ended_at"], (found["status"], (found["decision"] or {}).get("policy"))
        return found if reason is None or found["reason"] == reason else None

    found = await eventually(lambda: asyncio.to_thread(look), 90, every_s=0.3, what=f"{service} to end")
    assert found is not None
    return found


async def stands(process: Process, service: str, status: str) -> Row:
    def look() -> Row | None:
        found = process.incident_of(service)
        return found if found and found["status"] == status else None

    found = await eventually(lambda: asyncio.to_thread(look), 60, every_s=0.3, what=f"{service} to be {status}")
    assert found is not None
    return found


async def posted(process: Process, body: object) -> None:
    answer = await asyncio.to_thread(process.post, "/alerts", body)
    assert answer.status_code == 202, answer.text


async def test_an_upgrade_beside_the_old_version_loses_repeats_and_buries_nothing(
    kafka: Kafka, postgres: Postgres, old_sources: Path
) -> None:
    url = await asyncio.to_thread(postgres.new_database, "mixed")
    directory = Path(tempfile.mkdtemp(prefix="sreops-mixed-"))  # short: a unix socket lies in it
    world = World(directory)
    while_both = [f"both-{number}" for number in range(6)]
    settings = QUICK | {
        "SREOPS_DATABASE_URL": url,
        "SREOPS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
        "SREOPS_KAFKA__GROUP_ID": f"mixed-{os.getpid()}",
        "SREOPS_KAFKA__PARTITIONS": "3",
    }
    async with world.serving():
        for service in ("waits", "rejected", "joined", "incurable", *while_both, "after"):
            world.add(service)
        in_vain = RUNBOOKS[RUNBOOKS.index("  - id:") :].replace("restart-what-is-broken", "in-vain")
        (directory / "runbooks.yaml").write_text(RUNBOOKS + in_vain)  # a breaker is a runbook's, too
        settings |= world.settings() | {
            "SREOPS_POLICY__BREAKER_FAILURES": "1",
            "SREOPS_VERIFY__TIMEOUT_S": "15",
            "SREOPS_DOCKER__SETTLE_MARGIN_S": "20",  # an outcome that a busy machine makes unknown would open a breaker
        }
        old, new = OldProcess(settings, old_sources), Process(settings)
        try:
            await asyncio.to_thread(old.start)
            # what 0.1 leaves behind: plans that wait, an incident that was handed over and still fires, a breaker
            for service in ("waits", "rejected"):
                await posted(old, payload(service, 1, tier="supervised"))
            await posted(old, payload("joined", 1, tier="supervised", agent_action="observe", severity="warning"))
            world.make_incurable("incurable")
            await posted(old, payload("incurable", 1, runbook_id="in-vain"))
            waits = await stands(old, "waits", "awaiting_approval")
            rejected = await stands(old, "rejected", "awaiting_approval")
            joined = await ended(old, "joined")
            await ended(old, "incurable", "remediation_ineffective")
            before = await asyncio.to_thread(query, url, "SELECT id, status, reason FROM incidents ORDER BY id")

            await asyncio.to_thread(new.start)
            assert await asyncio.to_thread(query, url, "SELECT id, status, reason FROM incidents ORDER BY id") == before
            seen = await asyncio.to_thread(new.incidents)
            assert {one["id"] for one in seen} == {row["id"] for row in before}

            # both serve: alerts come by either, and repeats of what the other has had
            for number, service in enumerate(while_both):
                first, second = (old, new) if number % 2 else (new, old)
                body = payload(service, 1)
                await posted(first, body)
                await posted(second, body)
            # what 0.1 asked is decided here, and once
            decision = {"by": "tester", "reason": "because"}
            for incident, what in ((waits, "approve"), (rejected, "reject")):
                body = decision | {"plan_hash": incident["plan_hash"]}
                answers = [
                    (await asyncio.to_thread(one.post, f"/api/incidents/{incident['id']}/{what}", body)).status_code
                    for one in (new, old)
                ]
                assert answers == [200, 409]
            for service in while_both:
                # what 0.1 has seen and this version decides on holds no second proof: it asks
                end = await ended(new, service, approve=True)
                assert end["resolution"] in ("fixed", "recovered"), await asyncio.to_thread(_told, url)
            assert (await ended(new, "waits"))["resolution"] == "fixed"
            assert (await ended(new, "rejected"))["reason"] == "approval_rejected"

            os.kill(old.pid, signal.SIGTERM)
            assert await asyncio.to_thread(old.end_of_process) == 0
            # what is left is the new one's: the breaker that 0.1 has opened holds for the same service
            await posted(new, payload("incurable", 1, first=7, alertname="Another", runbook_id="in-vain"))
            assert "did not help" in str((await ended(new, "incurable", "policy_denied"))["decision"])
            # and a critical one joins what 0.1 has handed over
            await posted(new, payload("joined", 1, first=1, tier="supervised", agent_action="observe"))
            await posted(new, payload("after", 1))
            assert (await ended(new, "after"))["resolution"] in ("fixed", "recovered")
            await eventually(lambda: asyncio.to_thread(_all_is_done, url), 60, every_s=0.5, what="all to be done")
            worse = await asyncio.to_thread(new.incident_of, "joined")
            assert worse is not None
            assert (worse["id"], worse["severity"], worse["status"]) == (joined["id"], "critical", "escalated")
            for service in ("waits", *while_both):
                assert world.restarts(service) == 1, service
            assert [world.restarts(service) for service in ("rejected", "joined")] == [0, 0]
            assert world.restarts("incurable") == 1, "the breaker holds"
            services = Counter(row["service"] for row in await asyncio.to_thread(query, url, "SELECT * FROM incidents"))
            assert {service: n for service, n in services.items() if n > 1} == {}
            letters = await new.run("dead-letter", "list", timeout_s=60)
            assert letters.returncode == 0, letters.stderr
            assert "restart" not in letters.stdout, letters.stdout
            assert "ServiceBroken" not in letters.stdout, letters.stdout
        finally:
            await asyncio.to_thread(old.close)
            await asyncio.to_thread(new.close)
    shutil.rmtree(directory, ignore_errors=True)


def _told(url: str) -> str:
    """Return how each incident stands, for whoever reads of a failure."""
    found = query(
        url, "SELECT service, status, resolution, reason, runbook_id, decision FROM incidents ORDER BY opened_at"
    )
    return "\n".join(" ".join(str(value)[-300:] for value in row.values()) for row in found)


def _all_is_done(url: str) -> bool:
    still = query(url, "SELECT service, status FROM incidents WHERE ended_at IS NULL")
    assert not still, still
    waiting = query(url, "SELECT event_id FROM inbox WHERE correlated_at IS NULL")
    assert not waiting
    tickets = query(url, "SELECT kind, error FROM tickets WHERE done_at IS NULL")
    assert not tickets, tickets
    return True
