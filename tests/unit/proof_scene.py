"""A target and its series as the agent would describe them: what a proof is looked for in."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sreops.domain.causes.analysis import Category
from sreops.domain.evidence import findings
from sreops.domain.evidence.engine_events import engine_events
from sreops.domain.evidence.evidence import (
    ContainerEvent,
    ContainerEvents,
    ContainerState,
    Evidence,
    Series,
    SeriesSet,
)
from sreops.domain.evidence.golden_signals import choose
from sreops.domain.remediation.proof import (
    Suspected,
    led_to_the_present_start,
)
from sreops.domain.text.redaction import Redactor

NOW = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
C = Category
GIB = 1 << 30
MEMORY = ["container_memory_working_set_bytes", "container_spec_memory_limit_bytes"]


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def container(**changes: Any) -> ContainerState:
    base: dict[str, Any] = {
        "id": "c1", "name": "payments", "image": "i", "status": "running", "running": True,
        "started_at": at(-7200), "memory_limit_bytes": GIB,
    }  # fmt: skip
    return ContainerState.model_validate(base | changes)


def suspected(*events: ContainerEvent, **changes: Any) -> Suspected:
    """The target as the agent would describe it, from the engine's answers."""
    seen = container(**changes)
    told = ContainerEvents(query="", events=events)
    led = ContainerEvents(query="", events=led_to_the_present_start(events))
    return Suspected(
        names=frozenset({"payments"}), started_at=seen.started_at, restart_count=seen.restart_count,
        state=findings.container(seen, NOW, Redactor()),
        events=engine_events("payments", told, NOW, Redactor()),
        led_here=engine_events("payments", led, NOW, Redactor()),
    )  # fmt: skip


def event(action: str, second: float, exit_code: int | None = None) -> ContainerEvent:
    return ContainerEvent(at=at(second), action=action, name="payments", container_id="c1", exit_code=exit_code)


def memory(share: float, *, was: float = 0.3, ends: float = -5, name: str = "payments") -> Evidence:
    """The memory series of an hour that rises from a share of the limit to another."""
    signal = next(one for one in choose({"name": name}, MEMORY) if one.id == "memory")
    steps = [(at(ends - 3600 + 60 * n).timestamp(), GIB * (was if n < 40 else share)) for n in range(61)]
    found = SeriesSet(query=signal.promql, series=(Series(labels={}, points=tuple(steps)),))
    limit = SeriesSet(query="", series=(Series(labels={}, points=((at(ends).timestamp(), float(GIB)),)),))
    return findings.metric(signal, found, at(ends - 300), limit=limit)
