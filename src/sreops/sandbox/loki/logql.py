"""The part of LogQL that the sandbox's Loki speaks, and Loki's own words for what it refuses.

Selectors (``=``, ``!=``, ``=~``, ``!~``), line filters (``|=``, ``!=``, ``|~``, ``!~``, with ``or``), label
filters on strings, and metric queries: ``count_over_time``, ``rate``, ``bytes_over_time``, ``bytes_rate``
under any depth of ``sum``, ``avg``, ``min``, ``max``, ``count``, ``topk``, ``bottomk`` with ``by`` or ``without``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sreops.sandbox.loki.logql_tree import (
    Expr,
    LabelFilter,
    LineFilter,
    LogExpr,
    MetricExpr,
    RangeExpr,
    VectorExpr,
)
from sreops.sandbox.matchers import BadLiteral, BadPattern, Matcher, compile_pattern, unquote

RANGE_FUNCTIONS = ("count_over_time", "rate", "bytes_over_time", "bytes_rate")
VECTOR_OPERATORS = ("sum", "avg", "min", "max", "count", "topk", "bottomk")
_TAKES_NUMBER = ("topk", "bottomk")

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    |(?P<duration>\d+(?:\.\d+)?(?:ns|us|µs|ms|[smhdwy])(?:\d+(?:ns|us|µs|ms|[smhdwy]))*)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)
    |(?P<op>\|=|\|~|!=|!~|=~|==|[{}()\[\],=|.+*/%^<>:-])""",
    re.VERBOSE,
)
_UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 604800 * 10**9,
    "y": 31536000 * 10**9,
}
_KINDS = {"string": "STRING", "duration": "DURATION", "number": "NUMBER", "name": "IDENTIFIER"}


class LogQLError(Exception):
    """A query that Loki refuses; the text is the body of its 400."""


def parse_error(message: str, line: int = 0, col: int = 0) -> LogQLError:
    """Word a refusal as Loki does (LK:pkg/logqlmodel/error.go)."""
    place = f" at line {line}, col {col}" if line or col else " "
    return LogQLError(f"parse error{place}: {message}")


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of a duration such as ``1h30m``; raises ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a valid duration string: {text!r}")
    return sum(int(float(number) * _UNIT_NS[unit]) for number, unit in parts)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int
    col: int


def _tokens(query: str) -> list[_Token]:
    tokens: list[_Token] = []
    at, line, line_start = 0, 1, 0
    while at < len(query):
        found = _TOKEN.match(query, at)
        col = at - line_start + 1
        if found is None:
            if query[at] in "\"`'":
                # LogQL knows no single quotes: Go's scanner takes them for a character literal.
                raise parse_error("invalid char literal" if query[at] == "'" else "literal not terminated", line, col)
            raise parse_error(f"syntax error: unexpected character {query[at]!r}", line, col)
        kind = found.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, found.group(), line, col))
        newlines = found.group().count("\n")
        if newlines:
            line += newlines
            line_start = at + found.group().rindex("\n") + 1
        at = found.end()
    tokens.append(_Token("end", "$end", line, len(query) - line_start + 1))
    return tokens


def parse(query: str) -> Expr:
    """Parse a query; raises LogQLError with the body that Loki would answer."""
    if not query:
        raise parse_error("syntax error: unexpected $end")
    parser = _Parser(_tokens(query))
    expr = parser.expr()
    parser.expect_end()
    return expr


