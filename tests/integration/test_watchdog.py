"""No incident without an end: what hangs is interrupted and says where, what is open for too long is escalated."""

import asyncio
from datetime import timedelta
from pathlib import Path

from worker_scene import Hands, Hanging, a_worker, event, record_of

from servers.waiting import eventually
from sreops.adapters.rules import RuleAnalyst
from sreops.domain.incidents.incident import IncidentStatus, Reason
from sreops.worker.watchdog import watch_once


async def test_a_node_that_hangs_is_interrupted_three_times_and_then_named(tmp_path: Path) -> None:
    async with a_worker(tmp_path, [Hanging()], max_run_s=0.2) as worker, worker.running():
        await worker.log.append([record_of(event())], timeout_s=5)
        incident = await eventually(worker.ended)
        assert incident is not None
        assert (incident.status, incident.reason) == (IncidentStatus.escalated, Reason.timed_out)
        assert "it hung in analyze_root_cause, 3 times" in str(incident.decision)
        assert await eventually(worker.letters, what="its event in the dead letter")


async def test_one_that_runs_past_its_time_is_interrupted_where_it_hangs(tmp_path: Path) -> None:
    clock, analyst = Hands(), Hanging()
    async with a_worker(tmp_path, [analyst], clock=clock, lease_s=3600, max_run_s=300, max_incident_s=600) as worker:
        async with worker.running():
            await worker.log.append([record_of(event())], timeout_s=5)
            await asyncio.wait_for(analyst.asked.wait(), 10)
            await watch_once(worker.tools, worker.wake, worker.dispatch.interrupt)
            assert worker.dispatch.running == 1, "it is not too old yet"
            clock.ahead = timedelta(seconds=601)
            await watch_once(worker.tools, worker.wake, worker.dispatch.interrupt)
            incident = await eventually(worker.ended)
        assert incident is not None
        assert incident.reason is Reason.timed_out
        assert "open for more than 600 s" in str(incident.decision)
        assert "it hung in analyze_root_cause" in str(incident.decision)
        assert await worker.letters() == [], "slow is not poisonous"


async def test_one_that_was_never_begun_is_escalated_too(tmp_path: Path) -> None:
    clock = Hands()
    async with a_worker(tmp_path, [RuleAnalyst()], clock=clock, max_incident_s=600) as worker:
        await worker.log.append([record_of(event())], timeout_s=5)
        taking = asyncio.create_task(worker.intake.run())
        await eventually(worker.incident)
        taking.cancel()
        clock.ahead = timedelta(seconds=700)
        async with worker.running():
            incident = await eventually(worker.ended)
        assert incident is not None
        assert incident.reason is Reason.timed_out
        assert "it stood before its first node" in str(incident.decision)


async def test_a_cancelled_worker_gives_its_lease_back_and_the_next_goes_on_at_once(tmp_path: Path) -> None:
    analyst = Hanging()
    async with a_worker(tmp_path, [analyst], lease_s=3600) as worker, worker.running():
        await worker.log.append([record_of(event())], timeout_s=5)
        await asyncio.wait_for(analyst.asked.wait(), 10)
    async with a_worker(tmp_path, [RuleAnalyst()], lease_s=3600) as worker, worker.running():
        incident = await eventually(worker.ended)
        assert incident is not None
        assert incident.analyst == "rules"


async def test_a_worker_that_drains_ends_its_node_and_claims_nothing_more(tmp_path: Path) -> None:
    async with a_worker(tmp_path, [RuleAnalyst()]) as worker, worker.running():
        worker.dispatch.drain()
        await worker.log.append([record_of(event())], timeout_s=5)
        await eventually(worker.incident)
        await asyncio.wait_for(worker.dispatch.idle(), 10)
        found = await worker.incident()
        assert found is not None
        assert not found.status.ended
    async with a_worker(tmp_path, [RuleAnalyst()]) as worker, worker.running():
        assert await eventually(worker.ended)


async def test_a_full_inbox_holds_reading_back_until_there_is_room(tmp_path: Path) -> None:
    async with a_worker(tmp_path, [Hanging()], max_inbox_bytes=100, max_run_s=0.3) as worker, worker.running():
        await worker.log.append([record_of(event())], timeout_s=5)
        await eventually(lambda: worker.intake.health().status == "down", what="reading to be held back")
        assert "SREOPS_WORKER__MAX_INBOX_BYTES" in worker.intake.health().cure
        await worker.log.append([record_of(event(1, service="later"))], timeout_s=5)
        assert await worker.incident("later") is None, "the log keeps it"
        assert await eventually(worker.ended)
        assert await eventually(lambda: worker.incident("later")), "it was read when there was room"
