"""A container's random course, as the engine would show it at any moment: what properties of its life are told in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from sreops.domain.evidence.evidence import ContainerEvent, ContainerState
from sreops.domain.remediation.life import Pulse, pulse_of

START = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)
SETTLE_S = 30.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Turn:
    """Something that happens to the container: it dies (by itself or asked) and comes back, or turns ill and well."""

    second: int
    kind: str  # "died" (its policy starts it anew), "restarted" (somebody did), "replaced", "ill", "well", "down", "up"
    down_s: int = 0


class Course:
    """A container's true course after it was started by our effect at second 0, as the engine would show it."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self.turns = sorted(turns, key=lambda turn: turn.second)
        self.down: list[tuple[float, float]] = []
        self.starts: list[tuple[float, str, int]] = [(0.0, "c0", 0)]  # when, id, RestartCount
        self.events: list[ContainerEvent] = []
        self.ill: list[tuple[float, float]] = []
        self._build()

    def _build(self) -> None:
        number, free_from = 0, 0.0
        for turn in self.turns:
            if turn.second <= free_from:
                continue
            began, container, count = self.starts[-1]
            del began
            if turn.kind in ("died", "restarted", "replaced"):
                if turn.kind == "restarted":
                    self._tell(turn.second, "kill", container)
                self._tell(turn.second, "die", container)
                back = turn.second + max(turn.down_s, 0) + 0.5
                self.down.append((turn.second, back))
                number += turn.kind == "replaced"
                new = f"c{number}" if turn.kind == "replaced" else container
                self.starts.append((back, new, count + 1 if turn.kind == "died" else 0))
                self._tell(back, "start", new)
                free_from = back
            elif turn.kind == "ill":
                self._tell(turn.second, "health_status: unhealthy", container)
                free_from = turn.second + turn.down_s + 0.5
                self.ill.append((turn.second, free_from))
                self._tell(free_from, "health_status: healthy", container)

    def _tell(self, second: float, action: str, container: str) -> None:
        self.events.append(ContainerEvent(at=at(second), action=action, name="payments", container_id=container))

    def look(self, second: float) -> Pulse | None:
        began, container, count = [start for start in self.starts if start[0] <= second][-1]
        is_down = any(start <= second < end for start, end in self.down)
        is_ill = any(start <= second < end for start, end in self.ill)
        state = ContainerState(
            id=container, name="payments", image="i", status="restarting" if is_down else "running",
            running=not is_down, health="unhealthy" if is_ill else "healthy", exit_code=1 if is_down else 0,
            restart_count=count, started_at=at(began), restart_policy="always",
        )  # fmt: skip
        return pulse_of("payments", state, [event for event in self.events if event.at <= at(second)])

    def deaths(self, after: float, until: float) -> list[float]:
        return [start for start, _ in self.down if after < start <= until]

    def was_well(self, after: float, until: float) -> bool:
        spells = [*self.down, *self.ill]
        return not any(start <= until and end > after for start, end in spells)


TURNS = st.lists(
    st.builds(
        Turn, st.integers(1, 200), st.sampled_from(["died", "died", "restarted", "replaced", "ill"]), st.integers(0, 20)
    ),
    max_size=8,
)
