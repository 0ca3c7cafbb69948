"""Commands in containers: the engine's *exec*, made first, then started once, and looked at by its id.

Source: MB:api/swagger.yaml (ContainerExec, ExecStart, ExecInspect). A command outlives the client that started it.
"""

import re
import time
from collections.abc import Sequence

from sreops.adapters.docker.engine import Engine
from sreops.adapters.docker.frame_tail import FrameTail
from sreops.domain.remediation.command import CommandOutput, CommandState
from sreops.errors import EngineRefused, EngineUnavailable

_EXEC_ID = re.compile(r"[0-9a-f]{64}")


class ContainerCommands:
    """The commands of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def prepare(self, container_id: str, command: Sequence[str], *, timeout_s: float) -> str:
        """Make a record of a command that is not started by it, and return the record's id."""
        path = f"containers/{container_id}/exec"
        body = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        # what is made does nothing before it is started: a lost answer leaves a record that nobody starts
        answer = await self._engine.ask("POST", path, body=body, timeout_s=timeout_s)
        made = await self._engine.parsed(f"POST /{path}", answer)
        exec_id = made.get("Id") if isinstance(made, dict) else None
        if not isinstance(exec_id, str) or not _EXEC_ID.fullmatch(exec_id):
            raise EngineUnavailable(f"docker: POST /{path}: the answer has no id of a command")
        return exec_id

    async def run(self, exec_id: str, *, timeout_s: float) -> CommandOutput:
        """Start it, and follow its output to its end or for ``timeout_s``; what is raised means what acts mean."""
        tail = FrameTail()
        body = {"Detach": False, "Tty": False}
        path = f"exec/{_known(exec_id)}/start"
        whole = await self._engine.follow(path, body, tail.take, timeout_s=timeout_s)
        return CommandOutput(lines=tail.lines(), whole=whole)

    async def state(self, exec_id: str, *, timeout_s: float) -> CommandState | None:
        """Return what the engine knows of it; None where it has no such record."""
        path = f"exec/{_known(exec_id)}/json"
        deadline = time.monotonic() + timeout_s
        try:
            answer = await self._engine.ask("GET", path, timeout_s=deadline - time.monotonic())
        except EngineRefused as exc:
            if exc.status == 404:
                return None
            raise
        shown = await self._engine.parsed(f"GET /{path}", answer)
        running = shown.get("Running") if isinstance(shown, dict) else None
        if not isinstance(running, bool) or shown.get("ID") != exec_id:
            raise EngineUnavailable(f"docker: GET /{path}: the answer is not this command")
        code, pid = shown.get("ExitCode"), shown.get("Pid")
        return CommandState(
            running=running,
            exit_code=code if isinstance(code, int) and not isinstance(code, bool) else None,
            pid=pid if isinstance(pid, int) and not isinstance(pid, bool) else 0,
        )


def _known(exec_id: str) -> str:
    if not _EXEC_ID.fullmatch(exec_id):
        raise EngineRefused(f"docker: {exec_id[:80]!r} is not the id of a command (64 hex digits)")
    return exec_id
