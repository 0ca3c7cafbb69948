"""Text from outside, made whole once at each edge: from there on UTF-8, JSON and PostgreSQL can hold it. Pure.

Control, invisible and bidirectional characters stay: they are data, and whoever shows text deals with them.
"""

import re
from typing import Any

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """Return the text without NULs and lone surrogates, so that UTF-8, JSON and PostgreSQL can hold it."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # a pair that arrived as two escapes becomes its character; what is left over is replaced
        return _HALF.sub("\ufffd", _PAIR.sub(_joined, text))
    return text


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def whole_values(value: Any) -> Any:
    """Return a JSON value with all its texts whole, names of fields too; raises RecursionError where it is too deep."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(name): whole_values(part) for name, part in value.items()}
    if isinstance(value, list):
        return [whole_values(part) for part in value]
    return value
