"""A server process under a test's control: started, awaited, stopped, killed, paused, restarted."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from servers.prepared import ENVIRONMENT, Forked
from servers.waiting import poll

LOG_TAIL_LINES = 40
# Reads a pipe that this process holds: when it ends, in whatever way, the server is not left behind. First
# asked to end, since dockerd killed at once leaves its containers running.
WARDEN = 'read -r _; sleep "$1"; kill -TERM "$0" && sleep 15; kill -KILL "$0"'


class DidNotStart(RuntimeError):
    """The server ended, or was not ready in time; carries the end of its log."""


class Server(ABC):
    """A real server with its data in a directory of its own; restart keeps the data and the port."""

    name: ClassVar[str]
    whole_tree: ClassVar[bool] = True  # signals reach the children too
    start_timeout_s: ClassVar[float] = 60.0
    stop_timeout_s: ClassVar[float] = 20.0
    outlives_us_s: ClassVar[float] = 0.0  # where pytest was killed, and others need this one to end themselves
    not_closed: ClassVar[list[Server]] = []  # conftest shows their logs beside a failed test

    def __init__(self) -> None:
        # not pytest's tmp_path: it is closed to other users (postgres), and too long for a unix socket
        self.directory = Path(tempfile.mkdtemp(prefix=f"sreops-{self.name}-"))
        self.log = self.directory / f"{self.name}.log"
        self.log.touch()
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._paused = False
        Server.not_closed.append(self)

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that serves in the foreground."""

    @abstractmethod
    def ready(self) -> bool:
        """Tell whether the server answers; called until it does."""

    def prepare(self) -> None:  # noqa: B027 - most servers have nothing to prepare
        """Do what must be done before each start (first start: lay out the data)."""

    def user(self) -> str | None:
        """Return the user that the server runs as; None for ours."""
        return None

    @property
    def pid(self) -> int:
        """Return the process id; there is none before start and after stop."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running: start() it first")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Tell whether the process is there (it may be paused)."""
        return self._process is not None and self._process.poll() is None

    def ended(self) -> bool:
        """Tell whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> Self:
        """Start and return when it is ready; raises DidNotStart with the end of the log."""
        if self.running:
            return self
        self.prepare()
        self._log_start = self.log.stat().st_size
        self._spawn()
        deadline = time.monotonic() + self.start_timeout_s
        while not self.ready():
            if self.ended():
                status = self.end_of_process()
                raise DidNotStart(f"{self.name} ended with status {status}; {self._shown_log()}")
            if time.monotonic() > deadline:
                self.kill()
                raise DidNotStart(f"{self.name} was not ready after {self.start_timeout_s:g} s; {self._shown_log()}")
            time.sleep(0.05)
        return self

    def _spawn(self) -> None:
        self._process = self._launched()
        self._warden = subprocess.Popen(
            ["/bin/sh", "-c", WARDEN, str(self._process.pid), str(self.outlives_us_s)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _launched(self) -> subprocess.Popen[bytes] | Forked:
        user = self.user()
        account = pwd.getpwnam(user) if user else None
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at pytest ends the servers through the fixtures, in order
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )

    def environment(self) -> dict[str, str]:
        """Return the server's environment: enough to run, nothing of ours (proxies, credentials)."""
        return dict(ENVIRONMENT)

    def stop(self) -> None:
        """Ask it to end and wait; kill it if it does not."""
        if self.running:
            self.resume()  # a paused process can't end
            self._signal([self.pid], signal.SIGTERM)
            assert self._process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.stop_timeout_s)
        self.kill()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would, and wait until nothing of it is left."""
        if self._process is None:
            return
        tree = self.tree() if self.running else []
        self._signal(tree, signal.SIGKILL)
        self.end_of_process()
        poll(lambda: not any(alive(pid) for pid in tree), 10, what=f"the processes of {self.name} to be gone")

    def end_of_process(self) -> int | None:
        """Collect the ended process and return its status."""
        status = self._process.wait(10) if self._process is not None else None
        self._process, self._paused = None, False
        if self._warden is not None:
            self._warden.kill()  # before its pipe closes, so that it never signals a recycled pid
            self._warden.wait()
            assert self._warden.stdin is not None
            self._warden.stdin.close()
            self._warden = None
        return status

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, and nothing answers.

        Returns once every thread stands still: on a busy machine that comes later than the signal, and one that is
        not there yet may answer what the test sends next.
        """
        self._paused = True
        pids = self.tree()
        self._signal(pids, signal.SIGSTOP)
        poll(lambda: all(_stands_still(pid) for pid in pids), 10, what=f"{self.name} to stand still")

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(self.tree(), signal.SIGCONT)
        self._paused = False

    def restart(self) -> Self:
        """Stop if it runs, and start on the same data and port."""
        self.stop()
        return self.start()

    def make_whole(self) -> None:
        """Undo what a test did to it: resume it where it is paused, start it where it is down."""
        if not self.running:
            self.start()
        elif self._paused:
            self.resume()

    def close(self) -> None:
        """Stop, and remove its data and log."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self in Server.not_closed:
            Server.not_closed.remove(self)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def tree(self) -> list[int]:
        """Return the pids that signals go to: the server's and, where they are part of it, its children's."""
        return [self.pid, *(descendants(self.pid) if self.whole_tree else [])]

    def log_since_start(self) -> str:
        """Return what it has logged since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _shown_log(self) -> str:
        lines = self.log_since_start().splitlines()[-LOG_TAIL_LINES:]
        return f"the end of its log ({self.log}):\n  " + "\n  ".join(lines)

    @staticmethod
    def _signal(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _stands_still(pid: int) -> bool:
    states = [_state(thread) for thread in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(state in ("T", "t", "Z", "X", "") for state in states)


def _state(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:  # it has ended
        return ""


def _parent_and_state(pid: int) -> tuple[int, str] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent = stat.rpartition(")")[2].split()[:2]  # the name before it may hold spaces
    return int(parent), state


def alive(pid: int) -> bool:
    """Tell whether it runs; one that has ended and waits to be reaped does not."""
    found = _parent_and_state(pid)
    return found is not None and found[1] != "Z"


def descendants(root: int) -> list[int]:
    """Return the pids of its children, theirs, and so on."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            found = _parent_and_state(int(entry.name))
            if found:
                children.setdefault(found[0], []).append(int(entry.name))
    found_pids: list[int] = []
    frontier = [root]
    while frontier:
        frontier = [child for pid in frontier for child in children.get(pid, [])]
        found_pids += frontier
    return found_pids
