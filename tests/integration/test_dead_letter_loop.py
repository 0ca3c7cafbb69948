"""What can't be processed ends in a person's hands and in the dead letter, and can be put back on purpose."""

from pathlib import Path
from typing import Any

from worker_scene import Broken, Worker, Wrapped, a_worker, event, record_of

from servers.waiting import eventually
from sreops.adapters.rules import RuleAnalyst
from sreops.domain.incidents.incident import IncidentStatus, Reason
from sreops.domain.records.audit import verify_chain
from sreops.worker.dead_letter import put_back


async def only_letter(worker: Worker) -> Any:
    found = await eventually(worker.letters, what="the dead letter")
    assert found is not None
    [letter] = found
    return letter


async def test_a_graph_that_fails_three_times_escalates_and_its_event_lies_in_the_dead_letter(tmp_path: Path) -> None:
    one = event()
    async with a_worker(tmp_path, [Broken()]) as worker, worker.running():
        await worker.log.append([record_of(one)], timeout_s=5)
        incident = await eventually(worker.ended)
        assert incident is not None
        assert (incident.status, incident.reason) == (IncidentStatus.escalated, Reason.internal_error)
        told = str(incident.decision)
        assert "KeyError" in told
        assert "Broken.analyze (worker_scene.py:" in told
        assert "3 times" in told
        letter = await only_letter(worker)
        assert letter.id == one.event_id
        assert letter.record.value == record_of(one).value, "the original bytes"
        assert letter.origin == "sre-critical"
        assert "KeyError: 'a key that is not there'" in letter.error
        assert letter.frame.startswith("Broken.analyze (worker_scene.py:")
        actions = await worker.store.records(incident_id=incident.id, kind="action")
        assert "dead_letter" in [record.body["action"] for record in actions]
        assert verify_chain(list(actions), None) == []


async def test_put_back_after_the_bug_was_mended_it_is_worked_on_again_and_not_taken_for_a_refire(
    tmp_path: Path,
) -> None:
    one = event()
    async with a_worker(tmp_path, [Broken()]) as worker, worker.running():
        await worker.log.append([record_of(one)], timeout_s=5)
        letter = await only_letter(worker)
    async with a_worker(tmp_path, [RuleAnalyst()]) as worker, worker.running():
        await worker.log.append([put_back(letter)], timeout_s=5)
        incident = await eventually(lambda: worker.ended(episode=2))
        assert incident is not None
        assert incident.reason not in (Reason.refired, Reason.internal_error)
        assert incident.analyst == "rules"
        assert len((await worker.store.incidents())[0]) == 1, "it is the same incident"
        await worker.log.append([record_of(one)], timeout_s=5)  # a late redelivery of the original
        await worker.log.append([record_of(event(1, service="after"))], timeout_s=5)
        await eventually(lambda: worker.ended("after"), what="what came after the redelivery to be handled")
        found = await worker.incident()
        assert found is not None
        assert found.episode == 2


async def test_an_incident_whose_account_can_not_be_written_is_ended_without_it(tmp_path: Path) -> None:
    class NoEvidence(Wrapped):
        async def evidence(self, incident_id: str) -> Any:
            raise TypeError("what was found can't be read")

    async with a_worker(tmp_path, [RuleAnalyst()], store=NoEvidence) as worker, worker.running():
        await worker.log.append([record_of(event())], timeout_s=5)
        incident = await eventually(worker.ended)
        assert incident is not None
        assert incident.reason is Reason.internal_error
        assert "can't be read" in str(incident.decision)
        await worker.log.append([record_of(event(1, service="other"))], timeout_s=5)
        assert await eventually(lambda: worker.ended("other")), "the worker goes on"


class Poisoned(Wrapped):
    """A store that trips over one event until it is mended."""

    mended = False

    async def correlate(self, one: Any, decide: Any, **told: Any) -> Any:
        if one.event_id == "event-0" and not Poisoned.mended:
            raise ZeroDivisionError("this event divides by zero")
        return await self._store.correlate(one, decide, **told)

    async def correlate_all(self, events: Any, decide: Any, **told: Any) -> Any:
        if not Poisoned.mended and any(one.event_id == "event-0" for one in events):
            raise ZeroDivisionError("this event divides by zero")
        return await self._store.correlate_all(events, decide, **told)


async def test_an_event_that_trips_correlation_is_set_aside_and_can_be_put_back(tmp_path: Path) -> None:
    Poisoned.mended = False
    poison, behind = event(0), event(1, fingerprint="another")
    async with a_worker(tmp_path, [RuleAnalyst()], store=Poisoned) as worker, worker.running():
        await worker.log.append([record_of(poison), record_of(behind)], timeout_s=5)
        assert await eventually(worker.ended), "the event behind it, of the same service, is handled"
        letter = await only_letter(worker)
        assert (letter.id, letter.record.value) == ("event-0", record_of(poison).value)
        assert "ZeroDivisionError" in letter.error
        assert letter.frame.startswith("Poisoned.correlate (test_dead_letter_loop.py:")
        assert (await worker.store.backlog(now=worker.tools.clock.now())).inbox == 0
        Poisoned.mended = True
        await worker.log.append([put_back(letter)], timeout_s=5)

        async def handled() -> bool:
            found = await worker.incident()
            events = await worker.store.events(found.id) if found else []
            return "event-0" in [one.event_id for one, _ in events]

        await eventually(handled, what="the event that was put back to be handled")
