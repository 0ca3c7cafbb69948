"""What can go wrong in the shop: how each trouble shows in metrics, logs and health, and what cures it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar, Literal

Level = Literal["info", "warn", "error"]
Line = tuple[Level, str]


@dataclass(frozen=True, slots=True)
class Symptoms:
    """How a service is doing at one moment."""

    error_ratio: float = 0.0
    """Share of its requests that end in a 5xx."""
    status: str = "500"
    """The status of those."""
    slowness: float = 1.0
    """Factor on its latency."""
    memory_share: float | None = None
    """Share of the memory limit in use; None for the usual."""
    health: str = ""
    """Output of a failing health check; empty while it passes."""
    disk_free_share: float = 0.58


class Ailment:
    """A trouble of one service, from ``began_at`` (unix seconds) on until something cures it."""

    cured_by_restart: ClassVar[bool] = True

    def __init__(self, service: str, began_at: float) -> None:
        self.service = service
        self.began_at = began_at
        self.cured_at: float | None = None

    def active(self, at: float) -> bool:
        """Whether it troubles the service at that time."""
        return at >= self.began_at and (self.cured_at is None or at < self.cured_at)

    def restarted(self, at: float) -> None:
        """Take note that the service was started anew."""
        if self.cured_by_restart and self.active(at):
            self.cured_at = at

    def symptoms(self, at: float) -> Symptoms:
        """How the service does while this troubles it."""
        raise NotImplementedError

    def lines(self, at: float, seconds: float, rng: random.Random) -> list[Line]:
        """What the service writes because of it in the ``seconds`` that end at ``at``."""
        raise NotImplementedError


def _due(began: float, at: float, seconds: float, every: float) -> bool:
    """Whether a line that comes once per ``every`` seconds since ``began`` falls into the step."""
    since = at - began
    return since >= 0 and (since // every != (since - seconds) // every or since < seconds)


class MemoryLeak(Ailment):
    """The heap grows to its limit in ``fills_in_s``, then allocations fail. A restart clears it."""

    def __init__(self, service: str, began_at: float, fills_in_s: float = 1200.0, start_share: float = 0.42) -> None:
        super().__init__(service, began_at)
        self.fills_in_s = fills_in_s
        self.start_share = start_share

    def share(self, at: float) -> float:
        """Share of the limit in use."""
        grown = (at - self.began_at) / self.fills_in_s
        return min(0.995, self.start_share + (1 - self.start_share) * max(0.0, grown))

    def symptoms(self, at: float) -> Symptoms:
        """More errors and slower the nearer to the limit."""
        share = self.share(at)
        distress = max(0.0, (share - 0.85) / 0.145)
        failing = "GET /healthz: 500 heap exhausted" if share > 0.99 else ""
        return Symptoms(0.45 * distress, "500", 1 + 9 * distress, share, failing)

    def lines(self, at: float, seconds: float, rng: random.Random) -> list[Line]:
        """Garbage collection that complains more and more, then the errors themselves."""
        share = self.share(at)
        out: list[Line] = []
        if share > 0.7 and rng.random() < seconds / (60 * (1.05 - share)):
            pause = int(200 + 4000 * (share - 0.7))
            heap = f"{share * 512:.0f}M->{share * 508:.0f}M(512M)"
            out.append(("warn", f"[gc] GC({rng.randrange(900, 4000)}) Pause Full (Ergonomics) {heap} {pause}ms"))
        full_at = self.began_at + self.fills_in_s
        if _due(full_at, at, seconds, 90.0):
            worker = rng.randrange(1, 33)
            out.append(
                ("error", f'Exception in thread "http-worker-{worker}" java.lang.OutOfMemoryError: Java heap space')
            )
            out.append(("error", "\tat shop.payments.session.SessionCache.put(SessionCache.java:118)"))
        return out


class PoolExhausted(Ailment):
    """Two threads wait for each other and hold every connection. The process lives, and answers nothing."""

    def symptoms(self, at: float) -> Symptoms:
        """Nearly everything times out."""
        ramp = min(1.0, (at - self.began_at) / 30.0)
        return Symptoms(
            0.92 * ramp, "503", 1 + 29 * ramp, None, "GET /healthz: timed out after 5s" if ramp >= 1 else ""
        )

    def lines(self, at: float, seconds: float, rng: random.Random) -> list[Line]:
        """Timeouts for everyone, and once in a while the thread dump that names the deadlock."""
        out: list[Line] = []
        if rng.random() < seconds / 8:
            out.append(
                (
                    "error",
                    "HikariPool-1 - Connection is not available, request timed out after 30000ms "
                    f"(total=20, active=20, idle=0, waiting={rng.randrange(40, 190)})",
                )
            )
        if _due(self.began_at + 5, at, seconds, 300.0):
            out.append(("error", "Found one Java-level deadlock: reserve-stock-7 waits for reserve-stock-3 and back"))
        return out


class DiskFull(Ailment):
    """The volume is full. A restart only brings back a database that can't write."""

    cured_by_restart = False

    def symptoms(self, at: float) -> Symptoms:
        """Whatever writes fails."""
        ramp = min(1.0, (at - self.began_at) / 30.0)
        return Symptoms(0.7 * ramp, "500", 2.0, None, "pg_isready: rejecting connections" if ramp >= 1 else "", 0.0)

    def lines(self, at: float, seconds: float, rng: random.Random) -> list[Line]:
        """A panic about the write-ahead log, and errors of those who want to write."""
        out: list[Line] = []
        if _due(self.began_at, at, seconds, 120.0):
            segment = rng.randrange(20, 60)
            out.append(
                ("error", f'PANIC:  could not write to file "pg_wal/xlogtemp.{segment}": No space left on device')
            )
        if rng.random() < seconds / 15:
            table = rng.choice(["base/16384/16611", "base/16384/16725"])
            out.append(("error", f'ERROR:  could not extend file "{table}": No space left on device'))
        return out


class BadVersion(Ailment):
    """A version that can't read what it gets. Another version cures it, and no restart."""

    cured_by_restart = False

    def symptoms(self, at: float) -> Symptoms:
        """Half of the requests fail."""
        return Symptoms(0.5 * min(1.0, (at - self.began_at) / 5.0), "500", 1.2)

    def lines(self, at: float, seconds: float, rng: random.Random) -> list[Line]:
        """An error that no version before has written."""
        if rng.random() < seconds / 2:
            return [("error", f"TypeError: cannot read field 'currency' of item {rng.randrange(1000, 9999)}")]
        return []


class Blip(Ailment):
    """Errors that pass by themselves after ``lasts_s``; no restart is needed."""

    cured_by_restart = False

    def __init__(self, service: str, began_at: float, lasts_s: float = 60.0) -> None:
        super().__init__(service, began_at)
        self.cured_at = began_at + lasts_s

    def symptoms(self, at: float) -> Symptoms:
        """A third of the requests fails."""
        return Symptoms(0.33, "502", 1.5)

    def lines(self, at: float, seconds: float, rng: random.Random) -> list[Line]:
        """Broken connections to the neighbour."""
        if rng.random() < seconds / 5:
            return [("error", f"upstream reset by peer: connect to 172.18.0.{rng.randrange(2, 12)}:8080 failed")]
        return []
