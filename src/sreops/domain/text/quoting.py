"""Quoting: the one way in which text that others wrote gets into PromQL and LogQL.

Sources: Prometheus docs/querying/basics.md and promql/parser/lex.go; Loki pkg/logql/syntax/lex.go. Both read a
double-quoted literal by Go's rules; JSON's escapes are a subset of those, as long as no surrogate pair is written.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from sreops.errors import QueryRefused

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_UNQUOTABLE = re.compile("[\x00\ud800-\udfff]")


def is_label_name(name: str) -> bool:
    """Say whether this is a label name that both query languages take without quotes."""
    return _LABEL_NAME.fullmatch(name) is not None


def is_quotable(value: str) -> bool:
    """Say whether this text can stand in a query at all."""
    return _UNQUOTABLE.search(value) is None


@lru_cache(maxsize=512)  # the same few label values stand in each of an incident's dozens of queries
def _go_string(value: str) -> str:
    found = _UNQUOTABLE.search(value)
    if found is not None:
        raise QueryRefused(
            f"text with U+{ord(found[0]):04X} at offset {found.start()} cannot stand in a query: "
            "no label value or log line holds a NUL or half a surrogate pair; drop this label"
        )
    # The default ensure_ascii=True would write emoji as surrogate pairs, which Go refuses.
    quoted = json.dumps(value, ensure_ascii=False)
    # Prometheus' lexer takes a literal U+FFFD for broken UTF-8; escaped it is a character like any other.
    return quoted.replace("\ufffd", "\\ufffd").replace("\x7f", "\\x7f")


def promql_string(value: str) -> str:
    """Return the text as a PromQL string literal; raises QueryRefused for NUL and lone surrogates."""
    return _go_string(value)


def regex_literal(value: str) -> str:
    """Return an RE2 pattern that matches exactly this text; quote it afterwards, so that backslashes double."""
    return re.escape(value)


def promql_duration(seconds: float) -> str:
    """Return a PromQL duration of at least one second, such as ``300s``."""
    return f"{max(1, round(seconds))}s"


def _matchers(labels: Mapping[str, str], patterns: Mapping[str, str], *, any_name: bool = False) -> str:
    parts = []
    for operator, wanted in (("=", labels), ("=~", patterns)):
        for name, value in sorted(wanted.items()):
            if not is_label_name(name) and not (any_name and name):
                # Leaving the matcher out would widen the query to what nobody asked about.
                raise QueryRefused(f"{name!r} is no label name ([a-zA-Z_][a-zA-Z0-9_]*): a selector cannot use it")
            shown = name if is_label_name(name) else _go_string(name)
            parts.append(f"{shown}{operator}{_go_string(value)}")
    return "{" + ",".join(parts) + "}"


def logql_selector(labels: Mapping[str, str], patterns: Mapping[str, str] | None = None) -> str:
    """Return ``{name="value",…}``, sorted by name; ``patterns`` are RE2 matchers that we wrote ourselves.

    Raises QueryRefused where Loki would: it wants one matcher at least that cannot match the empty string, and takes
    no names with dots.
    """
    if not any(labels.values()) and not patterns:
        raise QueryRefused(f"a LogQL selector needs a label with a value; got {dict(labels)!r}")
    return _matchers(labels, patterns or {})


def logql_fields(fields: Mapping[str, str]) -> str:
    """Return filters on fields, of structured metadata or of a parsed line: each has exactly this value."""
    if wrong := next((name for name in fields if not is_label_name(name)), None):
        raise QueryRefused(f"{wrong!r} is no name of a field ([a-zA-Z_][a-zA-Z0-9_]*): a filter cannot use it")
    return "".join(f" | {name}={_go_string(value)}" for name, value in sorted(fields.items()))


def logql_filters(contains: Sequence[str], excludes: Sequence[str] = ()) -> str:
    """Return line filters: each text of ``contains`` stands in the line, none of ``excludes``; empty ones are none."""
    wanted = [("|=", text) for text in contains] + [("!=", text) for text in excludes]
    return "".join(f" {operator} {_go_string(text)}" for operator, text in wanted if text)


def logql_pattern(pattern: str) -> str:
    """Return a line filter: the RE2 pattern, which its author wrote for us to match with, is found in the line."""
    return f" |~ {_go_string(pattern)}"


def is_metric_name(name: str) -> bool:
    """Say whether this is a metric name that PromQL takes without quotes."""
    return _METRIC_NAME.fullmatch(name) is not None


def promql_selector(
    metric: str | None, labels: Mapping[str, str], *, patterns: Mapping[str, str] | None = None, utf8: bool = False
) -> str:
    """Return ``metric{name="value",…}``, sorted by name; ``patterns`` are RE2 matchers that we wrote ourselves.

    ``utf8`` quotes names with dots, which Prometheus understands from 3.0 on: only for servers that have such names.
    Raises QueryRefused for names that are none, and where Prometheus would refuse the selector as too wide.
    """
    if metric is None:
        if not any(labels.values()) and not patterns:
            raise QueryRefused(f"a PromQL selector needs a metric or a label with a value; got {dict(labels)!r}")
        return _matchers(labels, patterns or {}, any_name=utf8)
    if _METRIC_NAME.fullmatch(metric) is None:
        raise QueryRefused(f"{metric!r} is no metric name ([a-zA-Z_:][a-zA-Z0-9_:]*): a selector cannot use it")
    return metric + (_matchers(labels, patterns or {}, any_name=utf8) if labels or patterns else "")
