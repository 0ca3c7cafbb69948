"""Events that share a transaction: decided as one after the other, all of them or none."""

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from store_scene import T0, alert, at, cleared, ended, fresh_store, from_topic

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, correlate
from sreops.errors import StoreUnavailable

store = pytest.fixture(fresh_store)
WINDOWS = Windows(clear_grace_s=20, refire_window_s=60, escalated_window_s=90, storm_incidents=4, storm_window_s=15)


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[SqlIncidentStore]:
    second = SqlIncidentStore(tmp_path / "other.db")
    await second.open()
    yield second
    await second.close()


def rounds(seed: int) -> list[list[AlertEvent]]:
    """Return events in batches, ten seconds apart: firing, repeated, resolved, late and redelivered ones."""
    dice = random.Random(seed)
    told: list[AlertEvent] = []
    batches = []
    for number in range(12):
        batch = []
        for one in range(dice.randrange(1, 12)):
            if told and dice.random() < 0.1:
                batch.append(dice.choice(told))  # redelivered
                continue
            service = f"s{dice.randrange(7)}"
            begun = 10 * dice.randrange(max(0, number - 3), number + 1)
            fingerprint = f"{service}-{dice.randrange(3)}"
            event = alert(service, event_id=f"{number}-{one}", fingerprint=fingerprint, starts_at=at(begun))
            event = event.model_copy(update={"received_at": at(10 * number)})
            if dice.random() < 0.4:
                event = cleared(event, ends=10 * number, event_id=f"{number}-{one}")
            batch.append(event)
            told.append(event)
        batches.append(batch)
    return batches


async def end_some(store: SqlIncidentStore, seed: int, second: float) -> None:
    """End what is due, as resolved or escalated; the same on each store."""
    for lease in await store.claim("w", now=at(second), lease_s=5, limit=9):
        how = random.Random(f"{seed} {lease.incident_id} {second}").randrange(3)
        if how == 0:
            await ended(store, lease, now=at(second))
        elif how == 1:
            fields = {"status": "escalated", "resolution": None, "reason": "no_runbook_matched", "verification": None}
            await ended(store, lease, now=at(second), **fields)
        else:
            await store.park(lease, wake_at=at(second + 15), timer="poll")


async def all_of(store: SqlIncidentStore) -> Any:
    """Return everything that correlation has written."""
    incidents = (await store.incidents(limit=200))[0]
    events = {one.id: await store.events(one.id) for one in incidents}
    records = [(one.incident_id, one.kind, one.at, one.body) for one in await store.records(limit=5000)]
    tickets = [
        (op.op_id, op.body) for one in incidents for op in await store.due_tickets(now=at(9e6), incident_id=one.id)
    ]
    return incidents, events, records, tickets


@pytest.mark.parametrize("seed", range(6))
async def test_a_batch_is_decided_as_its_events_one_after_the_other(
    store: SqlIncidentStore, other: SqlIncidentStore, seed: int
) -> None:
    seen = set()
    for number, batch in enumerate(rounds(seed)):
        now = at(10 * number)

        def decide(event: AlertEvent, known: Sequence[KnownIncident], now: Any = now) -> Correlation:
            return correlate(event, known, now, WINDOWS)

        for one in (store, other):
            await one.take_in([from_topic(event, place) for place, event in enumerate(batch)], now=now)
        together = await store.correlate_all(batch, decide, now=now, windows=WINDOWS)
        alone = [await other.correlate(event, decide, now=now, windows=WINDOWS) for event in batch]
        assert list(together) == alone
        seen |= {made.disposition for made in together}
        await end_some(store, seed, 10 * number + 5)
        await end_some(other, seed, 10 * number + 5)
        assert await all_of(store) == await all_of(other)
    assert seen >= {Disposition.open, Disposition.attach, Disposition.repeat, Disposition.resolve, Disposition.stale}
    assert await store.uncorrelated(10) == []


async def test_where_one_of_a_batch_fails_none_is_applied(store: SqlIncidentStore) -> None:
    events = [alert("a"), alert("b"), alert("c")]
    await store.take_in([from_topic(event, place) for place, event in enumerate(events)], now=T0)

    def decide(event: AlertEvent, known: Sequence[KnownIncident]) -> Correlation:
        if event.service == "c":
            raise ZeroDivisionError("this event divides by zero")
        return correlate(event, known, T0, WINDOWS)

    with pytest.raises(ZeroDivisionError):
        await store.correlate_all(events, decide, now=T0, windows=WINDOWS)
    assert await store.incidents() == ([], None)
    assert await store.records() == []
    assert [event.service for event in await store.uncorrelated(10)] == ["a", "b", "c"]
    assert len(await store.correlate_all(events[:2], decide, now=T0, windows=WINDOWS)) == 2
    assert [event.service for event in await store.uncorrelated(10)] == ["c"]


async def test_a_batch_of_none_does_nothing(store: SqlIncidentStore) -> None:
    await store.close()
    assert await store.correlate_all([], correlate, now=T0) == []  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await store.correlate_all([alert()], correlate, now=T0)  # type: ignore[arg-type]
