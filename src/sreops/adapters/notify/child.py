"""The child process that sends one message by Apprise: ``python -I -m sreops.adapters.notify.child``.

Apart, because Apprise reads whole answers whatever their size, and its threads can't be stopped (tried, 2.3.0). It
gets its order as JSON on stdin, never by arguments, which every user of the machine may read:
``{"url", "title", "body", "type", "deadline_s", "cpu_s", "memory_bytes", "check"}``. It writes what becomes of it to
the file that it inherits as descriptor 3, whose lock it holds as long as it lives: ``sending`` before it connects,
then ``sent`` or ``failed`` with the reason. So whoever comes later knows, though the process that began it was killed.
"""

import json
import logging
import os
import resource
import signal
import sys
from typing import Any

OUTCOME_FD = 3
SENDING, SENT, FAILED = "sending", "sent", "failed"


class _Said(logging.Handler):
    """What Apprise has said: the receiver's answer stands nowhere else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main() -> None:
    """Send, tell, and leave at once: Apprise's threads would be waited for."""
    order = json.loads(sys.stdin.buffer.read())
    _limit(order)
    try:
        outcome = _send(order)
    except BaseException as exc:  # noqa: BLE001  # MemoryError and what plugins raise: the parent must hear of it
        outcome = f"{FAILED} {type(exc).__name__}: {exc}"[:2000]
    _tell(outcome)
    os._exit(0)


def _limit(order: dict[str, Any]) -> None:
    memory, cpu_s = int(order["memory_bytes"]), int(order["cpu_s"])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    signal.setitimer(signal.ITIMER_REAL, float(order["deadline_s"]))  # SIGALRM's default action ends the process


def _send(order: dict[str, Any]) -> str:
    from apprise import Apprise, AppriseAsset, NotifyType  # noqa: PLC0415  # after the limits

    said = _Said()
    logging.getLogger("apprise").addHandler(said)
    # a redirect turns the POST into a GET, whose 200 Apprise calls a message sent
    asset = AppriseAsset(app_id="sreops", app_desc="sreops", app_url="", http_redirects=False, secure_logging=True)
    apprise = Apprise(asset=asset)
    if not apprise.add(order["url"]):
        return f"{FAILED} Apprise does not understand its URL: {' '.join(said.lines)[:500]}"
    if order.get("check"):
        return f"{SENT} {apprise[0].service_name}"
    sys.addaudithook(_before_connecting)
    sent = apprise.notify(
        body=order["body"],
        title=order["title"],
        notify_type=NotifyType(order["type"]),
        body_format="text",
        interpret_escapes=False,
        timeout=float(order["deadline_s"]),
    )
    if sent:
        return SENT
    return f"{FAILED} {' '.join(said.lines)[-1500:] or 'the receiver did not take it'}"


_connecting: list[bool] = []


def _before_connecting(event: str, _: object) -> None:
    """Note that from now on it may have arrived; until then it can't."""
    if event == "socket.connect" and not _connecting:
        _connecting.append(True)
        _tell(SENDING)


def _tell(outcome: str) -> None:
    os.lseek(OUTCOME_FD, 0, os.SEEK_SET)
    os.ftruncate(OUTCOME_FD, 0)
    os.write(OUTCOME_FD, outcome.encode("utf-8", "replace"))
    os.fsync(OUTCOME_FD)


if __name__ == "__main__":
    main()
