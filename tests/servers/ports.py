"""Free ports on loopback for servers that must have their port told."""

from __future__ import annotations

import random
import socket

# Below the kernel's ephemeral range (32768 up): while a killed server is down, no outgoing connection of
# anybody can take its port, so that it comes back on the same one. Random, for runs side by side.
FIRST, LAST = 18_000, 32_000
_given: set[int] = set()


def free_port() -> int:
    """Return a port that nothing listens on and that this process has not given out before."""
    for _ in range(200):
        port = random.randint(FIRST, LAST)
        if port in _given:
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError(f"200 ports tried between {FIRST} and {LAST} on 127.0.0.1, and none was free")


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether something accepts connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
