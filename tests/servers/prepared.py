"""A process that has imported sreops and forks where one is to start: a tenth of a second instead of seconds.

What is forked differs from `python -m sreops` in its imports alone, which are there already: it has its own session,
folder, environment, input and output, and runs the package's `__main__`. The command itself is started as it is by
tests/e2e/test_command_line.py, by the demo's tests and by the benches.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""What every server has: enough to run, nothing of ours."""
PRELOADED = (
    "sreops.__main__", "sreops.commands.serve", "sreops.commands.audit", "sreops.commands.dead_letter",
    "uvloop", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on", "uvicorn.loops.auto",
)  # fmt: skip


class Forked:
    """A forked process, with what of subprocess.Popen is needed of it."""

    def __init__(self, source: Prepared, pid: int) -> None:
        self._source = source
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its status once it has ended, negative for a signal."""
        if self.returncode is None:
            self.returncode = self._source.ask({"status_of": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("sreops", timeout or 0.0)
            time.sleep(0.02)
        return status


class Prepared:
    """The process that forks; one for each process of pytest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: Path, stderr: Path
    ) -> Forked:
        """Start `sreops ARGUMENTS`; what it writes is appended to the files."""
        asked = {"start": list(arguments), "cwd": str(cwd), "env": dict(env), "out": str(stdout), "err": str(stderr)}
        return Forked(self, self.ask(asked))

    def run(
        self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; raises subprocess.TimeoutExpired."""
        files = [cwd / f"command-{time.monotonic_ns()}.{name}" for name in ("out", "err")]
        forked = self.start(arguments, cwd=cwd, env=env, stdout=files[0], stderr=files[1])
        try:
            status = forked.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.kill(forked.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(list(arguments), status, *(file.read_text() for file in files))

    def ask(self, asked: Mapping[str, Any]) -> Any:
        """Put a question to the process, which is started where it is not there."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=ENVIRONMENT,
                    start_new_session=True,
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


PREPARED = Prepared()


def _fork_as_asked() -> dict[str, Any] | None:
    """Answer questions until there are no more (None), or return, in a fork, what it was made for."""
    ended: dict[int, int] = {}  # asked about again by another thread, when it has been collected already
    with os.fdopen(os.dup(0), "rb") as questions:
        for line in questions:
            asked = json.loads(line)
            if "status_of" in asked:
                answer = _status(asked["status_of"], ended)
            elif (answer := os.fork()) == 0:
                return dict(asked)
            else:
                ended.pop(answer, None)  # the number of one that has ended long ago
            os.write(1, json.dumps(answer).encode() + b"\n")
    return None


def _status(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        found, status = os.waitpid(pid, os.WNOHANG)
        if not found:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def _settle(asked: Mapping[str, Any]) -> None:
    """Take the place that a process of its own would have."""
    os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), descriptor)
    sys.argv = ["sreops", *asked["start"]]


if __name__ == "__main__":
    sys.path[0] = ""  # as for `python -m`: not this folder, whose names are other packages' too
    for module in PRELOADED:
        __import__(module)
    wanted = _fork_as_asked()
    if wanted is not None:
        _settle(wanted)
        runpy.run_module("sreops", run_name="__main__", alter_sys=True)
