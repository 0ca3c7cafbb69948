"""What the store's suites are told in: events, decisions, leases."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident
from sreops.domain.incidents.incident import Effect, incident_id_of
from sreops.ports import Changes, Lease, StoredRecord

T0 = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
Opener = Callable[[], Awaitable[SqlIncidentStore]]


def at(seconds: float) -> datetime:
    """Return that many seconds after the beginning."""
    return T0 + timedelta(seconds=seconds)


def alert(service: str = "payments", **changes: Any) -> AlertEvent:
    """Return a firing alert of a service."""
    fields: dict[str, Any] = {
        "event_id": str(uuid.uuid4()),
        "source": "grafana",
        "fingerprint": f"fp-{service}",
        "status": AlertStatus.firing,
        "labels": {"alertname": "HighMemory", "service": service},
        "annotations": {},
        "starts_at": T0,
        "received_at": T0,
        "tier": Tier.autonomous,
        "severity": Severity.critical,
        "service": service,
    }
    return AlertEvent(**(fields | changes))


def cleared(event: AlertEvent, *, ends: float = 60.0, **changes: Any) -> AlertEvent:
    """Return the resolve of an alert."""
    told = {"event_id": str(uuid.uuid4()), "status": AlertStatus.resolved, "ends_at": at(ends)}
    return event.model_copy(update=told | changes)


def from_topic(event: AlertEvent, offset: int = 0) -> tuple[AlertEvent, StoredRecord]:
    """Return an event as intake hands it over."""
    return event, StoredRecord(topic="sre-critical", key=event.service, value=b"{}", partition=1, offset=offset)


Decide = Callable[[AlertEvent, Sequence[KnownIncident]], Correlation]


def always(disposition: str, incident_id: str | None = None, *, all_resolved: bool = False) -> Decide:
    """Return a decision that does not look; ``open`` without an id takes the event's."""

    def decide(event: AlertEvent, known: Sequence[KnownIncident]) -> Correlation:
        opens = incident_id_of(event) if disposition == "open" else None
        return Correlation(
            disposition=Disposition(disposition), incident_id=incident_id or opens, all_resolved=all_resolved
        )

    return decide


async def opened(store: SqlIncidentStore, service: str = "payments", *, now: datetime = T0, **changes: Any) -> str:
    """Open an incident and return its id."""
    event = alert(service, starts_at=now, **changes)
    made = await store.correlate(event, always("open"), now=now)
    assert made.incident_id is not None
    return made.incident_id


async def claimed(store: SqlIncidentStore, *, now: datetime = T0, owner: str = "w1", lease_s: float = 30) -> Lease:
    """Claim the one incident that is due."""
    [lease] = await store.claim(owner, now=now, lease_s=lease_s, limit=1)
    return lease


async def at_work(store: SqlIncidentStore, service: str = "payments", *, now: datetime = T0) -> Lease:
    """Open an incident and claim it, among whatever else is due."""
    incident_id = await opened(store, service, now=now)
    leases = await store.claim("w1", now=now, lease_s=30, limit=100)
    return next(lease for lease in leases if lease.incident_id == incident_id)


async def ended(store: SqlIncidentStore, lease: Lease, *, now: datetime, **fields: Any) -> None:
    """End an incident as resolved, or as the fields say."""
    told = {"status": "resolved", "resolution": "fixed", "verification": "fixed", "ended_at": now} | fields
    await store.write(lease, Changes(incident=told), now=now)
    await store.finish(lease)


def effect_of(lease: Lease, step: int = 0, *, now: datetime = T0, **changes: Any) -> Effect:
    """Return an effect that is about to begin."""
    fields: dict[str, Any] = {
        "effect_id": str(uuid.uuid4()),
        "incident_id": lease.incident_id,
        "episode": lease.episode,
        "step": step,
        "action": "restart_container",
        "target": lease.service,
        "service": lease.service,
        "runbook_id": "restart-leak",
        "snapshot": {"id": "c0ffee", "restart_count": 2, "started_at": None},
        "intent_at": now,
    }
    return Effect(**(fields | changes))


async def fresh_store(tmp_path: Path) -> AsyncIterator[SqlIncidentStore]:
    """A fixture, where a test module names it so: a store of its own, open."""
    store = SqlIncidentStore(tmp_path / "sreops.db")
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def opener(place: Path | str, key: bytes) -> AsyncIterator[Opener]:
    """Open stores of one place, as replicas would; close them all at the end."""
    stores: list[SqlIncidentStore] = []

    async def open_one() -> SqlIncidentStore:
        store = SqlIncidentStore(place, key)
        stores.append(store)
        await store.open()
        return store

    try:
        yield open_one
    finally:
        for store in stores:
            await store.close()


async def first_opened(another: Opener) -> SqlIncidentStore:
    """A fixture, where a test module names it so."""
    return await another()
