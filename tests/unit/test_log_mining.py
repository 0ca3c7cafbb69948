import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from development_cases import CASES
from growth import assert_linear
from sreops.domain.evidence.evidence import LogLine
from sreops.domain.evidence.log_mining import MASK, entries, excerpt, mask, severity

T0 = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
HOLMES = CASES / "holmesgpt"


def line(text: str, at_s: float = 0, **labels: str) -> LogLine:
    return LogLine(at=T0 + timedelta(seconds=at_s), text=text, labels=labels)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 12 ms", "took 9841 ms"),
        ("from 10.0.0.1:443", "from 192.168.7.9:8080"),
        ("id 6f1f6c1e-0c6e-5d39-9a55-6f5d0c1c0a11 ok", "id 00000000-1111-2222-3333-444444444444 ok"),
        ("2026-01-15T12:00:00.123Z start", "2025-12-31T23:59:59Z start"),
        ("2026-01-15 12:00:00,123 start", "2025-12-31 23:59:59,001 start"),
        ("addr 0x7ffde3", "addr 0x1a"),
        ("pod web-5f8b576878-slnpb ready", "pod web-7c9d4b6f55-x2x9z ready"),
        ('user "alice" logged in', 'user "bob" logged in'),
        ("\x1b[37mGET /a 12\x1b[0m", "GET /a 15"),
        ("ids [1, 2, 3]", "ids [7, 8, 9, 10, 11]"),
    ],
)
def test_what_varies_is_masked(one, other):
    assert mask(one) == mask(other)
    assert MASK in mask(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("dial redis:6379 refused", "dial postgres:5432 refused"),
        ('"GET / HTTP/1.1" 200 12', '"GET / HTTP/1.1" 500 12'),
        ('{"level":30,"msg":"done"}', '{"level":50,"msg":"done"}'),
        ('{"statusCode":200}', '{"statusCode":503}'),
        ("t.c.Travel2Controller x", "f.m.Basic2Service x"),
    ],
)
def test_what_tells_a_failure_or_a_place_apart_stays(one, other):
    assert mask(one) != mask(other)


def test_severity_is_read_from_words_levels_and_statuses():
    assert severity("FATAL: no space left on device") == 4
    assert severity("java.io.FileNotFoundException: x") == 3
    assert severity('{"level":50,"msg":"x"}') == 3
    assert severity("level=warn slow") == 2
    assert severity("DEBUG polling") == -1
    assert severity("request completed") == 0


def test_one_rare_line_without_any_error_word_is_kept_among_many():
    lines = [line(f"request {i} completed in {i % 90} ms", i * 0.01) for i in range(5000)]
    lines.insert(3000, line("switching to read-only mode", 30))
    found = excerpt(lines, T0 + timedelta(seconds=40), 1500)
    assert "switching to read-only mode" in found.text
    assert (found.total, found.templates) == (5001, 2)
    assert len(found.text) <= 1500


def test_first_and_last_of_a_kind_are_kept_with_their_count():
    lines = [line(f"pool exhausted: {i} waiting", i) for i in range(1, 41)]
    found = excerpt(lines, T0, 2000)
    assert "pool exhausted: 1 waiting" in found.text
    assert "pool exhausted: 40 waiting" in found.text
    assert "pool exhausted: 20 waiting" not in found.text
    assert "40 times" in found.text
    assert found.kept == 2


def test_exact_repeats_are_told_by_count_and_shown_once():
    found = excerpt([line("Peer down", i) for i in range(7)], T0, 1000)
    assert found.text.count("Peer down") == 1
    assert "7 times" in found.text


def test_a_stack_trace_stays_whole_and_counts_as_one_entry():
    trace = [
        "ERROR boom",
        "Traceback (most recent call last):",
        '  File "a.py", line 3, in f',
        "    g()",
        "ValueError: bad",
    ]
    lines = [line("ok 1"), *[line(text, 1, container="a") for text in trace], line("ok 2", 2)]
    found = excerpt(lines, T0, 2000)
    assert "\n".join(trace) in found.text
    java = ["java.lang.IllegalStateException: x", *[f"\tat a.B.m{i}(B.java:{i})" for i in range(60)],
            "Caused by: java.net.ConnectException: refused", "\tat c.D.e(D.java:9)", "\t... 12 more"]  # fmt: skip
    found = excerpt([line(text) for text in java], T0, 3000)
    assert "IllegalStateException" in found.text
    assert "Caused by: java.net.ConnectException: refused" in found.text
    assert found.templates == 1


def test_an_endless_continuation_is_parted_and_a_blank_line_ends_an_entry():
    lines = [line("head"), *[line(f"  more {i}", i) for i in range(200)]]
    found = excerpt(lines, T0, 3000)
    assert found.total == 201
    assert 1 < found.templates <= 4
    assert excerpt([line("one"), line("   "), line("two")], T0, 500).templates == 3


def test_traces_of_interleaved_streams_do_not_mix():
    lines = [
        line("ERROR first", 0, container="a"),
        line("ERROR second", 0, container="b"),
        line("  at one", 0, container="a"),
        line("  at two", 0, container="b"),
    ]
    text = excerpt(lines, T0, 2000).text
    assert "ERROR first\n  at one" in text
    assert "ERROR second\n  at two" in text


