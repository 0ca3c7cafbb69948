"""Whatever text becomes a label value stays one: nothing of it is read as query."""

import re

import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sreops.domain.text.quoting import (
    is_quotable,
    logql_fields,
    logql_selector,
    promql_duration,
    promql_selector,
    promql_string,
    regex_literal,
)
from sreops.errors import QueryRefused
from sreops.sandbox.loki.logql import parse_selector
from sreops.sandbox.promql.parser import parse as parse_promql

ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v", "\\": "\\", '"': '"'}
quotable = st.text().filter(is_quotable)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True)


def go_string(text: str) -> tuple[str, str]:
    """Read an interpreted string literal by the Go specification; return its value and what follows it."""
    assert text[0] == '"'
    value, at = "", 1
    while text[at] != '"':
        character = text[at]
        assert character not in "\n\ufffd\x00", "Go and Prometheus' lexer refuse these raw"
        if character != "\\":
            value, at = value + character, at + 1
            continue
        letter = text[at + 1]
        if letter in ESCAPES:
            value, at = value + ESCAPES[letter], at + 2
        else:
            digits = {"x": 2, "u": 4, "U": 8}[letter]
            hexadecimal = text[at + 2 : at + 2 + digits]
            assert re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", hexadecimal)
            code = int(hexadecimal, 16)
            assert not 0xD800 <= code < 0xE000, "Go refuses halves of surrogate pairs"
            value, at = value + chr(code), at + 2 + digits
    return value, text[at + 1 :]


def selector(text: str) -> tuple[str, dict[str, str], str]:
    """Read ``metric{a="b",c="d"}``; return the metric, the matchers and what follows."""
    metric, _, rest = text.partition("{")
    found: dict[str, str] = {}
    while not rest.startswith("}"):
        name, _, rest = rest.removeprefix(",").partition("=")
        assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
        found[name], rest = go_string(rest)
    return metric, found, rest[1:]


@given(quotable)
@example('"} or vector(1) #')
@example('x",b="y')
@example("\\")
@example("\n`'\"\\\u2028\ufffd\x7f\U0001f600")
def test_a_literal_reads_back_as_exactly_its_text_and_nothing_follows(value):
    assert go_string(promql_string(value)) == (value, "")


@given(st.dictionaries(names, quotable, min_size=1, max_size=5))
def test_a_selector_reads_back_as_exactly_its_labels_and_nothing_follows(labels):
    assert selector(promql_selector("up", labels)) == ("up", labels, "")
    if any(labels.values()):
        assert selector(logql_selector(labels)) == ("", labels, "")


@given(st.dictionaries(names, quotable.filter(bool), min_size=1, max_size=4))
@settings(max_examples=60)
def test_the_sandbox_parsers_read_the_same_labels(labels):
    matchers = parse_selector(logql_selector(labels))
    assert {m.name: m.value for m in matchers} == labels
    assert all(m.op == "=" for m in matchers)
    parsed = parse_promql(promql_selector("up", labels))
    assert {(m.name, m.op, m.value) for m in parsed.matchers} >= {(name, "=", v) for name, v in labels.items()}


@pytest.mark.parametrize("value", ["\x00", "a\x00b", "\ud800", "x\udfff", "\ud83d\ude00"[0]])
def test_nul_and_half_surrogates_are_refused_with_their_place(value):
    with pytest.raises(QueryRefused, match="U\\+"):
        promql_string(value)
    with pytest.raises(QueryRefused, match="cannot stand in a query"):
        logql_selector({"container": value})


@pytest.mark.parametrize("name", ["", "a-b", "a.b", "1a", 'a="b",c', "a}", "ä", "a\n", "__name__ "])
def test_what_is_no_label_name_is_refused_and_not_left_out(name):
    with pytest.raises(QueryRefused, match="label name"):
        promql_selector("up", {name: "x"})
    with pytest.raises(QueryRefused, match="label name"):
        logql_selector({"ok": "x", name: "y"})


@pytest.mark.parametrize("metric", ["", "a b", "up{", "1up", "up\n", "um-hm"])
def test_what_is_no_metric_name_is_refused(metric):
    with pytest.raises(QueryRefused, match="metric name"):
        promql_selector(metric, {})


@pytest.mark.parametrize("labels", [{}, {"a": ""}, {"a": "", "b": ""}])
def test_a_selector_that_selects_everything_is_refused(labels):
    with pytest.raises(QueryRefused, match="needs"):
        logql_selector(labels)
    with pytest.raises(QueryRefused, match="needs"):
        promql_selector(None, labels)


@given(quotable, quotable)
def test_an_escaped_pattern_matches_its_text_only(value, other):
    pattern = re2.compile("(?s:" + regex_literal(value) + ")")
    assert pattern.fullmatch(value)
    assert bool(pattern.fullmatch(other)) == (other == value)


def test_patterns_of_ours_stand_beside_quoted_labels():
    assert (
        promql_selector("http_requests_total", {"service": 'a"b'}, patterns={"status": "5.."})
        == r'http_requests_total{service="a\"b",status=~"5.."}'
    )
    assert promql_selector("up", {}) == "up"
    assert promql_selector(None, {"a": "b"}, patterns={"c": "d"}) == '{a="b",c=~"d"}'


def test_durations_are_whole_seconds_and_never_zero():
    assert [promql_duration(s) for s in (300.0, 0.2, 90.4)] == ["300s", "1s", "90s"]


def test_a_dotted_name_is_quoted_for_prometheus_and_refused_for_loki():
    assert promql_selector("up", {"service.name": "x", "job": "y"}, utf8=True) == 'up{job="y","service.name"="x"}'
    assert promql_selector(None, {'a"b': "x"}, utf8=True) == '{"a\\"b"="x"}'
    with pytest.raises(QueryRefused):
        logql_selector({"service.name": "x"})
    with pytest.raises(QueryRefused):
        promql_selector("up", {"": "x"}, utf8=True)


def test_patterns_alone_make_a_log_selector_and_fields_are_filters_with_their_values_quoted():
    assert logql_selector({}, {"container": "/?x"}) == '{container=~"/?x"}'
    assert logql_fields({"b": 'x"y', "a": "1"}) == ' | a="1" | b="x\\"y"'
    with pytest.raises(QueryRefused):
        logql_fields({'a="x" or b': "1"})
