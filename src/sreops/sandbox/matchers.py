"""Label matchers and Go string literals: what LogQL and PromQL share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import re2  # type: ignore[import-untyped]  # google-re2 ships no stubs

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False  # it would write to the host's stderr

_SIMPLE = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}


class BadLiteral(ValueError):
    """A quoted string that Go would refuse."""


def unquote(literal: str) -> str:
    """Return the value of a quoted Go string, as strconv.Unquote does; PromQL may also quote by ``'``."""
    quote, body = literal[0], literal[1:-1]
    if len(literal) < 2 or literal[-1] != quote:
        raise BadLiteral("literal not terminated")
    if quote == "`":
        return body.replace("\r", "")
    if "\n" in body:
        raise BadLiteral("literal not terminated")
    out = bytearray()
    at = 0
    while at < len(body):
        char = body[at]
        if char != "\\":
            if char == quote:
                raise BadLiteral("invalid syntax")
            out += char.encode("utf-8", "surrogatepass")
            at += 1
            continue
        value, at = _escape(body, at + 1, quote)
        out += value
    return out.decode("utf-8", "replace")


def _escape(body: str, at: int, quote: str) -> tuple[bytes, int]:
    """Return the bytes of the escape whose letter is at ``at``, and where the text goes on."""
    if at >= len(body):
        raise BadLiteral("invalid syntax")
    letter = body[at]
    if letter in _SIMPLE:
        return bytes([_SIMPLE[letter]]), at + 1
    if letter == quote:
        return letter.encode(), at + 1
    if letter in _HEX_DIGITS:
        end = at + 1 + _HEX_DIGITS[letter]
        code = _number(body[at + 1 : end], _HEX_DIGITS[letter], 16)
        if letter == "x":
            return bytes([code]), end
        if code > 0x10FFFF:
            raise BadLiteral("escape sequence is invalid Unicode code point")
        # A surrogate is no error to Loki and Prometheus: each half becomes U+FFFD, and nothing matches any more.
        return ("\ufffd" if 0xD800 <= code < 0xE000 else chr(code)).encode(), end
    if letter in "01234567":
        code = _number(body[at : at + 3], 3, 8)
        if code > 255:
            raise BadLiteral("invalid syntax")
        return bytes([code]), at + 3
    raise BadLiteral(f"unknown escape sequence U+{ord(letter):04X} {letter!r}")


def _number(digits: str, length: int, base: int) -> int:
    allowed = "0123456789abcdef"[:base]
    if len(digits) != length or any(digit not in allowed for digit in digits.lower()):
        raise BadLiteral("invalid syntax")
    return int(digits, base)


class BadPattern(ValueError):
    """A regular expression that RE2 refuses; the text is RE2's reason."""


_GO_REASONS = {
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid character class range": "invalid character class range",
    "invalid escape sequence": "invalid escape sequence",
    "trailing \\": "trailing backslash at end of expression",
    "invalid perl operator": "invalid or unsupported Perl syntax",
}


def _as_go_says(exc: Exception) -> str:
    """Return RE2's reason in the words of Go's regexp, which is what the real servers use."""
    raw = exc.args[0] if exc.args else "invalid"
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    reason, colon, at = text.partition(": ")
    go = _GO_REASONS.get(reason, reason)
    return f"{go}: `{at if colon else ''}`"


def compile_pattern(pattern: str, *, dot_all: bool = False) -> Any:
    """Compile RE2; raises BadPattern."""
    try:
        compiled = re2.compile(pattern, _OPTIONS)
    except re2.error as exc:
        raise BadPattern(_as_go_says(exc)) from exc
    return re2.compile(f"(?s:{pattern})", _OPTIONS) if dot_all else compiled


@dataclass(frozen=True, slots=True)
class Matcher:
    """One ``name op "value"``; regular expressions are RE2 and fully anchored."""

    name: str
    op: str
    value: str
    _compiled: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def build(cls, name: str, op: str, value: str) -> Matcher:
        """Make a matcher; raises BadPattern where it has none."""
        return cls(name, op, value, compile_pattern(value, dot_all=True) if "~" in op else None)

    def accepts(self, value: str) -> bool:
        """Whether a label of this value passes; a label that is absent has the value ``""``."""
        match self.op:
            case "=":
                return value == self.value
            case "!=":
                return value != self.value
            case "=~":
                return self._compiled.fullmatch(value) is not None
            case _:
                return self._compiled.fullmatch(value) is None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether a label set passes."""
        return self.accepts(labels.get(self.name, ""))
