"""Parse the part of PromQL that the sandbox's Prometheus speaks, with Prometheus's own words for refusals.

Left out: subqueries, ``@``, quoted UTF-8 names, native histograms; they are refused like a syntax error.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Literal

from sreops.sandbox.matchers import BadLiteral, BadPattern, Matcher, unquote
from sreops.sandbox.promql.tokens import PromQLError, Token, parse_duration_s, scan, syntax_error
from sreops.sandbox.promql.tree import (
    AGGREGATORS,
    COMPARISONS,
    PARAMETRIC,
    SET_OPERATORS,
    SIGNATURES,
    Aggregate,
    Binary,
    Call,
    Kind,
    Matching,
    Negate,
    Node,
    Number,
    Selector,
    Text,
)

_PRECEDENCE = {"or": 1, "and": 2, "unless": 2, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
_PRECEDENCE.update(dict.fromkeys(COMPARISONS, 3))
_NO_NAMES = ("bool", "on", "ignoring", "group_left", "group_right")
"""Keywords that can't also be a metric's name; ``by``, ``sum`` or ``offset`` can."""
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def parse(query: str) -> Node:
    """Parse and check the types of a query; raises PromQLError."""
    parser = _Parser(query)
    if parser.peek().kind == "end":
        raise PromQLError("unknown position: parse error: no expression found in input")
    node = parser.expression(0)
    if parser.peek().kind != "end":
        raise parser.unexpected()
    return node


def parse_selector(query: str) -> tuple[Matcher, ...]:
    """Parse a bare series selector, as ``match[]`` takes it."""
    node = parse(query)
    if not isinstance(node, Selector) or node.range_s or node.offset_s:
        raise PromQLError(f"1:1: parse error: {query!r} is no series selector")
    return node.matchers


class _Parser:
    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = scan(query)
        self._at = 0

    def error(self, message: str, at: int) -> PromQLError:
        return syntax_error(self._query, message, at)

    def peek(self) -> Token:
        return self._tokens[self._at]

    def _advance(self) -> Token:
        token = self.peek()
        self._at += 1
        return token

    def unexpected(self, context: str = "") -> PromQLError:
        token = self.peek()
        name = "end of input" if token.kind == "end" else f'"{token.text}"'
        where = f" in {context}" if context else ""
        return self.error(f"unexpected {name}{where}", token.at)

    def _is(self, *texts: str) -> bool:
        return self.peek().kind in ("op", "name") and self.peek().text.lower() in texts

    def _take(self, text: str, context: str = "") -> Token:
        if not self._is(text):
            raise self.unexpected(context)
        return self._advance()

    def expression(self, floor: int) -> Node:
        left = self._unary()
        while self._is(*_PRECEDENCE):
            token = self.peek()
            operator = token.text.lower()
            strength = _PRECEDENCE[operator]
            if strength < floor:
                break
            self._advance()
            return_bool = False
            if self._is("bool"):
                if operator not in COMPARISONS:
                    raise self.error("bool modifier can only be used on comparison operators", token.at)
                self._advance()
                return_bool = True
            matching = self._matching()
            right = self.expression(strength if operator == "^" else strength + 1)
            left = self._binary(operator, left, right, return_bool, matching, token.at)
        return left

    def _binary(self, operator: str, left: Node, right: Node, return_bool: bool, matching: Matching, at: int) -> Binary:
        for side in (left, right):
            if side.kind not in (Kind.SCALAR, Kind.VECTOR):
                raise self.error("binary expression must contain only scalar and instant vector types", at)
        scalars = [left.kind, right.kind].count(Kind.SCALAR)
        if operator in SET_OPERATORS and scalars:
            raise self.error(f'set operator "{operator}" not allowed in binary scalar expression', at)
        if operator in COMPARISONS and scalars == 2 and not return_bool:
            raise self.error("comparisons between scalars must use BOOL modifier", at)
        if operator in SET_OPERATORS and matching.group:
            raise self.error(f'no grouping allowed for "{operator}" operation', at)
        if scalars and (matching.on or matching.labels):
            raise self.error("vector matching only allowed between instant vectors", at)
        kind = Kind.SCALAR if scalars == 2 else Kind.VECTOR
        return Binary(operator, left, right, return_bool, matching, kind)

    def _matching(self) -> Matching:
        if not self._is("on", "ignoring"):
            return Matching()
        on = self._advance().text.lower() == "on"
        labels = self._labels()
        group: Literal["", "left", "right"] = ""
        include: tuple[str, ...] = ()
        if self._is("group_left", "group_right"):
            group = "left" if self._advance().text.lower() == "group_left" else "right"
            include = self._labels() if self._is("(") else ()
        return Matching(labels, on, group, include)

    def _labels(self) -> tuple[str, ...]:
        self._take("(", "grouping opts")
        names: list[str] = []
        while not self._is(")"):
            token = self._advance()
            if token.kind not in ("name", "duration") or not _LABEL.fullmatch(token.text):
                self._at -= 1
                raise self.unexpected("grouping opts")
            names.append(token.text)
            if not self._is(")"):
                self._take(",", "grouping opts")
        self._take(")")
        return tuple(names)

    def _unary(self) -> Node:
        if not self._is("-", "+"):
            return self._modified(self._primary())
        token = self._advance()
        # Binds looser than ^ and tighter than *: -2 ^ 2 is -4.
        inner = self.expression(_PRECEDENCE["^"])
        if inner.kind not in (Kind.SCALAR, Kind.VECTOR):
            raise self.error("unary expression only allowed on expressions of type scalar or instant vector", token.at)
        return Negate(inner) if token.text == "-" else inner

    def _modified(self, node: Node) -> Node:
        if self._is("["):
            at = self._advance().at
            if not isinstance(node, Selector) or node.range_s or node.offset_s:
                raise self.error("ranges only allowed for vector selectors", at)
            node = replace(node, range_s=self._duration())
            self._take("]", "matrix selector")
        if self._is("offset"):
            at = self._advance().at
            if not isinstance(node, Selector):
                raise self.error("offset modifier must be preceded by an instant vector selector", at)
            sign = -1 if self._is("-") and self._advance() else 1
            node = replace(node, offset_s=sign * self._duration())
        return node

    def _duration(self) -> float:
        token = self._advance()
        if token.kind == "duration":
            seconds = parse_duration_s(token.text)
        elif token.kind == "number":
            seconds = float(token.text)
        else:
            self._at -= 1
            raise self.unexpected("duration")
        if seconds <= 0:
            raise self.error("duration must be greater than 0", token.at)
        return seconds

    def _primary(self) -> Node:
        token = self.peek()
        if token.kind == "number":
            self._advance()
            return Number(float(int(token.text, 16)) if token.text.startswith("0x") else float(token.text))
        if token.kind == "duration":
            self._advance()
            return Number(parse_duration_s(token.text))
        if token.kind == "string":
            return Text(self._string())
        if self._is("("):
            self._advance()
            inner = self.expression(0)
            self._take(")")
            return inner
        if self._is("{"):
            return self._selector("", token.at)
        if token.kind == "name":
            return self._named()
        raise self.unexpected()

    def _named(self) -> Node:
        token = self._advance()
        lowered = token.text.lower()
        if lowered in AGGREGATORS and self._is("(", "by", "without"):
            return self._aggregate(lowered, token.at)
        if self._is("("):
            return self._call(token)
        if lowered in _NO_NAMES:
            self._at -= 1
            raise self.unexpected()
        if lowered in ("inf", "nan"):
            return Number(math.inf if lowered == "inf" else math.nan)
        return self._selector(token.text, token.at)

    def _aggregate(self, operator: str, at: int) -> Aggregate:
        without, grouped = False, False
        grouping: tuple[str, ...] = ()
        if self._is("by", "without"):
            without, grouping, grouped = self._advance().text.lower() == "without", self._labels(), True
        arguments = self._arguments()
        if not grouped and self._is("by", "without"):
            without, grouping = self._advance().text.lower() == "without", self._labels()
        wanted = 2 if operator in PARAMETRIC else 1
        if len(arguments) != wanted:
            raise self.error(
                f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(arguments)}",
                at,
            )
        self._expect(arguments[-1], Kind.VECTOR, "aggregation expression", at)
        if wanted == 2:
            self._expect(arguments[0], Kind.SCALAR, "aggregation parameter", at)
        return Aggregate(operator, arguments[-1], arguments[0] if wanted == 2 else None, grouping, without)

    def _expect(self, node: Node, kind: Kind, context: str, at: int) -> None:
        if node.kind is not kind:
            raise self.error(f"expected type {kind} in {context}, got {node.kind}", at)

    def _arguments(self) -> list[Node]:
        self._take("(")
        arguments: list[Node] = []
        while not self._is(")"):
            arguments.append(self.expression(0))
            if not self._is(")"):
                self._take(",")
        self._take(")")
        return arguments

    def _call(self, token: Token) -> Call:
        signature = SIGNATURES.get(token.text)
        if signature is None:
            raise self.error(f'unknown function with name "{token.text}"', token.at)
        kinds, optional, result = signature
        arguments = self._arguments()
        if not len(kinds) - optional <= len(arguments) <= len(kinds):
            raise self.error(
                f'expected {len(kinds)} argument(s) in call to "{token.text}", got {len(arguments)}', token.at
            )
        for argument, kind in zip(arguments, kinds, strict=False):
            self._expect(argument, kind, f'call to function "{token.text}"', token.at)
        return Call(token.text, tuple(arguments), result, token.at)

    def _selector(self, name: str, at: int) -> Selector:
        matchers = [Matcher.build("__name__", "=", name)] if name else []
        if self._is("{"):
            self._advance()
            while not self._is("}"):
                matchers.append(self._matcher())
                if not self._is("}"):
                    self._take(",", "label matching")
            self._take("}")
        if all(matcher.accepts("") for matcher in matchers):
            raise self.error("vector selector must contain at least one non-empty matcher", at)
        return Selector(tuple(matchers), at)

    def _matcher(self) -> Matcher:
        token = self._advance()
        if token.kind not in ("name", "duration") or not _LABEL.fullmatch(token.text):
            self._at -= 1
            raise self.unexpected('label matching, expected identifier or "}"')
        operator = self.peek().text
        if not self._is("=", "!=", "=~", "!~"):
            raise self.unexpected("label matching, expected label matching operator")
        self._advance()
        if self.peek().kind != "string":
            raise self.unexpected("label matching, expected string")
        at = self.peek().at
        try:
            return Matcher.build(token.text, operator, self._string())
        except BadPattern as exc:
            raise self.error(f"error parsing regexp: {exc}", at) from exc

    def _string(self) -> str:
        token = self._advance()
        try:
            return unquote(token.text)
        except BadLiteral as exc:
            raise self.error(str(exc), token.at) from exc
