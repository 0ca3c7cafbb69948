"""Names of commits: what a commit changed, told from copies of the database files before and after it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Rows = Mapping[str, Mapping[Any, Mapping[str, Any]]]
"""By table, then by primary key."""

FILES = {"log": "events.db", "store": "sreops.db", "checkpoints": "checkpoints.db"}
KEYS = {
    "events.db": {"records": ("topic", "offset"), "readers": ("group", "topic")},
    "sreops.db": {
        "inbox": ("event_id",),
        "incidents": ("id",),
        "work": ("incident_id",),
        "effects": ("effect_id",),
        "evidence": ("incident_id", "id"),
        "tickets": ("op_id",),
        "records": ("seq",),
    },
    "checkpoints.db": {
        "checkpoints": ("thread_id", "checkpoint_ns", "checkpoint_id"),
        "writes": ("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx"),
    },
}


def wal(data_dir: Path, name: str) -> Path:
    """Return the WAL of one of FILES."""
    return data_dir / f"{FILES[name]}-wal"


def snapshot(data_dir: Path, name: str) -> Rows:
    """Read a database as a restart would find it now, without touching its files."""
    file = FILES[name]
    with tempfile.TemporaryDirectory() as directory:
        for part in (file, f"{file}-wal"):
            if (data_dir / part).exists():
                shutil.copy(data_dir / part, directory)
        database = sqlite3.connect(Path(directory) / file)
        database.row_factory = sqlite3.Row
        try:
            return {table: _rows(database, table, keys) for table, keys in KEYS[file].items()}
        finally:
            database.close()


def _rows(database: sqlite3.Connection, table: str, keys: tuple[str, ...]) -> dict[Any, dict[str, Any]]:
    found = database.execute(f'SELECT * FROM "{table}"').fetchall()
    return {tuple(row[key] for key in keys): dict(row) for row in found}


def names_of(name: str, before: Rows, after: Rows) -> tuple[str, ...]:
    """Say in a few words what was committed between two snapshots of a file, the weightiest first.

    Several words: one transaction of several parts, or several that were committed at once.
    """
    new = {t: [row for key, row in rows.items() if key not in before[t]] for t, rows in after.items()}
    changed = {
        t: [_differing(before[t][key], row) for key, row in rows.items() if key in before[t] and before[t][key] != row]
        for t, rows in after.items()
    }
    return tuple({"log": _log, "store": _store, "checkpoints": _checkpoints}[name](new, changed))


Changes = Mapping[str, list[dict[str, Any]]]


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {column: value for column, value in after.items() if before[column] != value}


def _log(new: Changes, changed: Changes) -> list[str]:
    topics = {row["topic"] for row in new["records"]}
    copied = topics & {"agent-thoughts", "agent-actions"}
    told = [f"append to {topic}" for topic in sorted(topics - copied)]
    if copied:
        told.append("copies appended")
    return [*told, "offset commit"] if new["readers"] or changed["readers"] else told


def _store(new: Changes, changed: Changes) -> list[str]:
    told: list[str] = []
    if new["inbox"]:
        told.append("inbox commit")
    if any("correlated_at" in row for row in changed["inbox"]):
        told.append("correlation: " + ("incident opened" if new["incidents"] else "alert joined"))
    told += [f"intent of {row['action']}" for row in new["effects"]]
    told += [f"outcome {row['outcome']}" for row in changed["effects"] if "outcome" in row]
    told += [f"status {row['status']}" for row in changed["incidents"] if "status" in row]
    if new["evidence"]:
        told.append("evidence")
    told += [f"ticket {row['kind']} queued" for row in new["tickets"]]
    for row in changed["tickets"]:
        done = "ticket done" if row.get("done_at") else "ticket deferred"
        told.append("ticket claimed" if row.get("claimed_by") else done)
    told += _work(changed["work"])
    if not told:
        told += sorted({f"thoughts of {_node(row)}" for row in new["records"]})
    if not told and changed["records"]:
        told.append("copies marked")
    # when an issue was brought up to date depends on the clock, and it is done again where that was lost
    columns = sorted({column for row in changed["incidents"] for column in row} - {"shown_seq"})
    if not told and columns:
        told.append("incident: " + ", ".join(columns))
    return told


def _work(changed: list[dict[str, Any]]) -> list[str]:
    told = []
    for row in changed:
        if row.get("lease_owner"):
            told.append("lease claimed")
        elif "lease_owner" in row:
            told.append("lease ended, finished" if "due_at" in row and row["due_at"] is None else "lease ended, parked")
        elif "wakes" in row:
            told.append("woken")
    return told


def _node(row: Mapping[str, Any]) -> str:
    body = _json(row["body"])
    return str(body.get("node") or body.get("action"))


def _checkpoints(new: Changes, changed: Changes) -> list[str]:
    told = []
    for row in new["checkpoints"]:
        metadata = _json(row["metadata"])
        told.append(f"checkpoint {metadata.get('step')}")
    channels = {row["channel"] for row in new["writes"]}
    if channels:
        told.append(f"node's writes{_next_nodes(channels)}")
    return told


def _next_nodes(channels: set[str]) -> str:
    marks = sorted(c for c in channels if c in ("__interrupt__", "__resume__"))
    nodes = sorted(c.removeprefix("branch:to:") for c in channels if c.startswith("branch:to:"))
    return "".join(f" {mark}" for mark in marks) + "".join(f" → {node}" for node in nodes)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value