def test_a_frame_joins_its_own_entry_over_all_streams_of_its_container_and_not_a_line_of_long_ago():
    mine, others = {"container": "pay"}, {"container": "cart"}
    lines = [
        line("cache warmed", 0, **mine, level="unknown"),
        line("charge failed: NullPointerException", 37, **mine, level="error"),
        line("cart is full, Exception", 37.0, **others, level="error"),
        line("    at shop.Charge.run(Charge.java:7)", 37.001, **mine, level="unknown"),
        line("    at shop.Main.main(Main.java:3)", 37.002, **mine, level="unknown"),
        line("charged again", 37.5, **mine, level="info"),
    ]
    found = [entry.lines for entry in entries(lines)]
    assert ["cache warmed"] in found
    assert [
        "charge failed: NullPointerException",
        "    at shop.Charge.run(Charge.java:7)",
        "    at shop.Main.main(Main.java:3)",
    ] in found
    assert ["cart is full, Exception"] in found


def test_an_indented_line_of_long_after_is_an_entry_of_its_own():
    lines = [line("started", 0, container="pay"), line("    banner", 5, container="pay")]
    assert [entry.lines for entry in entries(lines)] == [["started"], ["    banner"]]


def test_what_was_not_there_before_goes_before_what_always_was():
    steady = [line(f"error: cache miss for {i}", i) for i in range(0, 600, 10)]
    fresh = [line("error: licence server unreachable", i) for i in range(400, 600, 4)]
    lines = sorted([*steady, *fresh], key=lambda one: one.at)
    found = excerpt(lines, T0 + timedelta(seconds=420), 120)
    assert "licence" in found.top[0]
    parted = excerpt(lines, T0 + timedelta(seconds=420), 120, baseline_until=T0 + timedelta(seconds=399))
    assert "licence" in parted.top[0]


def test_of_equal_lines_those_near_the_alert_come_first():
    lines = [line(f"event {name} happened", i * 60) for i, name in enumerate("abcdefghijklmnop")]
    found = excerpt(lines, T0 + timedelta(minutes=8), 120)
    assert "event i happened" in found.text


def test_a_decisive_word_in_the_middle_of_a_megabyte_is_shown():
    text = "x" * 600_000 + " fatal: disk full " + "y" * 600_000
    # beyond what a line is analysed to, but a single line is shown with what it complains of
    found = excerpt([line("a" * 50 + text[599_000:601_000])], T0, 3000)
    assert "disk full" in found.text
    assert len(excerpt([line(text)], T0, 3000).text) <= 3000


def test_a_line_that_fits_no_budget_is_cut_and_not_lost():
    assert excerpt([line("panic " + "z" * 1_000_000)], T0, 500).text.count("panic") == 1


@given(st.lists(st.text() | st.binary().map(lambda b: b.decode("latin-1")), max_size=30), st.integers(0, 5000))
@settings(max_examples=100)
def test_no_text_breaks_it_and_the_budget_holds(texts, budget):
    found = excerpt([line(text, i) for i, text in enumerate(texts)], T0, budget)
    assert len(found.text) <= budget
    assert found.total == len(texts)
    assert found.kept <= found.total
    assert "\x1b" not in found.text
    assert "\x00" not in found.text


def test_no_lines_give_an_empty_excerpt():
    found = excerpt([], T0, 1000)
    assert (found.text, found.kept, found.total, found.templates) == ("", 0, 0, 0)


def test_a_hundred_thousand_lines_take_four_times_as_long_as_a_quarter_of_them():
    kinds = [
        "2026-01-15T12:00:{i:02d}.{n:06d}Z INFO http request id={n:08x} path=/api/orders/{n} status=200 took={i}ms",
        '{{"level":30,"time":{n},"pid":1,"hostname":"web-5f8b-{n}","reqId":"req-{n}","msg":"request completed"}}',
        "cache hit for user {n} from 10.0.{i}.7:443 in region eu-west-{i}",
    ]
    texts = [kinds[n % 3].format(i=n % 60, n=n) for n in range(100_000)]
    lines = [LogLine(at=T0 + timedelta(milliseconds=i), text=t, labels={}) for i, t in enumerate(texts)]
    assert_linear(lambda size: excerpt(lines[:size], T0 + timedelta(seconds=50), 12_000), 25_000)
    assert excerpt(lines, T0 + timedelta(seconds=50), 12_000).total == 100_000


@pytest.mark.parametrize(
    "piece", ["a", "a-", "1", "1.", '"', ' "', "1,", "a_1-", "\x1b[", "[", "(1 ", "level:", "HTTP/"]
)
def test_hostile_repetition_costs_linear_time(piece):
    def work(size: int) -> None:
        excerpt([line((piece * size)[:size] + str(n), n) for n in range(100)], T0, 2000)

    assert_linear(work, 1_250)


def recorded() -> list[Path]:
    return sorted(HOLMES.glob("*.json.gz")) if HOLMES.is_dir() else []


@pytest.mark.skipif(not recorded(), reason="the recorded cases are not on this machine")
@pytest.mark.parametrize("path", recorded(), ids=lambda path: path.name.removesuffix(".json.gz"))
def test_the_decisive_line_of_a_recorded_incident_is_kept(path):
    case = json.loads(gzip.decompress(path.read_bytes()))
    patterns = [pattern for pattern, _ in case["extra"].get("decisive_log_regex") or []]
    lines = [
        LogLine(
            at=datetime.fromtimestamp(entry["ts"], UTC) if entry["ts"] else T0 + timedelta(seconds=place),
            text=entry["line"],
            labels={"service": entry["service"] or ""},
        )
        for place, entry in enumerate(case["logs"] or [])
    ]
    size = sum(len(one.text) for one in lines)
    found = excerpt(lines, max((one.at for one in lines), default=T0), 12_000)
    for pattern in patterns:
        assert re.search(pattern, found.text), f"{pattern} is gone"
    if size >= 1_000_000:
        assert len(found.text) <= 0.015 * size
