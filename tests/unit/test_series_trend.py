"""A host's and a target's incident say which file system, which URL, since when, and when it will be full."""

from __future__ import annotations

from datetime import UTC, datetime

from sreops.domain.causes.state_signs import metric_signs
from sreops.domain.evidence.evidence import Series, SeriesSet
from sreops.domain.evidence.findings import metric, number
from sreops.domain.evidence.golden_signals import Signal, choose
from sreops.domain.evidence.series_trend import course

START = datetime(2026, 11, 30, 6, tzinfo=UTC)
NODE = (
    "node_filesystem_avail_bytes", "node_filesystem_size_bytes", "node_load1", "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes", "node_cpu_seconds_total", "node_boot_time_seconds", "up",
)  # fmt: skip
BLACKBOX = (
    "probe_success", "probe_duration_seconds", "probe_http_status_code", "probe_ssl_earliest_cert_expiry",
)  # fmt: skip


def signal(labels: dict[str, str], names: tuple[str, ...], wanted: str) -> Signal:
    return next(one for one in choose(labels, names) if one.id == wanted)


def minutes(*values: float) -> tuple[tuple[float, float], ...]:
    return tuple((START.timestamp() + 60 * place, value) for place, value in enumerate(values))


def series(points: tuple[tuple[float, float], ...], **labels: str) -> Series:
    return Series(labels=labels, points=points)


def test_a_hosts_signals_are_its_disk_memory_cpu_load_and_boot() -> None:
    found = choose({"instance": "h1:9100"}, NODE)
    assert {one.id for one in found} == {"up", "disk", "node_memory", "node_cpu", "load", "started"}
    load = next(one for one in found if one.id == "load")
    assert load.limit == 'count(node_cpu_seconds_total{instance="h1:9100",mode="idle"})'


def test_a_targets_signals_are_its_probe_its_status_its_duration_and_its_certificate() -> None:
    found = choose({"instance": "https://shop.example"}, BLACKBOX)
    assert [one.id for one in found] == ["probe", "http_status", "probe_duration", "certificate"]


def test_of_several_file_systems_the_fullest_is_told_by_name_since_when_and_when_it_is_full() -> None:
    disk = signal({"instance": "h1:9100"}, NODE, "disk")
    var = series(minutes(0.80, 0.84, 0.88, 0.92, 0.96), mountpoint="/var")
    root = series(minutes(0.1, 0.5, 0.5, 0.5, 0.5), mountpoint="/")
    limit = SeriesSet(query="vector(1)", series=(series(minutes(1.0)),))
    [told] = number([metric(disk, SeriesSet(query="q", series=(root, var)), START, limit=limit)])
    assert told.data["of"] == "/var"
    assert "share in use of file system /var rose from 80 % to 96 %" in told.finding
    assert "the worst of 2 series, since 2026-11-30 06:03:00 UTC" in told.finding
    assert "at this rate it is full at 2026-11-30 06:05:00 UTC" in told.finding
    assert [sign.name for sign in metric_signs([told])] == ["96% of file system /var is in use"]


def test_a_probe_that_fails_says_since_when_and_one_that_never_worked_says_at_least() -> None:
    probe = signal({"instance": "https://shop.example"}, BLACKBOX, "probe")
    fell = metric(probe, SeriesSet(query="q", series=(series(minutes(1, 1, 0, 0)),)), START)
    assert fell.finding == "the probe succeeds fell from 1 to 0, since 2026-11-30 06:02:00 UTC"
    never = metric(probe, SeriesSet(query="q", series=(series(minutes(0, 0, 0)),)), START)
    assert never.finding.endswith("since at least 2026-11-30 06:00:00 UTC")
    works = metric(probe, SeriesSet(query="q", series=(series(minutes(0, 1, 1)),)), START)
    assert "since" not in works.finding


def test_what_does_not_fill_up_is_not_said_to_be_full_one_day() -> None:
    disk = signal({"instance": "h1:9100"}, NODE, "disk")
    assert course(disk, minutes(0.5, 0.5, 0.5, 0.5)) == {}
    assert course(disk, minutes(0.7, 0.6, 0.5, 0.4)) == {}
    assert course(disk, ()) == {}
    assert set(course(disk, minutes(1.0, 1.0, 1.0))) == {"since"}
