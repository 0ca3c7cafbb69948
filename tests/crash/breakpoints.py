"""Stops a process right after each of its durable commits, by strace: no switch in the code that is tested.

SQLite in WAL mode makes a commit durable by one fdatasync of the WAL. strace lets that call be made and then
stops the whole process (SIGSTOP), so the commit is on disk and nobody in the process knows it yet. There the
test kills it, or lets it go on. To kill right before a commit, a second strace kills the thread that makes
the first write to the WAL, on entry: not a byte of it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

_SYNCS = re.compile(r"(?:\[pid +(\d+)\] )?fdatasync\(\d+<([^>]+)>")
_STOPPED = re.compile(r"(?:\[pid +(\d+)\] )?--- stopped by SIGSTOP ---")
_ATTACH_TIMEOUT_S = 15.0


class Breakpoints:
    """strace on a running process; ``wals`` are the files by the name that a test knows them by."""

    def __init__(self, pid: int, wals: Mapping[str, Path]) -> None:
        self._pid = pid
        self._wals = dict(wals)
        self._names = {str(path.resolve()): name for name, path in wals.items()}
        self._strace: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def stopping_at_commits(self) -> AsyncIterator[Breakpoints]:
        """Stop the process after each commit while the block runs."""
        await self._attach(self._wals.values(), "fdatasync", "SIGSTOP")
        try:
            yield self
        finally:
            await self._detach()

    async def next_commit(self) -> str | None:
        """Wait until the process stands after a commit; return in which file, or None when it has ended."""
        syncing: dict[str | None, str] = {}  # by thread; others may report a stop before or after that of the one
        while line := await self._line():
            if found := _SYNCS.match(line):
                syncing[found[1]] = self._names[found[2]]
            elif (stopped := _STOPPED.match(line)) and stopped[1] in syncing:
                return syncing[stopped[1]]
        return None

    def go_on(self) -> None:
        """Let the process run to its next commit."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    async def kill_before_next_commit(self, name: str) -> None:
        """With the process stopped or running: kill it at the first write of its next commit in that file."""
        await self._detach()
        await self._attach([self._wals[name]], "pwrite64", "SIGKILL")
        self.go_on()

    async def _attach(self, paths: object, call: str, signal_name: str) -> None:
        only = [part for path in paths for part in ("-P", str(path))]  # type: ignore[attr-defined]
        command = ["strace", "-f", "-y", "-p", str(self._pid), *only, "-e", f"trace={call}"]
        self._strace = await asyncio.create_subprocess_exec(
            *command,
            "-e",
            f"inject={call}:signal={signal_name}",
            stderr=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        async with asyncio.timeout(_ATTACH_TIMEOUT_S):
            while line := await self._line():
                if "attached" in line:
                    return
        raise RuntimeError(f"strace could not attach to process {self._pid}: is ptrace allowed here?")

    async def _line(self) -> str:
        assert self._strace is not None
        assert self._strace.stderr is not None
        return (await self._strace.stderr.readline()).decode(errors="replace")

    async def _detach(self) -> None:
        tracer, self._strace = self._strace, None
        if tracer is None:
            return
        if tracer.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                tracer.send_signal(signal.SIGINT)  # it lets go of the process, which stays as it stands
        await tracer.communicate()
