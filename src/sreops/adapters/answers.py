"""What a dependency answers, read within bounds: its encoding, its JSON, and where the reading is done."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from sreops.domain.text.unicode import whole, whole_values

ENCODING_ASKED = "identity"
"""What we send as ``Accept-Encoding``: a kilobyte that decodes to gigabytes is then never to be decoded."""
MAX_ERROR_BYTES = 256 * 1024
"""Of the body of an answer that is an error; people read its beginning."""
MAX_JSON_VALUES = 400_000
"""Of one answer, about: three characters (``[],``) can become seventy bytes of memory."""
LARGE_CHARS = 64 * 1024
"""From here on text is read in a thread."""
_MOST, _LEAST = 2**63 - 1, -(2**63)
_NEEDS_MENDING = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")

MOST_AT_A_TIME_S = 0.02
"""How long pieces of an answer are read before others have their turn: what has arrived is read without a wait."""

P = ParamSpec("P")
R = TypeVar("R")


def encoding_fault(headers: Mapping[str, str]) -> str | None:
    """Say what is wrong with the encoding of an answer to a request that asked for none; None where nothing is."""
    told = headers.get("content-encoding", "").strip().lower()
    if told in ("", ENCODING_ASKED):
        return None
    return f"it answered in the encoding {told[:60]!r}, which was not asked for"


def is_dense(text: str) -> bool:
    """Say whether JSON text may hold more values than are read; what stands in its strings counts as well."""
    return text.count(",") + text.count("[") + text.count("{") > MAX_JSON_VALUES


def read_json(text: str) -> Any:
    """Return the value, its texts whole, its integers within 64 bits (others as floats).

    Raises ValueError for what is no JSON, is nested beyond reason, or holds too many values.
    """
    if is_dense(text):
        raise ValueError(f"the answer holds more than {MAX_JSON_VALUES} values")
    try:
        value = json.loads(text, parse_int=_integer)
        return whole_values(value) if _NEEDS_MENDING.search(text) else value
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def mended(text: str) -> str:
    """Return JSON text that strict readers take: lone surrogates and NULs, also written as escapes, are replaced."""
    if _NEEDS_MENDING.search(text):
        try:
            text = json.dumps(read_json(text), ensure_ascii=False)
        except ValueError:
            return whole(text)  # no JSON: whoever reads it says so
    return whole(text)


def _integer(digits: str) -> int | float:
    if len(digits) > 20:
        return float(digits)
    value = int(digits)
    return value if _LEAST <= value <= _MOST else float(value)


async def read_aside(chars: int, read: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``read``, in a thread where the text has so many characters that the loop would stand still for it."""
    if chars <= LARGE_CHARS:
        return read(*args, **kwargs)
    return await asyncio.to_thread(read, *args, **kwargs)


class Turns:
    """Lets others have the loop now and then, while an answer of many small pieces is read."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    async def give(self) -> None:
        """Call after each piece."""
        if time.monotonic() - self._began_s > MOST_AT_A_TIME_S:
            await asyncio.sleep(0)
            self._began_s = time.monotonic()
