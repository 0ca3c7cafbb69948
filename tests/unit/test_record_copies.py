"""Copies of records for the topics: whatever a record holds, it is JSON there."""

import json
from datetime import UTC, datetime
from typing import Any, cast

from sreops.domain.records.record import Record, RecordKind, Thought
from sreops.ports import Clock, EventLog, IncidentStore, LogRecord
from sreops.worker.copies import Copies


class _Store:
    def __init__(self, body: dict[str, Any]) -> None:
        self.waiting = [
            Record(seq=1, incident_id="i", kind=RecordKind.thought, at=datetime(2026, 3, 1, tzinfo=UTC), body=body)
        ]

    async def unpublished(self, limit: int) -> list[Record]:
        return self.waiting

    async def published(self, seqs: list[int]) -> None:
        self.waiting = []


class _Log:
    def __init__(self) -> None:
        self.records: list[LogRecord] = []

    async def append(self, records: list[LogRecord], *, timeout_s: float) -> None:
        self.records += records


async def test_a_thought_with_a_number_that_json_has_no_word_for_is_copied_all_the_same() -> None:
    thought = Thought(node="verify_success", text="looked", data={"values": [float("nan"), float("inf"), 1.5]})
    store, log = _Store(thought.model_dump()), _Log()
    copies = Copies(store=cast(IncidentStore, store), event_log=cast(EventLog, log), clock=cast(Clock, None))
    assert await copies.copy_once() == 1
    [record] = log.records
    assert record.topic == "agent-thoughts"
    assert json.loads(record.value)["data"] == {"values": [None, None, 1.5]}
    assert not store.waiting
