"""The tokens of PromQL, and how Prometheus words a syntax error."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*(?![a-zA-Z0-9_]))
    |(?P<number>0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![a-zA-Z0-9_]))
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<op>==|!=|=~|!~|>=|<=|[-+*/%^()\[\]{},=<>:@])""",
    re.VERBOSE,
)
_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


class PromQLError(Exception):
    """A query that Prometheus refuses as bad data; the text follows ``invalid parameter "query": ``."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token, and where it begins."""

    kind: str
    text: str
    at: int


def parse_duration_s(text: str) -> float:
    """Seconds of a duration such as ``1h30m``; raises ValueError."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a valid duration string: {text!r}")
    return float(sum(int(number) * _UNIT_S[unit] for number, unit in parts))


def syntax_error(query: str, message: str, at: int) -> PromQLError:
    """Word a refusal, with line and column of the place."""
    before = query[:at]
    line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
    return PromQLError(f"{line}:{column}: parse error: {message}")


def scan(query: str) -> list[Token]:
    """Split a query into tokens, the last of them its end; raises PromQLError."""
    tokens: list[Token] = []
    at = 0
    while at < len(query):
        found = _TOKEN.match(query, at)
        if found is None:
            char = query[at]
            if char in "\"'`":
                raise syntax_error(query, "unterminated quoted string", at)
            if char.isdigit():
                raise syntax_error(query, "bad number or duration syntax", at)
            raise syntax_error(query, f"unexpected character: {char!r}", at)
        if found.lastgroup != "space":
            tokens.append(Token(found.lastgroup or "", found.group(), at))
        at = found.end()
    tokens.append(Token("end", "end of input", len(query)))
    return tokens
