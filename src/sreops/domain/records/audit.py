"""The audit chain: every action of an incident is hashed together with the one before it.

Without a key the chain shows that records were altered, lost or reordered by someone who did not rebuild it;
with a key (HMAC) nobody without the key can rebuild it. Records cut off at the end leave a chain that is
whole: ``heads``, the last hashes as an independent copy holds them (the topic ``agent-actions``), shows those.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sreops.domain.alerts.alert import utc
from sreops.domain.alerts.fields import json_text
from sreops.domain.records.record import Record, RecordKind


class Fault(StrEnum):
    """What is wrong with a chain at one place."""

    altered = "altered"
    missing = "missing"
    reordered = "reordered"


@dataclass(frozen=True)
class Problem:
    """One fault, at the record where it shows."""

    incident_id: str
    seq: int
    fault: Fault
    detail: str

    def __str__(self) -> str:
        return f"record {self.seq} {self.fault.value}: {self.detail}"


def canonical(body: object) -> bytes:
    """Return the one JSON form of a body: sorted keys, no spaces, ASCII, a whole float as an integer.

    The last so that a database which keeps 1.0 as 1 does not break the chain. Raises ValueError for what JSON
    has no number for, TypeError for what JSON has no type for.
    """
    return json_text(_plain(body)).encode()


def _plain(value: object) -> object:
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"an audited body can't hold {value}: JSON has no such number")
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def chain_hash(
    prev_hash: str | None, *, incident_id: str, at: datetime, body: Mapping[str, Any], key: bytes | None
) -> str:
    """Return the hash of an action record: SHA-256, or HMAC-SHA256 with ``key``, in hex.

    Hashed is the canonical JSON of previous hash (null for an incident's first action), incident, time (UTC,
    microseconds) and body. The place in the chain is held by the previous hash; the store's ``seq`` is left
    out because it is not known before the row is written.
    """
    fields = {
        "prev": prev_hash,
        "incident_id": incident_id,
        "at": utc(at).isoformat(timespec="microseconds"),
        "body": dict(body),
    }
    text = canonical(fields)
    return hmac.new(key, text, hashlib.sha256).hexdigest() if key else hashlib.sha256(text).hexdigest()


def verify_chain(
    records: Sequence[Record], key: bytes | None, *, heads: Mapping[str, str] | None = None
) -> list[Problem]:
    """Return every fault in the chains of these records, in the order given; none means that all are whole.

    Thoughts are passed over; incidents may be mixed. ``heads`` (incident id to last hash) finds what is cut off
    at the end, a whole incident too.
    """
    chains: dict[str, list[Record]] = {incident_id: [] for incident_id in heads or {}}
    for record in records:
        if record.kind is RecordKind.action:
            chains.setdefault(record.incident_id, []).append(record)
    problems: list[Problem] = []
    for incident_id, chain in chains.items():
        problems += _chain_problems(chain, key)
        head = (heads or {}).get(incident_id)
        if head is not None and head not in {record.hash for record in chain}:
            last = chain[-1].seq if chain else 0
            told = f"the record with the last known hash {head[:12]} is not here"
            problems.append(Problem(incident_id, last, Fault.missing, told))
    return problems


def _chain_problems(chain: Sequence[Record], key: bytes | None) -> list[Problem]:
    problems: list[Problem] = []
    hashes = {record.hash for record in chain}
    previous: Record | None = None
    for record in chain:

        def found(fault: Fault, detail: str, at: Record = record) -> None:
            problems.append(Problem(at.incident_id, at.seq, fault, detail))

        computed = chain_hash(record.prev_hash, incident_id=record.incident_id, at=record.at, body=record.body, key=key)
        if record.hash is None or not hmac.compare_digest(computed.encode(), record.hash.encode()):
            found(Fault.altered, "its content or its previous hash does not give its hash (or the key is another)")
        if previous is not None and record.seq <= previous.seq:
            found(Fault.reordered, f"its number is not above {previous.seq}, the one before it")
        if record.prev_hash != (previous.hash if previous else None):
            told = str(record.prev_hash)[:12]
            if record.prev_hash is None or record.prev_hash in hashes:
                found(Fault.reordered, f"it follows {told}, which is not the record before it")
            else:
                found(Fault.missing, f"it follows {told}, which is not here")
        previous = record
    return problems
