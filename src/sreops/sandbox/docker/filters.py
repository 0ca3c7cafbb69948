"""The ``filters`` parameter of the Engine API's lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sreops.sandbox.docker.container import Container
from sreops.sandbox.matchers import BadPattern, compile_pattern

Filters = dict[str, list[str]]

CONTAINER_KEYS = frozenset(
    {"ancestor", "before", "expose", "exited", "health", "id", "is-task", "isolation"}
    | {"label", "name", "network", "publish", "since", "status", "volume"}
)
_STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTHS = ("starting", "healthy", "unhealthy", "none")


class BadFilter(Exception):
    """A filter that the engine refuses; the text is the message of its 400."""


def parse_filters(text: str, known: frozenset[str]) -> Filters:
    """Read ``{"key":["value"]}``, or the old ``{"key":{"value":true}}``."""
    if not text:
        return {}
    try:
        raw = json.loads(text)
    except ValueError as exc:
        raise BadFilter(f"invalid filter: {exc}") from exc
    if not isinstance(raw, dict):
        raise BadFilter("invalid filter: it must be a map of lists of strings")
    filters: Filters = {}
    for key, values in raw.items():
        if isinstance(values, dict):
            values = [value for value, wanted in values.items() if wanted]
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise BadFilter("invalid filter: it must be a map of lists of strings")
        if key not in known:
            raise BadFilter(f"invalid filter '{key}'")
        filters[key] = values
    return filters


def labels_match(wanted: list[str], labels: Mapping[str, str]) -> bool:
    """Whether labels hold every ``key`` and ``key=value`` that is wanted."""
    return all(
        name in labels and (not sign or labels[name] == value)
        for name, sign, value in (text.partition("=") for text in wanted)
    )


def check_container_filters(filters: Filters) -> None:
    """Refuse values that the engine refuses before it lists."""
    for key, allowed in (("status", _STATUSES), ("health", _HEALTHS)):
        for value in filters.get(key, []):
            if value not in allowed:
                raise BadFilter(f"invalid filter '{key}={value}'")
    for value in filters.get("exited", []):
        if not value.lstrip("-").isdecimal():
            raise BadFilter(f"invalid filter 'exited={value}'")


def container_matches(filters: Filters, container: Container) -> bool:
    """Whether a container passes: any value of a key, all keys; labels must all hold."""
    checks: dict[str, Any] = {
        "label": lambda values: labels_match(values, container.labels),
        "id": lambda values: any(container.id.startswith(value) for value in values),
        "status": lambda values: container.status in values,
        "health": lambda values: container.health_name in values,
        "name": lambda values: any(_name_matches(value, container.name) for value in values),
        "ancestor": lambda values: container.image in values or container.image.rpartition(":")[0] in values,
        "network": lambda values: container.network in values,
        "exited": lambda values: container.status == "exited" and str(container.exit_code) in values,
        "is-task": lambda values: "true" not in values,
    }
    return all(checks[key](values) for key, values in filters.items() if key in checks)


def _name_matches(pattern: str, name: str) -> bool:
    try:
        compiled = compile_pattern(pattern)
    except BadPattern:
        return pattern in (name, f"/{name}")
    return any(compiled.search(shown) is not None for shown in (f"/{name}", name))
