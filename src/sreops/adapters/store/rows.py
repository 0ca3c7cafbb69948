"""Rows and domain objects: the one place that knows both."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, Row, bindparam, func, select

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.tables import effects, incident_alerts, incidents
from sreops.domain.incidents.correlation import KnownIncident
from sreops.domain.incidents.incident import Effect, Incident, Reason, Resolution, storm_of
from sreops.domain.records.record import Record
from sreops.errors import StoreUnavailable
from sreops.ports import Approval

_M = TypeVar("_M", bound=BaseModel)
_V = TypeVar("_V")

CHUNK = 500  # how many values one IN list takes

_EFFECTS = select(effects).order_by(effects.c.episode, effects.c.step)
_EFFECTS_OF_ONE = Prepared(_EFFECTS.where(effects.c.incident_id == bindparam("of_incident")))
_ALERTS = select(incident_alerts).order_by(incident_alerts.c.position)
_ALERTS_OF_ONE = Prepared(_ALERTS.where(incident_alerts.c.incident_id == bindparam("of_incident")))


def parsed(model: type[_M], stored: Any) -> _M:
    """Return what was stored as a model; a row that does not read is the database's damage, not a crash."""
    try:
        return model.model_validate(stored)
    except ValidationError as exc:
        failure = StoreUnavailable(f"a stored {model.__name__} does not read: {exc}; restore the database")
        failure.retryable = False
        raise failure from exc


def effect_of(row: Row[Any]) -> Effect:
    """Return the effect."""
    return parsed(Effect, row._asdict())


def record_of(row: Row[Any]) -> Record:
    """Return the record."""
    fields = row._asdict()
    fields.pop("published")
    return parsed(Record, fields)


def approval_of(row: Row[Any]) -> Approval:
    """Return the approval."""
    fields = row._asdict()
    fields.pop("id")
    return Approval(**fields)


def incidents_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[Incident]:
    """Return incidents with their fingerprints and effects, in the order of the rows."""
    ids = [row.id for row in rows]
    alerts = alerts_by_incident(connection, ids)
    done = _effects_by_incident(connection, ids)
    absorbed = _absorbed(connection, [row.id for row in rows if storm_of(row.decision) is not None])
    found = []
    for row in rows:
        fields = row._asdict()
        fields["fingerprints"] = tuple(alert.fingerprint for alert in alerts[row.id])
        fields["effects"] = tuple(effect_of(effect) for effect in done[row.id])
        if fields["subject"] is None:
            del fields["subject"]
        if row.closed is not None:
            fields["resolution"] = Resolution.closed
        if row.merged_into is not None:
            fields["reason"] = Reason.merged  # stored as one that 0.1 knows
        if row.id in absorbed:
            fields["members"] = len(alerts[row.id]) + absorbed[row.id]
        found.append(parsed(Incident, fields))  # the columns that only we know (waited_us) are ignored
    return found


def _absorbed(connection: Connection, storm_ids: Sequence[str]) -> dict[str, int]:
    """Return how many incidents each storm has as members."""
    if not storm_ids:
        return {}
    query = select(incidents.c.storm_id, func.count().label("n")).where(incidents.c.storm_id.in_(storm_ids))
    counts = {row.storm_id: row.n for row in connection.execute(query.group_by(incidents.c.storm_id))}
    return {storm_id: counts.get(storm_id, 0) for storm_id in storm_ids}


def known_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[KnownIncident]:
    """Return what correlation needs of incidents but their alerts, in the order of the rows."""
    ended = [row.id for row in rows if row.ended_at is not None]
    acted: set[str] = set()
    for chunk in chunks(ended):
        query = select(effects.c.incident_id).where(effects.c.incident_id.in_(chunk)).distinct()
        acted |= set(connection.execute(query).scalars())
    return [
        parsed(
            KnownIncident,
            row._asdict()
            | {
                "alerts": (),
                "acted": row.id in acted,
                "storm": storm_of(row.decision),
                "scope": (row.subject or {}).get("scope", {}),
                "target": row.target,
            },
        )
        for row in rows
    ]


def alerts_by_incident(connection: Connection, ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Return the alerts of some incidents, in the order in which they joined."""
    if len(ids) == 1:
        return _by_incident(_ALERTS_OF_ONE.all(connection, of_incident=ids[0]))
    return _by_incident(
        row
        for chunk in chunks(ids)
        for row in connection.execute(_ALERTS.where(incident_alerts.c.incident_id.in_(chunk)))
    )


def _effects_by_incident(connection: Connection, ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    if len(ids) == 1:
        return _by_incident(_EFFECTS_OF_ONE.all(connection, of_incident=ids[0]))
    return _by_incident(
        row for chunk in chunks(ids) for row in connection.execute(_EFFECTS.where(effects.c.incident_id.in_(chunk)))
    )


def _by_incident(rows: Iterable[Row[Any]]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.incident_id].append(row)
    return found


def chunks(values: Sequence[_V]) -> Iterable[Sequence[_V]]:
    """Cut into pieces that one statement takes."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
