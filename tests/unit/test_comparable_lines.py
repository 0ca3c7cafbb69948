"""Log lines of several services, made comparable; and what the live ranking makes of them."""

from datetime import UTC, datetime, timedelta

from sreops.domain.evidence.evidence import LogLine, LogLines, Window
from sreops.domain.evidence.neighbours import near_labels
from sreops.domain.suspects.live import ranking_evidence, suspect
from sreops.domain.suspects.trace_flow import MOST_CHARS, comparable
from sreops.domain.text.redaction import Redactor

ALERT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
WINDOW = Window(start=ALERT - timedelta(seconds=900), end=ALERT + timedelta(seconds=30))


def lines(*told: tuple[float, str], partial: bool = False) -> LogLines:
    found = [LogLine(at=ALERT + timedelta(seconds=at), text=text) for at, text in told]
    return LogLines(query="q", lines=tuple(found), partial=partial)


def test_the_lines_of_one_service_alone_are_compared_with_nothing() -> None:
    assert comparable({"a": lines((0, "x"))}) == []
    assert comparable({"a": lines((0, "x")), "b": lines()}) == []


def test_where_a_source_was_cut_the_others_older_lines_are_left_out() -> None:
    found = comparable({"a": lines((-90, "old"), (-5, "new")), "b": lines((-10, "y"), partial=True)})
    assert [(service, text) for _, service, text in found] == [("b", "y"), ("a", "new")]
    whole = comparable({"a": lines((-90, "old")), "b": lines((-10, "y"))})
    assert [text for _, _, text in whole] == ["old", "y"]


def test_a_line_is_cut() -> None:
    assert len(comparable({"a": lines((0, "x" * 10**6)), "b": lines((0, "y"))})[0][2]) == MOST_CHARS


STEPS = (
    ("shop", "Front#10"), ("cart", "Cart#20"), ("stock", "Stock#30"), ("stock", "Stock#44"), ("shop", "Front#19"),
)  # fmt: skip


def requests(broken: bool) -> dict[str, LogLines]:
    """160 requests through shop → cart → stock; since the alert stock's second step is missing where it is broken."""
    told: dict[str, list[tuple[float, str]]] = {"shop": [], "cart": [], "stock": []}
    for number in range(160):
        at = -200.0 + number * 1.3
        steps = [
            ("shop", "Front#10"),
            ("cart", "Cart#20"),
            ("stock", "Stock#30"),
            ("stock", "Stock#44"),
            ("shop", "Front#19"),
        ]
        for place, (service, step) in enumerate(steps):
            if broken and at > -60 and step == "Stock#44":
                continue
            told[service].append((at + place * 0.01, f"{step} did its part traceId={number:016x} spanId={place:08x}"))
    return {service: lines(*sorted(entries)) for service, entries in told.items()}


def test_a_step_that_vanished_from_a_neighbour_s_traces_makes_it_a_suspect_without_any_metric() -> None:
    services, calls = ("shop", "cart", "stock"), frozenset({("shop", "cart"), ("cart", "stock")})
    ranking = suspect([], services, calls, ALERT, WINDOW, lines=comparable(requests(broken=True)))
    item = ranking_evidence(ranking, Redactor())
    assert item.data["first"] == "stock"
    assert not item.data["abstained"]
    assert "Stock#44" in item.text
    well = suspect([], services, calls, ALERT, WINDOW, lines=comparable(requests(broken=False)))
    assert well.abstained


def test_the_neighbour_s_name_stands_where_the_service_s_own_stood() -> None:
    own = {"container": "shop-web-1", "namespace": "prod", "pod": "web-7"}
    assert near_labels(own, "db", "shop-db-1") == {"container": "shop-db-1", "namespace": "prod"}
    assert near_labels({"service": "web"}, "db", "shop-db-1") == {"service": "db"}
    assert near_labels(own, "db") == {"container": "db", "namespace": "prod"}
    assert near_labels({}, "db") == {}
    assert near_labels(own, "a\x00b") == {}
