"""The tables of the embedded event log, and the statements on them; each function runs inside a transaction."""

import json
import sqlite3
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sreops.adapters.sql.many_rows import insert_many
from sreops.ports import LogRecord, StoredRecord

BUSY_TIMEOUT_S = 2.0  # how long SQLite waits for another process that holds the file
PROBE_BYTES = 65_536

# records is no WITHOUT ROWID table, as those of earlier versions are (the statements are the same for both): an
# event of a KiB does not fit a page of its tree, which made the file four times as large and writing half as fast
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    topic TEXT NOT NULL, "offset" INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
    headers TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (topic, "offset")
);
CREATE TABLE IF NOT EXISTS heads (topic TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS readers (
    "group" TEXT NOT NULL, topic TEXT NOT NULL, next INTEGER NOT NULL, PRIMARY KEY ("group", topic)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS room (one INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
"""


@dataclass(frozen=True)
class Unread:
    """What a group has not committed of one topic."""

    records: int
    size_bytes: int
    oldest_at: datetime


def open_tables(path: Path) -> sqlite3.Connection:
    """Open the file, and make it and its tables where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)  # alerts may hold what only operators should read
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")  # WAL with NORMAL loses acknowledged commits at power loss
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


def insert_records(db: sqlite3.Connection, records: Sequence[LogRecord]) -> None:
    """Append, each at its topic's next offset."""
    at = time.time()
    heads: dict[str, int] = {}
    written: dict[tuple[tuple[str, bytes], ...], str] = {}  # the same for all events of a request
    rows = []
    for record in records:
        if record.topic not in heads:
            row = db.execute("SELECT next FROM heads WHERE topic = ?", (record.topic,)).fetchone()
            heads[record.topic] = row[0] if row else 0
        headers = written.get(record.headers)
        if headers is None:
            headers = json.dumps([[name, b64encode(value).decode()] for name, value in record.headers])
            written[record.headers] = headers
        # "replace": a lone surrogate from somebody's JSON must not keep the alert out
        key = record.key.encode("utf-8", "replace")
        rows.append((record.topic, heads[record.topic], key, record.value, headers, at))
        heads[record.topic] += 1
    insert_many(db, "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.executemany("INSERT OR REPLACE INTO heads VALUES (?, ?)", heads.items())


def _start(db: sqlite3.Connection, group: str, starts: dict[str, int], topic: str) -> int:
    if topic in starts:
        return starts[topic]
    row = db.execute('SELECT next FROM readers WHERE "group" = ? AND topic = ?', (group, topic)).fetchone()
    return int(row[0]) if row else 0


def read_records(
    db: sqlite3.Connection,
    group: str,
    starts: dict[str, int],
    topics: Sequence[str],
    limit: int,
    max_bytes: int | None = None,
) -> list[StoredRecord]:
    """Return up to ``limit`` records from each topic's start, the topics in the order given.

    The record with which they reach ``max_bytes`` is the last one.
    """
    found: list[StoredRecord] = []
    left = max_bytes if max_bytes is not None else sys.maxsize
    for topic in topics:
        rows = db.execute(
            'SELECT "offset", key, value, headers, at FROM records WHERE topic = ? AND "offset" >= ? '
            'ORDER BY "offset" LIMIT ?',
            (topic, _start(db, group, starts, topic), limit - len(found)),
        )
        for offset, key, value, headers, at in rows:
            found.append(
                StoredRecord(
                    topic=topic,
                    key=bytes(key).decode("utf-8", "replace"),
                    value=bytes(value),
                    headers=tuple((name, b64decode(text)) for name, text in json.loads(headers)),
                    offset=offset,
                    at=datetime.fromtimestamp(at, UTC),
                )
            )
            left -= found[-1].size_bytes
            if left <= 0:
                return found
    return found


def begin_recently(db: sqlite3.Connection, group: str, recent_s: Mapping[str, float]) -> None:
    """Save where the group begins in topics that it has never read: at what came within so many seconds."""
    for topic, seconds in recent_s.items():
        since = time.time() - seconds
        row = db.execute('SELECT min("offset") FROM records WHERE topic = ? AND at >= ?', (topic, since)).fetchone()
        head = db.execute("SELECT next FROM heads WHERE topic = ?", (topic,)).fetchone()
        start = row[0] if row[0] is not None else head[0] if head else 0
        db.execute("INSERT OR IGNORE INTO readers VALUES (?, ?, ?)", (group, topic, start))


def save_offsets(db: sqlite3.Connection, group: str, ends: dict[str, int]) -> None:
    """Save where the group goes on; it never goes back."""
    db.executemany(
        "INSERT INTO readers VALUES (?, ?, ?) "
        'ON CONFLICT ("group", topic) DO UPDATE SET next = max(next, excluded.next)',
        [(group, topic, end) for topic, end in ends.items()],
    )


def count_unread(db: sqlite3.Connection, group: str, starts: dict[str, int], topics: Sequence[str]) -> int:
    """Count the records from each topic's start on."""
    waiting = 0
    for topic in topics:
        start = _start(db, group, starts, topic)
        row = db.execute('SELECT count(*) FROM records WHERE topic = ? AND "offset" >= ?', (topic, start)).fetchone()
        waiting += int(row[0])
    return waiting


def measure_unread(db: sqlite3.Connection, group: str) -> dict[str, Unread]:
    """Measure what the group has not committed, by topic; reads the whole file."""
    rows = db.execute(
        "SELECT topic, count(*), sum(length(key) + length(value) + length(headers)), min(at) FROM records "
        'WHERE "offset" >= coalesce((SELECT next FROM readers WHERE "group" = ? AND topic = records.topic), 0) '
        "GROUP BY topic",
        (group,),
    )
    return {topic: Unread(count, size, datetime.fromtimestamp(at, UTC)) for topic, count, size, at in rows}


def remove_read(db: sqlite3.Connection, group: str, ends: dict[str, int]) -> None:
    """Save where the group goes on, and delete what lies before it in these topics, whoever else reads them."""
    save_offsets(db, group, ends)
    db.executemany('DELETE FROM records WHERE topic = ? AND "offset" < ?', ends.items())


def compact(db: sqlite3.Connection) -> None:
    """Give the space of deleted records back to the disk; not inside a transaction."""
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def write_probe(db: sqlite3.Connection) -> None:
    """Write one row, over and over the same; as large as some alerts, since a full disk may still take a few bytes."""
    db.execute("INSERT OR REPLACE INTO room VALUES (1, zeroblob(?))", (PROBE_BYTES,))


def delete_before(db: sqlite3.Connection, before: datetime, limit: int, but: Collection[str] = ()) -> int:
    """Delete up to ``limit`` records that are older and committed by every group that reads their topic.

    None of the topics in ``but``; of the others each from its beginning to the first record that must stay. Return how
    many were deleted.
    """
    left = limit
    for topic, head in db.execute("SELECT topic, next FROM heads").fetchall():
        if topic in but:
            continue
        row = db.execute("SELECT min(next) FROM readers WHERE topic = ?", (topic,)).fetchone()
        end = head if row[0] is None else row[0]
        rows = db.execute(
            'SELECT "offset", at FROM records WHERE topic = ? AND "offset" < ? ORDER BY "offset" LIMIT ?',
            (topic, end, left),
        )
        last = None
        for offset, at in rows:
            if at >= before.timestamp():
                break
            last = offset
        if last is not None:
            left -= db.execute('DELETE FROM records WHERE topic = ? AND "offset" <= ?', (topic, last)).rowcount
        if left <= 0:
            break
    return limit - left
