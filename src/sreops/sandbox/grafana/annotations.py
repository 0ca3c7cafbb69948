"""Grafana's annotations: what people and pipelines note on its time line."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import QueryParams

from sreops.sandbox.clock import Clock
from sreops.sandbox.told import Told


class Annotations:
    """Those of one Grafana; `kept` are as its API shows them."""

    def __init__(self, clock: Clock) -> None:
        self.kept: list[dict[str, Any]] = []
        self._clock = clock
        self._numbers = itertools.count(1)

    def found(self, asked: QueryParams) -> list[dict[str, Any]]:
        """Return those that a request for the list asks for, newest first."""
        since = _milliseconds(asked.get("from"), 0)
        until = _milliseconds(asked.get("to"), 2**62)
        tags = asked.getlist("tags")
        some = any if asked.get("matchAny") == "true" else all
        limit = _milliseconds(asked.get("limit"), 100)
        found = [
            annotation
            for annotation in self.kept
            if annotation["time"] <= until
            and annotation["timeEnd"] >= since
            and (not tags or some(tag in annotation["tags"] for tag in tags))
        ]
        found.sort(key=lambda annotation: annotation["time"], reverse=True)
        return found[:limit]

    def create(self, body: bytes) -> int:
        """Add what a request's body asks for; return its number."""
        try:
            asked = json.loads(body)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            raise Told(400, {"message": "bad request data"})
        if not asked.get("text"):
            raise Told(400, {"message": "Failed to save annotation", "error": "text field should not be empty"})
        start = asked.get("time", self._clock.time_ns() // 1_000_000)
        if not isinstance(start, int) or not isinstance(asked.get("tags", []), list):
            raise Told(400, {"message": "bad request data"})
        return self.add(str(asked["text"]), asked.get("tags", []), start, asked.get("timeEnd"))

    def add(self, text: str, tags: Sequence[str], time_ms: int, time_end_ms: int | None = None) -> int:
        """Add one; return its number."""
        number = next(self._numbers)
        self.kept.append(
            {
                "id": number,
                "alertId": 0,
                "dashboardUID": None,
                "panelId": 0,
                "userId": 0,
                "created": time_ms,
                "updated": time_ms,
                "time": time_ms,
                "timeEnd": time_end_ms or time_ms,
                "text": text,
                "tags": list(tags),
                "data": {},
            }
        )
        return number


def _milliseconds(given: str | None, default: int) -> int:
    if given is None:
        return default
    if not given.isdigit():
        raise Told(400, {"message": f"bad request data: {given!r} is not a number of milliseconds"})
    return int(given)
