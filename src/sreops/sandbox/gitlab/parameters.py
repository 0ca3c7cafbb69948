"""Request parameters as Grape reads them: JSON, form or query; coerced by type, refused with key `error`."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request


class ParameterRefused(Exception):
    """A request that fails before any record is touched."""

    def __init__(self, message: str, *, status: int = 400, plain: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.plain = plain


def _text(name: str, value: object) -> str:
    if isinstance(value, bool | int | float):
        return str(value)
    if not isinstance(value, str):
        raise ParameterRefused(f"{name} is invalid")
    return value


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    match str(value).lower():
        case "true" | "1" | "t" | "on":
            return True
        case "false" | "0" | "f" | "off":
            return False
    raise ParameterRefused(f"{name} is invalid")


def _number(name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError as exc:
        raise ParameterRefused(f"{name} is invalid") from exc


def _numbers(name: str, value: object) -> list[int]:
    items = value if isinstance(value, list) else str(value).split(",")
    return [_number(name, item) for item in items if str(item).strip()]


def _names(name: str, value: object) -> list[str]:
    items = value if isinstance(value, list) else _text(name, value).split(",")
    # A comma separates wherever it stands: also within an element of an array.
    return [part.strip() for item in items for part in _text(name, item).split(",") if part.strip()]


def _moment(name: str, value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(name, value))
    except ValueError as exc:
        raise ParameterRefused(f"{name} is invalid") from exc
    if moment.tzinfo is None:
        raise ParameterRefused(f"{name} is invalid")
    return moment


def choice(*allowed: str) -> Callable[[str, object], str]:
    """Return a coercion that takes only these values."""

    def chosen(name: str, value: object) -> str:
        if value not in allowed:
            raise ParameterRefused(f"{name} does not have a valid value")
        return str(value)

    return chosen


TEXT, FLAG, NUMBER, NUMBERS, NAMES, MOMENT = _text, _flag, _number, _numbers, _names, _moment
Coercion = Callable[[str, object], Any]


def coerce(raw: Mapping[str, object], declared: Mapping[str, Coercion]) -> dict[str, Any]:
    """Return the declared parameters among `raw`, coerced; undeclared ones are ignored, as Grape does."""
    return {name: kind(name, raw[name]) for name, kind in declared.items() if raw.get(name) is not None}


async def read(request: Request) -> dict[str, object]:
    """Return the parameters of query and body; `a[]=1&a[]=2` and repeated names become lists."""
    found = _pairs(request.url.query)
    body = await request.body()
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if body and kind == "application/json":
        try:
            decoded = json.loads(body)
        except ValueError as exc:
            raise ParameterRefused("Problem while parsing JSON: the request body is not JSON") from exc
        if not isinstance(decoded, dict):
            raise ParameterRefused("The provided JSON is not an object")
        found.update(decoded)
    elif body and kind == "application/x-www-form-urlencoded":
        found.update(_pairs(body.decode("utf-8", "replace")))
    elif body:
        raise ParameterRefused(f"The provided content-type '{kind}' is not supported.", status=415)
    if _has_nul(found):
        raise ParameterRefused("Bad Request", plain=True)
    return found


def _pairs(query: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name.endswith("[]"):
            items = found.setdefault(name[:-2], [])
            if isinstance(items, list):
                items.append(value)
        else:
            found[name] = value
    return found


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(_has_nul(item) for item in value)
