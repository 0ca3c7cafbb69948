"""containerd for our dockerd: a process of its own, as Debian runs it, so that it outlives dockerd's crash.

A containerd that dockerd starts itself dies with it, and where pid 1 reaps slowly, as in containers and
on CI's machines, the next dockerd takes the dead one for a living one and gives up after 15 s.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import ClassVar

from servers.installed import path_of
from servers.process import Server, alive, descendants
from servers.waiting import poll


class Containerd(Server):
    """`socket` is what dockerd's --containerd takes."""

    name = "containerd"
    whole_tree: ClassVar[bool] = False
    outlives_us_s: ClassVar[float] = 13.0  # dockerd gives its containers 10 s to end

    def __init__(self) -> None:
        self._binary = path_of("docker").parents[1] / "bin" / "containerd"
        super().__init__()
        self.socket = self.directory / "containerd.sock"
        self._config = self.directory / "config.toml"
        # the kubernetes part wants ports and networks of its own
        self._config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')

    def command(self) -> list[str]:
        return [
            str(self._binary),
            f"--config={self._config}",
            f"--address={self.socket}",
            f"--root={self.directory / 'root'}",
            f"--state={self.directory / 'state'}",
            "--log-level=warn",
        ]

    def ready(self) -> bool:
        return self.socket.exists()

    def close(self) -> None:
        """Stop it, end the shims that it left with what they run, and remove its data."""
        self.stop()
        shims = self._shims()
        tree = [pid for shim in shims for pid in (shim, *descendants(shim))]
        self._signal(tree, signal.SIGKILL)
        poll(lambda: not any(map(alive, tree)), 10, what="the containers' shims to be gone")
        super().close()

    def _shims(self) -> list[int]:
        """Return the shims that were started for our socket: the containers hang on them, not on containerd."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    arguments = (entry / "cmdline").read_bytes().split(b"\0")
                    if b"containerd-shim" in arguments[0] and str(self.socket).encode() in arguments:
                        found.append(int(entry.name))
        return found
