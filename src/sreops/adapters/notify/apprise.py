"""Sending by Apprise: one child process for each message, whose end is known though this process is killed."""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sreops.adapters.notify.channel_url import ChannelUrl, channels_of, with_parameters
from sreops.adapters.notify.child import FAILED, OUTCOME_FD, SENDING, SENT
from sreops.adapters.notify.wording import worded
from sreops.domain.records.message import Message
from sreops.ports import Channel, Health, Sending, SendState
from sreops.settings import NotifySettings, environment_of_children

_STARTS = (
    f"import os; os.dup2({{fd}}, {OUTCOME_FD}) if {{fd}} != {OUTCOME_FD} else None; "
    "from sreops.adapters.notify.child import main; main()"
)
_LOOK_EVERY_S = 0.05
_MARGIN_S = 3.0  # beyond its own deadline: to start, and to write what became of it
_CONNECT_S = 3.0
_ATTEMPT = re.compile(r"[0-9a-f]{32}")


class AppriseNotifier:
    """Implements ``ports.Notifier``; ``folder`` is where what becomes of each sending is kept until the store has it.

    Raises SettingsInvalid for URLs that can't be used.
    """

    def __init__(self, settings: NotifySettings, folder: Path, *, ca_file: Path | None = None) -> None:
        self._settings = settings
        self._folder = folder
        self._ca_file = ca_file
        self._urls = {channel_url.channel.name: channel_url for channel_url in channels_of(settings.urls)}

    @property
    def channels(self) -> Sequence[Channel]:
        """All channels, in the order of the settings."""
        return [url.channel for url in self._urls.values()]

    async def send(
        self, channel: str, messages: Sequence[Message], *, attempt_id: str, digest: bool, maybe_again: bool
    ) -> Sending:
        """Send one message, or several as one; bounded in time. Cancelled, it goes on by itself."""
        to = self._urls[channel]
        words = worded(to.channel.service, messages, digest=digest, maybe_again=maybe_again)
        order = {
            "url": with_parameters(to.url.get_secret_value(), words.parameters),
            "title": words.title,
            "body": words.body,
            "type": words.kind,
        }
        return await self._carry_out(to, order, attempt_id)

    async def settle(self, attempt_id: str) -> Sending:
        """Say what became of a sending that some process of this data directory began."""
        return await asyncio.to_thread(_outcome, self._path(attempt_id))

    async def forget(self, attempt_id: str) -> None:
        """Delete what is kept of a sending."""
        await asyncio.to_thread(self._path(attempt_id).unlink, missing_ok=True)

    async def health(self) -> Health:
        """Look whether every channel's URL is understood and, where that can be told, its host reachable."""
        answers = await asyncio.gather(*(self._look_at(url) for url in self._urls.values()))
        problems = [
            f"{channel_url.channel.label}: {why}"
            for channel_url, why in zip(self._urls.values(), answers, strict=True)
            if why
        ]
        if problems:
            return Health("down", "; ".join(problems), "correct SREOPS_NOTIFY__URLS; `sreops notify test` sends")
        labels = ", ".join(channel.label for channel in self.channels)
        return Health("up", f"{labels}: understood; `sreops notify test` sends a message")

    async def _look_at(self, channel_url: ChannelUrl) -> str | None:
        attempt_id = os.urandom(16).hex()
        found = await self._carry_out(
            channel_url, {"url": channel_url.url.get_secret_value(), "check": True}, attempt_id
        )
        await self.forget(attempt_id)
        if found.state is not SendState.sent:
            return found.why or found.state.value
        place = channel_url.host_port()
        if place is None:
            return None
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(*place)
        except (OSError, TimeoutError) as exc:
            return f"{place[0]}:{place[1]} can't be reached ({exc or 'no answer'})"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return None

    async def _carry_out(self, to: ChannelUrl, order: Mapping[str, Any], attempt_id: str) -> Sending:
        deadline_s = self._settings.timeout_s
        limits = {
            "deadline_s": deadline_s,
            "cpu_s": max(5, int(deadline_s)),
            "memory_bytes": self._settings.memory_mb << 20,
        }
        path = self._path(attempt_id)
        try:
            child = await asyncio.to_thread(self._begin, path, json.dumps({**order, **limits}).encode())
        except OSError as exc:
            return Sending(SendState.failed, f"the sending could not be started: {exc.strerror or exc}")
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s + _MARGIN_S
        while await asyncio.to_thread(child.poll) is None:
            if loop.time() > until:
                await asyncio.to_thread(_kill, child)
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        found = await asyncio.to_thread(_outcome, path)
        if found.state in (SendState.unknown, SendState.not_begun):  # its own deadline, a limit, a crash
            ended = f"it was ended after {deadline_s:g} s or at a limit (signal {-child.returncode})"
            found = Sending(SendState.failed, ended if child.returncode < 0 else f"it ended with {child.returncode}")
        return Sending(found.state, _without_secrets(found.why, to.url.get_secret_value()))

    def _begin(self, path: Path, order: bytes) -> subprocess.Popen[bytes]:
        """Start the child, which inherits the locked file: its lock lasts exactly as long as the child does."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        outcome = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(outcome, fcntl.LOCK_EX | fcntl.LOCK_NB)
            child = subprocess.Popen(  # noqa: S603  # our own module; nothing from outside is an argument
                [sys.executable, "-I", "-c", _STARTS.format(fd=outcome)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(outcome,),
                start_new_session=True,  # a signal to our group must not end it half-way
                env=environment_of_children(self._ca_file),
            )
        finally:
            os.close(outcome)
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(order)
            child.stdin.close()
        return child

    def _path(self, attempt_id: str) -> Path:
        if not _ATTEMPT.fullmatch(attempt_id):
            raise ValueError(f"{attempt_id!r} is no attempt's id")
        return self._folder / attempt_id


def _outcome(path: Path) -> Sending:
    """Read what became of a sending; while its process lives, the file is locked."""
    try:
        with path.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Sending(SendState.running)
            told = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return Sending(SendState.not_begun)
    word, _, why = told.partition(" ")
    if word == SENT:
        return Sending(SendState.sent, why)
    if word == FAILED:
        return Sending(SendState.failed, why)
    if word == SENDING:
        return Sending(SendState.unknown, "it was ended while it was sending")
    return Sending(SendState.not_begun, "it was ended before it sent")


def _kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _without_secrets(text: str, url: str) -> str:
    """Return what Apprise said without the pieces of the URL that may be tokens."""
    pieces = [piece for piece in re.split(r"[/:@?&=#,;%]", url) if len(piece) >= 8 and not piece.isalpha()]
    for piece in sorted(pieces, key=len, reverse=True):
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)+", piece):  # a host is what one needs to see
            text = text.replace(piece, "…")
    return " ".join(text.split())[:500]
