"""The parameters of requests to the sandbox's Prometheus, and how it refuses them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sreops.sandbox.promql.parser import parse
from sreops.sandbox.promql.tokens import PromQLError, parse_duration_s
from sreops.sandbox.promql.tree import Node
from sreops.sandbox.request_params import Params


class ApiError(Exception):
    """An answer of status ``error``."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def read_query(params: Params) -> Node:
    """Return the expression; ApiError where it does not parse."""
    try:
        return parse(params.get("query", ""))
    except PromQLError as exc:
        raise ApiError("bad_data", f'invalid parameter "query": {exc}') from exc


def read_duration(params: Params, name: str) -> float:
    """Return seconds, of a number or of a duration such as ``5m``."""
    text = params.get(name) or ""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_duration_s(text)
    except ValueError as exc:
        raise ApiError("bad_data", f'invalid parameter "{name}": cannot parse "{text}" to a valid duration') from exc


def check_timeout(params: Params) -> None:
    """Refuse a timeout that is none; nothing here takes long enough to keep one."""
    if params.get("timeout"):
        read_duration(params, "timeout")


def within_limit(params: Params, result: list[Any]) -> list[Any]:
    """Return as much of the result as is asked for."""
    text = params.get("limit") or "0"
    if not text.isdecimal():
        raise ApiError("bad_data", f'invalid parameter "limit": strconv.Atoi: parsing "{text}": invalid syntax')
    return result[: int(text)] if int(text) else result


def read_time(params: Params, name: str, default: float | None = None) -> float:
    """Return seconds since the epoch, of a number or of RFC 3339."""
    text = params.get(name) or ""
    if not text and default is not None:
        return default
    try:
        return round(float(text), 3)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None or "T" not in text:
            raise ValueError(text)
    except ValueError as exc:
        raise ApiError("bad_data", f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp') from exc
    return when.timestamp()
