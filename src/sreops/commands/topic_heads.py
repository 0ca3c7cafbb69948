"""The last hash of each incident's actions, as the topic ``agent-actions`` holds them: a copy beside the store."""

import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from sreops.app import build_event_log
from sreops.domain.alerts.routing import ACTIONS
from sreops.errors import EventLogUnavailable
from sreops.settings import Settings

_READ_S = 120.0
_POLL_S = 1.0
_BATCH = 500


async def topic_heads(settings: Settings) -> Mapping[str, str]:
    """Read the whole topic, as a group that commits nothing; return the newest hash by incident.

    What is older than the store keeps incidents is left out: it may be gone there by right.

    Raises EventLogUnavailable where it can't be read to its end.
    """
    event_log = build_event_log(settings)
    await event_log.start()
    newest: dict[str, tuple[int, str]] = {}
    since = datetime.now(UTC) - timedelta(days=settings.retention.incidents_days)
    deadline = time.monotonic() + _READ_S
    try:
        async with event_log.subscribe([ACTIONS], group=f"sreops-audit-{uuid.uuid4().hex}") as subscription:
            while True:
                batch = await subscription.poll(max_records=_BATCH, timeout_s=_POLL_S)
                for record in batch:
                    _take(record.value, newest, since)
                if not batch and subscription.health().status == "up" and await subscription.lag() == 0:
                    return {incident_id: head for incident_id, (_, head) in newest.items()}
                if time.monotonic() > deadline:
                    why = subscription.health().detail
                    raise EventLogUnavailable(f"{ACTIONS} could not be read within {_READ_S:g} s: {why}")
    finally:
        await event_log.stop()


def _take(value: bytes, newest: dict[str, tuple[int, str]], since: datetime) -> None:
    """Note a record's hash where it is the newest of its incident; what is no record of ours is passed over."""
    with suppress(ValueError, TypeError, RecursionError):
        read: Any = json.loads(value)
        if not isinstance(read, dict):
            return
        owner, seq, head = read.get("incident_id"), read.get("seq"), read.get("hash")
        if not (isinstance(owner, str) and isinstance(seq, int) and isinstance(head, str)):
            return
        if datetime.fromisoformat(str(read.get("at"))) > since:
            newest[owner] = max(newest.get(owner, (0, "")), (seq, head))
