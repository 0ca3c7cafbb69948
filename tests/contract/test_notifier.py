"""Sending by Apprise: over real sockets, in a process of its own, known to its end."""

import asyncio
import os
import signal
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest

from servers.process import descendants
from servers.receivers import http_receiver, smtp_receiver, text_of
from servers.waiting import eventually
from sreops.adapters.notify.apprise import AppriseNotifier
from sreops.domain.records.message import Link, Message
from sreops.domain.records.notice import NoticeKind
from sreops.errors import SettingsInvalid
from sreops.ports import Sending, SendState
from sreops.settings import NotifySettings

INCIDENT = "https://sreops.example/incidents/i1"
Make = Callable[..., AppriseNotifier]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(urls: str, **settings: Any) -> AppriseNotifier:
        return AppriseNotifier(NotifySettings.model_validate({"urls": urls, **settings}), tmp_path / "notify")

    return build


def message(**fields: Any) -> Message:
    given: dict[str, Any] = {
        "kind": NoticeKind.attention,
        "key": "i1",
        "severity": "critical",
        "needs": "attention",
        "status": "escalated",
        "service": "payments",
        "alertname": "HighMemory",
        "headline": "[critical] payments needs you",
        "what": "HighMemory: memory at 98 %",
        "cause": "a leak (80% sure)",
        "done": "Nothing was changed.",
        "asked": "Restart it by hand.",
        "at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "links": (Link(label="incident", url=INCIDENT),),
    }
    return Message(**(given | fields))


async def send(notifier: AppriseNotifier, *messages: Message, attempt_id: str | None = None) -> Sending:
    [channel, *_] = notifier.channels
    sending = {"attempt_id": attempt_id or uuid.uuid4().hex, "digest": False, "maybe_again": False}
    return await notifier.send(channel.name, messages or (message(),), **sending)  # type: ignore[arg-type]  # by name


async def test_a_webhook_gets_the_message_and_its_fields(make: Make) -> None:
    with http_receiver() as receiver:
        found = await send(make(receiver.url()))
        [body] = receiver.json
    assert found.state is SendState.sent, found
    assert body["title"] == "[critical] payments needs you"
    assert body["type"] == "failure"
    assert {name: body[name] for name in ("incident", "event", "severity", "needs", "status", "url")} == {
        "incident": "i1",
        "event": "attention",
        "severity": "critical",
        "needs": "attention",
        "status": "escalated",
        "url": INCIDENT,
    }
    for said in ("memory at 98 %", "a leak", "Nothing was changed.", "Restart it by hand.", INCIDENT):
        assert said in body["message"]


async def test_a_mail_is_plain_text_with_a_subject(make: Make) -> None:
    with smtp_receiver() as receiver:
        found = await send(make(receiver.url("ops@shop.example")))
        [mail] = receiver.box.mails
    assert found.state is SendState.sent, found
    assert str(make_header(decode_header(mail["subject"]))) == "[critical] payments needs you"
    assert mail.get_content_type() == "text/plain"
    assert INCIDENT in text_of(mail)


async def test_each_recipient_is_a_channel_so_that_one_who_is_refused_tells_nobody_twice(make: Make) -> None:
    with smtp_receiver() as receiver:
        receiver.box.refused = {"gone@shop.example"}
        notifier = make(receiver.url("ops@shop.example", "gone@shop.example"))
        found = [
            await notifier.send(one.name, [message()], attempt_id=uuid.uuid4().hex, digest=False, maybe_again=False)
            for one in notifier.channels
        ]
        assert [one.state for one in found] == [SendState.sent, SendState.failed]
        assert receiver.box.recipients == [["ops@shop.example"]]


async def test_a_redirect_is_no_delivery(make: Make) -> None:
    with http_receiver() as receiver:
        receiver.status, receiver.location = 302, f"http://127.0.0.1:{receiver.port}/elsewhere"
        found = await send(make(receiver.url()))
        assert found.state is SendState.failed
        assert receiver.methods == ["POST"]


async def test_a_refusal_says_why_and_no_secret(make: Make) -> None:
    with http_receiver() as receiver:
        receiver.status = 503
        found = await send(make(f"json://user:pa55word123@127.0.0.1:{receiver.port}/t0ken4711abc"))
    assert found.state is SendState.failed
    assert "503" in found.why
    assert "pa55word123" not in found.why
    assert "t0ken4711abc" not in found.why


async def test_an_endless_answer_is_ended_in_time(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x")
                await asyncio.sleep(0.2)

        dripping = await asyncio.start_server(drip, sock=server)
        async with dripping:
            began = asyncio.get_running_loop().time()
            found = await send(make(f"json://127.0.0.1:{port}/x", timeout_s=2))
            assert found.state is SendState.failed
            assert asyncio.get_running_loop().time() - began < 10


async def test_a_sending_that_is_cancelled_goes_on_and_its_end_is_known_afterwards(make: Make, tmp_path: Path) -> None:
    attempt_id = uuid.uuid4().hex
    with http_receiver() as receiver:
        receiver.hold.clear()
        sending = asyncio.create_task(send(make(receiver.url()), attempt_id=attempt_id))
        assert await asyncio.to_thread(receiver.came.wait, 20)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        later = make(receiver.url())  # as the process that comes after it
        assert (await later.settle(attempt_id)).state is SendState.running
        receiver.hold.set()

        async def has_ended() -> bool:
            return (await later.settle(attempt_id)).state is SendState.sent

        await eventually(has_ended, 10)
        assert len(receiver.bodies) == 1
    await later.forget(attempt_id)
    assert (await later.settle(attempt_id)).state is SendState.not_begun


async def test_a_sending_that_is_killed_is_known_to_be_unknown(make: Make, tmp_path: Path) -> None:
    attempt_id = uuid.uuid4().hex
    with http_receiver() as receiver:
        receiver.hold.clear()
        notifier = make(receiver.url())
        sending = asyncio.create_task(send(notifier, attempt_id=attempt_id))
        assert await asyncio.to_thread(receiver.came.wait, 20)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        [pid] = _children_that_hold(tmp_path / "notify" / attempt_id)
        os.kill(pid, signal.SIGKILL)

        async def is_settled() -> bool:
            return (await notifier.settle(attempt_id)).state is SendState.unknown

        await eventually(is_settled, 10)


def _children_that_hold(path: Path) -> list[int]:
    found = []
    for pid in descendants(os.getpid()):
        try:
            fds = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        if str(path) in fds:
            found.append(pid)
    return found


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ntfy.sh/topic", "no Apprise URL"),
        ("jsons://host/x?verify=no", "certificates"),
        ("json://host/x?redirect=yes", "redirects"),
        ("msteams://a/b/c", "workflows"),
    ],
)
def test_a_url_that_can_not_be_used_stops_the_start_and_shows_no_secret(make: Make, url: str, said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        make(url)


async def test_a_look_finds_what_apprise_does_not_understand_and_what_is_away(make: Make) -> None:
    with http_receiver() as receiver:
        assert (await make(receiver.url()).health()).status == "up"
        url = receiver.url()
    found = await make(f"{url} slack://too-short").health()
    assert found.status == "down"
    assert "can't be reached" in found.detail
    assert "does not understand" in found.detail