def parse_selector(query: str) -> tuple[Matcher, ...]:
    """Parse a bare selector, as ``match[]`` and the label endpoints take it."""
    parser = _Parser(_tokens(query))
    matchers = parser.selector()
    parser.expect_end()
    return matchers


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _advance(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _unexpected(self, token: _Token, expecting: str = "") -> LogQLError:
        name = _KINDS.get(token.kind, token.text)
        wanted = f", expecting {expecting}" if expecting else ""
        return parse_error(f"syntax error: unexpected {name}{wanted}", token.line, token.col)

    def _take(self, text: str) -> _Token:
        if self._next.text != text or self._next.kind == "string":
            raise self._unexpected(self._next, text)
        return self._advance()

    def _take_kind(self, kind: str) -> _Token:
        if self._next.kind != kind:
            raise self._unexpected(self._next, _KINDS[kind])
        return self._advance()

    def _is(self, *texts: str) -> bool:
        return self._next.kind in ("op", "name") and self._next.text in texts

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise self._unexpected(self._next)

    def expr(self) -> Expr:
        if self._is("{"):
            return self._log()
        if self._is("("):
            self._advance()
            inner = self.expr()
            self._take(")")
            return inner
        return self._metric()

    def _metric(self) -> MetricExpr:
        if self._is("("):
            self._advance()
            inner = self._metric()
            self._take(")")
            return inner
        if self._is(*RANGE_FUNCTIONS):
            return self._range(self._advance().text)
        if self._is(*VECTOR_OPERATORS):
            return self._vector(self._advance().text)
        raise self._unexpected(self._next)

    def _range(self, function: str) -> RangeExpr:
        self._take("(")
        matchers = self.selector()
        # The window may stand after the selector or after the whole pipeline.
        range_ns = self._window() if self._is("[") else None
        log = LogExpr(matchers, self._stages())
        if range_ns is None:
            range_ns = self._window()
        self._take(")")
        return RangeExpr(function, log, range_ns)

    def _window(self) -> int:
        if not self._is("["):
            raise self._unexpected(self._next)
        self._advance()
        token = self._take_kind("duration")
        self._take("]")
        return parse_duration_ns(token.text)

    def _vector(self, operator: str) -> VectorExpr:
        mode, grouping = self._grouping()
        self._take("(")
        number = 0
        if operator in _TAKES_NUMBER:
            number = int(float(self._take_kind("number").text))
            self._take(",")
        inner = self._metric()
        self._take(")")
        if not mode:
            mode, grouping = self._grouping()
        return VectorExpr(operator, inner, grouping, mode, number)

    def _grouping(self) -> tuple[Literal["by", "without", ""], tuple[str, ...]]:
        if not self._is("by", "without"):
            return "", ()
        mode: Literal["by", "without"] = "by" if self._advance().text == "by" else "without"
        self._take("(")
        names: list[str] = []
        while not self._is(")"):
            names.append(self._take_kind("name").text)
            if not self._is(")"):
                self._take(",")
        self._take(")")
        return mode, tuple(names)

    def _log(self) -> LogExpr:
        return LogExpr(self.selector(), self._stages())

    def selector(self) -> tuple[Matcher, ...]:
        self._take("{")
        matchers: list[Matcher] = []
        while not self._is("}"):
            matchers.append(self._matcher())
            if not self._is("}", ","):
                raise self._unexpected(self._next, "} or ,")
            if self._is(","):
                self._advance()
        self._take("}")
        if all(matcher.accepts("") for matcher in matchers):
            raise parse_error(
                "queries require at least one regexp or equality matcher that does not have an "
                'empty-compatible value. For instance, app=~".*" does not meet this requirement, '
                'but app=~".+" will'
            )
        return tuple(matchers)

    def _matcher(self) -> Matcher:
        name = self._take_kind("name")
        op = self._advance()
        if op.kind != "op" or op.text not in ("=", "!=", "=~", "!~"):
            raise self._unexpected(op, "= or =~ or !~ or !=")
        value = self._string()[0]
        try:
            return Matcher.build(name.text, op.text, value)
        except BadPattern as exc:
            raise parse_error(f"error parsing regexp: {exc}") from exc

    def _string(self) -> tuple[str, _Token]:
        token = self._take_kind("string")
        try:
            return unquote(token.text), token
        except BadLiteral as exc:
            raise parse_error("invalid char escape", token.line, token.col) from exc

    def _stages(self) -> tuple[LineFilter | LabelFilter, ...]:
        stages: list[LineFilter | LabelFilter] = []
        while self._is("|=", "|~", "!=", "!~", "|"):
            if self._is("|"):
                self._advance()
                stages.append(LabelFilter(self._matcher()))
            else:
                stages.append(self._line_filter())
        return tuple(stages)

    def _line_filter(self) -> LineFilter:
        op = self._advance().text
        if self._next.kind != "string":
            raise self._unexpected(self._next, "STRING or ip")
        literals = [self._string()]
        while self._is("or"):
            self._advance()
            literals.append(self._string())
        needles = tuple(value for value, _ in literals)
        if "~" not in op:
            return LineFilter(op, needles)
        try:
            return LineFilter(op, needles, tuple(compile_pattern(needle) for needle in needles))
        except BadPattern as exc:
            raise parse_error(f"stage '{op} {literals[0][1].text}' : error parsing regexp: {exc}") from exc
