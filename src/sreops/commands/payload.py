"""A webhook's payload in a file, as replay, runbooks simulate and probe read it: what the bridge would say is told."""

import json
import uuid
from datetime import datetime
from pathlib import Path

from sreops.commands.terminal import Terminal
from sreops.domain.alerts.webhook import ParsedWebhook, parse_webhook
from sreops.errors import PayloadRejected
from sreops.settings import Settings


class Unreadable(Exception):
    """The file is no JSON, or can't be read; the words say so."""


def read_json(file: Path) -> object:
    """Return what the file holds; raises Unreadable."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as exc:
        raise Unreadable(f"{file}: can't be read as JSON: {exc}") from exc


def as_the_bridge(body: object, settings: Settings, received_at: datetime, terminal: Terminal) -> ParsedWebhook | None:
    """Return the payload as the bridge reads it; None where it would refuse it, which is said."""
    try:
        return parse_webhook(
            body,
            received_at=received_at,
            mint=lambda: str(uuid.uuid4()),
            rules=settings.reading_rules(take_test_alerts=True),
        )
    except PayloadRejected as exc:
        terminal.say(f"the bridge would answer {exc.status}: {exc}")
        return None


def tell_rejected(parsed: ParsedWebhook, terminal: Terminal) -> None:
    """Say which alerts the bridge would reject."""
    for rejection in parsed.rejected:
        terminal.say(f"alert {rejection.index} would be rejected: {rejection.reason}")


def tell_notes(parsed: ParsedWebhook, terminal: Terminal) -> None:
    """Say what the bridge would note in its answer."""
    for note in parsed.notes:
        terminal.say(f"the bridge would note: {note}")
