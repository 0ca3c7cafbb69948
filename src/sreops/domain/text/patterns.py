"""Patterns and globs that users write, matched in linear time: the text they meet is hostile."""

from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

MAX_PATTERN_CHARS = 1000
MAX_TEXT_CHARS = 64_000
"""What one match looks at; evidence excerpts are smaller, so only a broken source is cut here."""


class PatternInvalid(ValueError):
    """A pattern or glob that the engine does not take; the text says why, in its words."""


@lru_cache(maxsize=1024)
def _compiled(pattern: str, ignore_case: bool) -> Any:
    if len(pattern) > MAX_PATTERN_CHARS:
        raise PatternInvalid(f"is longer than {MAX_PATTERN_CHARS} characters")
    options = re2.Options()
    options.log_errors = False  # else the engine writes to stderr by itself
    options.case_sensitive = not ignore_case
    options.never_capture = True
    options.max_mem = 1 << 20  # bounds what one pattern may cost; a larger program is refused at load
    try:
        return re2.compile(pattern, options=options)
    except re2.error as exc:
        detail = exc.args[0] if exc.args else ""
        if isinstance(detail, bytes):
            detail = detail.decode("utf-8", "replace")
        raise PatternInvalid(f"is not a pattern that RE2 takes: {detail}") from exc
    except UnicodeEncodeError as exc:
        raise PatternInvalid("holds characters that are not valid Unicode") from exc


def check_pattern(pattern: str) -> None:
    """Raise PatternInvalid where ``pattern`` does not compile."""
    _compiled(pattern, True)


def pattern_matches(pattern: str, text: str) -> bool:
    """Say whether ``pattern`` (RE2 syntax, case ignored unless it says ``(?-i)``) is found in ``text``."""
    return _compiled(pattern, True).search(_searchable(text)) is not None


def pattern_covers(pattern: str, text: str) -> bool:
    """Say whether ``pattern`` (RE2 syntax, case told apart) matches all of ``text``; raises PatternInvalid."""
    return _compiled(pattern, False).fullmatch(_searchable(text)) is not None


def first_line(pattern: str, text: str, *, but_not: str = "") -> str | None:
    """Return the first line in which ``pattern`` is found (and ``but_not`` is not), or None."""
    if not pattern_matches(f"(?m){pattern}", text):  # one pass over the whole is what most texts cost
        return None
    for line in text[:MAX_TEXT_CHARS].splitlines():
        if pattern_matches(pattern, line) and not (but_not and pattern_matches(but_not, line)):
            return line
    return None


def check_glob(glob: str) -> None:
    """Raise PatternInvalid where ``glob`` is not one."""
    _compiled(_glob_pattern(glob), False)


def glob_matches(glob: str, text: str) -> bool:
    """Say whether all of ``text`` matches ``glob``: ``*`` any characters, ``?`` one, ``[abc]``, ``[!abc]``."""
    return _compiled(_glob_pattern(glob), False).fullmatch(_searchable(text)) is not None


def _searchable(text: str) -> str:
    """Return what the engine can take: bounded, and without lone surrogates, which it can't encode."""
    return text[:MAX_TEXT_CHARS].encode("utf-8", "replace").decode("utf-8")


def _glob_pattern(glob: str) -> str:
    parts = ["(?s)"]
    at = 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*":
            parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[" and (end := glob.find("]", at + 1)) > 0:
            inside = glob[at:end]
            negated, inside = inside.startswith("!"), inside.removeprefix("!")
            body = "".join(c if c == "-" or c.isalnum() else f"\\{c}" if c.isascii() else c for c in inside)
            parts.append(f"[{'^' if negated else ''}{body}]")
            at = end + 1
        else:
            parts.append(re2.escape(char))
    return "".join(parts)
