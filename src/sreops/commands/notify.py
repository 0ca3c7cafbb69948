"""notify: try the channels where people are told."""

import asyncio
import uuid
from datetime import UTC, datetime

from rich.console import Console

from sreops.app import build_notifier
from sreops.domain.records.message import Link, Message
from sreops.domain.records.notice import NoticeKind
from sreops.errors import SettingsInvalid
from sreops.ports import Notifier, Sending, SendState
from sreops.settings import Settings, load_settings
from sreops.telemetry import configure_logging


def test() -> int:
    """Send a test message to every channel; exit status 0 where all took it, else 1; without a channel 2."""
    settings = load_settings()
    configure_logging("error", settings.log_format)
    notifier = build_notifier(settings)
    if notifier is None:
        raise SettingsInvalid(["SREOPS_NOTIFY__URLS is not set: give an Apprise URL, such as ntfys://ntfy.sh/TOPIC"])
    answers = asyncio.run(_send_all(notifier, _test_message(settings)))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for channel, found in zip(notifier.channels, answers, strict=True):
        took = found.state is SendState.sent
        console.print(f"{channel.label}: {'took the message' if took else f'did not take it: {found.why}'}")
    return 0 if all(found.state is SendState.sent for found in answers) else 1


async def _send_all(notifier: Notifier, message: Message) -> list[Sending]:
    return await asyncio.gather(*(_send(notifier, channel.name, message) for channel in notifier.channels))


async def _send(notifier: Notifier, channel: str, message: Message) -> Sending:
    attempt_id = uuid.uuid4().hex
    found = await notifier.send(channel, [message], attempt_id=attempt_id, digest=False, maybe_again=False)
    await notifier.forget(attempt_id)
    return found


def _test_message(settings: Settings) -> Message:
    return Message(
        kind=NoticeKind.resolved,
        key="sreops-test",
        severity="info",
        needs=None,
        status="resolved",
        service="sreops",
        alertname="test",
        headline="[test] sreops reaches you here",
        what="this is a test of the channel; nothing is wrong",
        asked="Nothing.",
        at=datetime.now(UTC),
        links=(Link(label="page", url=settings.public_url),) if settings.public_url else (),
    )
