"""The engine's events as sreops keeps them: which are asked for, and how their stream is read. Pure.

Source: MB:api/swagger.yaml (SystemEvents, EventMessage), daemon/events/filter.go: the filter on containers takes
prefixes, so names are compared once more; ``health_status`` in the filter on events makes that one take prefixes too.
"""

from collections import deque
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sreops.adapters.answers import read_json
from sreops.domain.evidence.evidence import ContainerEvent
from sreops.domain.text.redaction import one_line

ACTIONS = (
    "create", "start", "die", "oom", "kill", "stop", "restart", "destroy", "rename", "update", "pause", "unpause",
    "health_status",
)  # fmt: skip
"""Each check of a container's health writes three more (exec_create, exec_start, exec_die), which nobody needs."""
MOST = 10_000
"""Events that are kept of one answer, the newest."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_NS = 253_402_300_799 * 10**9  # the year 9999


def read_events(body: bytes, names: Collection[str], *, cut: bool) -> list[ContainerEvent]:
    """Return the events of containers of exactly these names, oldest first.

    Raises ValueError for a line that is no event; of a body that was ``cut`` the last line may be half of one.
    """
    lines = [line for line in body.splitlines() if line.strip()]
    found: deque[ContainerEvent] = deque(maxlen=MOST)
    for line in lines[: -1 if cut else None]:
        try:
            shown = read_json(line.decode("utf-8", "replace"))
        except ValueError as exc:
            raise ValueError(f"a line is no event: {exc}") from exc
        found += [event for event in _event(shown) if event.name in names]
    return sorted(found, key=lambda event: event.at)


def _event(shown: Any) -> Iterator[ContainerEvent]:
    if not isinstance(shown, dict) or not isinstance(shown.get("Type"), str):
        raise ValueError("a line is no event")  # noqa: TRY004 - it is what came in that is wrong, not our call
    actor = shown.get("Actor")
    about = actor.get("Attributes") if isinstance(actor, dict) else None
    if not isinstance(about, dict) or not isinstance(actor, dict) or shown["Type"] != "container":
        return
    at_ns, action, name, container_id = shown.get("timeNano"), shown.get("Action"), about.get("name"), actor.get("ID")
    if not (isinstance(at_ns, int) and 0 < at_ns < _MOST_NS and isinstance(action, str) and isinstance(name, str)):
        return
    if action.partition(":")[0] not in ACTIONS:
        return
    yield ContainerEvent(
        at=_EPOCH + timedelta(microseconds=at_ns // 1000),
        action=one_line(action, 80),
        name=name,
        container_id=container_id if isinstance(container_id, str) else "",
        image=one_line(about["image"], 200) if isinstance(about.get("image"), str) else "",
        exit_code=_whole(about.get("exitCode")),
        signal=_whole(about.get("signal")),
    )


def _whole(text: Any) -> int | None:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 5 else None
