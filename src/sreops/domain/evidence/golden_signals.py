"""Golden signals: which queries to ask about a service, chosen from the metrics that exist for its labels."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from sreops.domain.text.quoting import promql_duration, promql_selector

Unit = Literal["req/s", "/s", "ratio", "s", "bytes", "cores", "count", "bool"]
MAX_SIGNALS = 12
_STATUS_LABELS = ("status", "code", "status_code", "http_response_status_code", "http_status_code", "response_code")


@dataclass(frozen=True)
class Signal:
    """One question in PromQL. ``limit`` asks for its ceiling in the same unit, where there is one.

    ``worse`` says which direction is trouble; ``rank`` orders signals, lowest first. ``labels`` are those that
    select its series: whose they are. ``by``: it has a series for each value of this label, and the worst is told.
    """

    id: str
    title: str
    unit: Unit
    promql: str
    rank: int
    limit: str = ""
    worse: Literal["up", "down", "either"] = "up"
    labels: tuple[tuple[str, str], ...] = ()
    by: str = ""


@dataclass(frozen=True)
class _Scope:
    """The names that exist for one label set, and how to select them."""

    labels: Mapping[str, str]
    names: frozenset[str]
    range: str
    patterns: Mapping[str, str]

    def first(self, *patterns: str) -> str | None:
        """Return the first existing name that a pattern matches whole, patterns in order."""
        return next((name for pattern in patterns for name in _matching(self.names, pattern)), None)

    def all(self, pattern: str, most: int) -> Sequence[str]:
        return _matching(self.names, pattern)[:most]

    def select(self, metric: str, *, patterns: Mapping[str, str] | None = None, **labels: str) -> str:
        wanted = {**self.patterns, **(patterns or {})}
        return promql_selector(metric, {**self.labels, **labels}, patterns=wanted, utf8=True)

    def rate(self, metric: str, *, patterns: Mapping[str, str] | None = None) -> str:
        return f"sum(rate({self.select(metric, patterns=patterns)}[{self.range}]))"


@lru_cache(maxsize=256)
def _matching(names: frozenset[str], pattern: str) -> tuple[str, ...]:
    """Return the names that a pattern matches whole, in order; most services have those of many others."""
    return tuple(name for name in sorted(names) if re.fullmatch(pattern, name))


_NOT_HTTP = r"(?!alertmanager_|prometheus_|promhttp_|scrape_|net_conntrack_|go_|python_)"


def _requests_metric(scope: _Scope) -> str | None:
    return scope.first(
        r"(?:\w*_)?http_requests_total",
        rf"{_NOT_HTTP}\w*http\w*requests?\w*_(?:total|count)",
        r"\w*(?:http|request)\w*_(?:duration|latency)\w*_count",
        rf"{_NOT_HTTP}\w*requests?\w*_total",
        r"grpc_server_handled_total",
    )


def _traffic(scope: _Scope) -> Iterable[Signal]:
    metric = _requests_metric(scope)
    if metric is None:
        return
    total = scope.rate(metric)
    yield Signal("request_rate", "request rate", "req/s", total, 40, worse="either")
    if metric == "grpc_server_handled_total":
        kinds: tuple[tuple[str, str], ...] = (("grpc_code", "Unknown|Internal|Unavailable|DataLoss|DeadlineExceeded"),)
    else:
        kinds = tuple((label, "5..") for label in _STATUS_LABELS)
    # Which label holds the status is not known: sum of nothing is nothing, so `or` finds the one that is there.
    bad = " or ".join(scope.rate(metric, patterns={label: failed}) for label, failed in kinds)
    # Without a single failure that is empty, and means 0, but only where a status is told at all. Without
    # traffic the whole is, and stays, empty.
    told = " or ".join(scope.rate(metric, patterns={label: ".+"}) for label, _ in kinds)
    yield Signal("error_ratio", "share of requests that fail", "ratio", f"({bad} or 0 * ({told})) / ({total} > 0)", 10)


def _errors(scope: _Scope) -> Iterable[Signal]:
    ours = r"(?!scrape_|prometheus_|promhttp_|net_conntrack_|container_|node_|go_)"
    pattern = ours + r"\w*(?:errors?|failures?|exceptions?|failed)(?:_\w+)?_total"
    for place, name in enumerate(scope.all(pattern, 3)):
        yield Signal(f"errors:{name}", f"{name.removesuffix('_total')} per second", "/s", scope.rate(name), 15 + place)


def _latency(scope: _Scope) -> Iterable[Signal]:
    name = scope.first(
        r"\w*http\w*request\w*(?:duration|latency)?\w*_seconds_bucket",
        rf"{_NOT_HTTP}\w*(?:request|response|duration|latency)\w*_seconds_bucket",
        rf"{_NOT_HTTP}\w*(?:request|response|duration|latency)\w*_(?:ms|milliseconds)_bucket",
    )
    if name is None:
        return
    scale = "" if "_seconds" in name else " / 1000"
    inner = f"sum by (le) (rate({scope.select(name)}[{scope.range}]))"
    yield Signal("latency_p95", "95th percentile of latency", "s", f"histogram_quantile(0.95, {inner}){scale}", 20)


def _memory(scope: _Scope) -> Iterable[Signal]:
    if "container_memory_working_set_bytes" in scope.names:
        limit = ""
        if "container_spec_memory_limit_bytes" in scope.names:
            limit = f"max({scope.select('container_spec_memory_limit_bytes')} > 0)"  # 0 means unlimited
        yield Signal(
            "memory", "memory working set", "bytes",
            f"max({scope.select('container_memory_working_set_bytes')})", 5, limit=limit,
        )  # fmt: skip
        return
    name = scope.first(
        "process_resident_memory_bytes",
        r"(?:\w*_)?memory(?:_(?:working_set|usage|used|rss|resident|heap\w*))?_bytes",
        "jvm_memory_used_bytes",
        r"(?!go_|node_|container_)\w*(?:memory|heap|rss)\w*_bytes(?<!limit_bytes)(?<!max_bytes)",
    )
    if name is not None:
        ceiling = scope.first(r"(?:\w*_)?(?:memory|heap)\w*_(?:limit|max)_bytes")
        total = "sum" if name == "jvm_memory_used_bytes" else "max"
        limit = f"{total}({scope.select(ceiling)} > 0)" if ceiling else ""
        title = (
            "resident memory"
            if name == "process_resident_memory_bytes"
            else name.replace("_", " ").removesuffix(" bytes")
        )
        yield Signal("memory", title, "bytes", f"{total}({scope.select(name)})", 5, limit=limit)
    if "node_memory_MemAvailable_bytes" in scope.names and "node_memory_MemTotal_bytes" in scope.names:
        share = (
            f"1 - min({scope.select('node_memory_MemAvailable_bytes')} / {scope.select('node_memory_MemTotal_bytes')})"
        )
        yield Signal("node_memory", "share of the node's memory in use", "ratio", share, 6, limit="vector(1)")


def _cpu(scope: _Scope) -> Iterable[Signal]:
    if "container_cpu_usage_seconds_total" in scope.names:
        limit = ""
        if {"container_spec_cpu_quota", "container_spec_cpu_period"} <= scope.names:
            quota, period = scope.select("container_spec_cpu_quota"), scope.select("container_spec_cpu_period")
            limit = f"max({quota}) / max({period})"
        yield Signal("cpu", "CPU in use", "cores", scope.rate("container_cpu_usage_seconds_total"), 25, limit=limit)
    elif "process_cpu_seconds_total" in scope.names:
        yield Signal("cpu", "CPU in use", "cores", scope.rate("process_cpu_seconds_total"), 25)
    if {"container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"} <= scope.names:
        throttled = scope.rate("container_cpu_cfs_throttled_periods_total")
        share = f"{throttled} / ({scope.rate('container_cpu_cfs_periods_total')} > 0)"
        yield Signal("cpu_throttled", "share of CPU periods throttled", "ratio", share, 26)
    if "node_cpu_seconds_total" in scope.names:
        idle = scope.select("node_cpu_seconds_total", mode="idle")
        yield Signal("node_cpu", "share of the node's CPU in use", "ratio", f"1 - avg(rate({idle}[{scope.range}]))", 27)


def _lives(scope: _Scope) -> Iterable[Signal]:
    for name, window in (
        ("container_oom_events_total", "increase"),
        ("kube_pod_container_status_restarts_total", "increase"),
    ):
        if name in scope.names:
            what = "OOM kills" if "oom" in name else "restarts"
            yield Signal(
                what.lower().replace(" ", "_"), f"{what} in the range", "count",
                f"sum({window}({scope.select(name)}[{scope.range}]))", 8,
            )  # fmt: skip
    start = scope.first("container_start_time_seconds", "process_start_time_seconds")
    if start is not None and "kube_pod_container_status_restarts_total" not in scope.names:
        # `changes` sees nothing across the ids of a recreated container; the newest start does.
        yield Signal(
            "started", "time since the last start", "s", f"time() - max({scope.select(start)})", 9, worse="down"
        )
    if "up" in scope.names:
        yield Signal("up", "scrape succeeds (up)", "bool", f"min({scope.select('up')})", 3, worse="down")
    if "container_health_state" in scope.names:
        yield Signal(
            "health", "container health", "bool", f"min({scope.select('container_health_state')})", 4, worse="down"
        )


def _disk(scope: _Scope) -> Iterable[Signal]:
    if {"node_filesystem_avail_bytes", "node_filesystem_size_bytes"} <= scope.names:
        real = {"fstype": "ext[234]|xfs|btrfs|zfs|overlay|f2fs"}
        free = scope.select("node_filesystem_avail_bytes", patterns=real)
        size = scope.select("node_filesystem_size_bytes", patterns=real)
        share = f"max by (mountpoint) (1 - {free} / {size})"
        yield Signal("disk", "share in use of file system", "ratio", share, 7, limit="vector(1)", by="mountpoint")
        if {"node_filesystem_files_free", "node_filesystem_files"} <= scope.names:
            left = scope.select("node_filesystem_files_free", patterns=real)
            files = scope.select("node_filesystem_files", patterns=real)
            inodes = f"max by (mountpoint) (1 - {left} / ({files} > 0))"
            yield Signal("inodes", "share in use of inodes of", "ratio", inodes, 13, limit="vector(1)", by="mountpoint")
    elif {"windows_logical_disk_free_bytes", "windows_logical_disk_size_bytes"} <= scope.names:
        free, size = scope.select("windows_logical_disk_free_bytes"), scope.select("windows_logical_disk_size_bytes")
        share = f"max by (volume) (1 - {free} / ({size} > 0))"
        yield Signal("disk", "share in use of volume", "ratio", share, 7, limit="vector(1)", by="volume")
    elif "container_fs_usage_bytes" in scope.names:
        limit = ""
        if "container_fs_limit_bytes" in scope.names:
            limit = f"max({scope.select('container_fs_limit_bytes')} > 0)"
        yield Signal(
            "disk", "file system in use", "bytes", f"max({scope.select('container_fs_usage_bytes')})", 12, limit=limit
        )
    else:
        name = scope.first(r"(?!node_|container_|go_)\w*(?:disk|volume|filesystem|storage)\w*_(?:used|usage)\w*")
        if name is not None:
            unit: Unit = "ratio" if name.endswith(("ratio", "_percent")) else "bytes"
            scale = " / 100" if name.endswith("_percent") else ""
            yield Signal("disk", name.replace("_", " "), unit, f"max({scope.select(name)}){scale}", 12)


def _pools(scope: _Scope) -> Iterable[Signal]:
    if {"process_open_fds", "process_max_fds"} <= scope.names:
        opened, most = scope.select("process_open_fds"), scope.select("process_max_fds")
        yield Signal("open_files", "open file descriptors", "count", f"max({opened})", 35, limit=f"max({most})")
    pattern = r"\w*(?:connections?|conns?|pool)\w*_(?:active|in_use|used|busy|acquired)\w*(?<!_total)(?<!_bucket)"
    for name in scope.all(pattern, 1):
        ceiling = scope.first(r"\w*(?:connections?|conns?|pool)\w*_(?:max|limit|size)\w*")
        limit = f"sum({scope.select(ceiling)})" if ceiling and ceiling != name else ""
        yield Signal("pool", name.replace("_", " "), "count", f"sum({scope.select(name)})", 18, limit=limit)
    for name in scope.all(r"\w*(?:queue|backlog)\w*_(?:length|size|depth|pending|messages)|\w*_queue", 1):
        yield Signal("queue", name.replace("_", " "), "count", f"sum({scope.select(name)})", 19)


def _host(scope: _Scope) -> Iterable[Signal]:
    if "node_load1" in scope.names:
        limit = ""
        if "node_cpu_seconds_total" in scope.names:
            limit = f"count({scope.select('node_cpu_seconds_total', mode='idle')})"
        yield Signal("load", "load of one minute", "count", f"max({scope.select('node_load1')})", 11, limit=limit)
    if "node_vmstat_oom_kill" in scope.names:
        kills = f"sum(increase({scope.select('node_vmstat_oom_kill')}[{scope.range}]))"
        yield Signal("oom_kills", "OOM kills on the host in the range", "count", kills, 14)
    if "node_boot_time_seconds" in scope.names:
        booted = f"time() - max({scope.select('node_boot_time_seconds')})"
        yield Signal("started", "time since the host's boot", "s", booted, 16, worse="down")
    if "windows_cpu_time_total" in scope.names:
        idle = scope.select("windows_cpu_time_total", mode="idle")
        yield Signal("node_cpu", "share of the host's CPU in use", "ratio", f"1 - avg(rate({idle}[{scope.range}]))", 27)


def _probe(scope: _Scope) -> Iterable[Signal]:
    """What probers say of a target: blackbox, ping and Uptime Kuma."""
    up = scope.first("probe_success", "monitor_status", "gatus_results_endpoint_success", "ping_up")
    if up is not None:
        yield Signal("probe", "the probe succeeds", "bool", f"min({scope.select(up)})", 1, worse="down")
    if "probe_http_status_code" in scope.names:
        code = f"max({scope.select('probe_http_status_code')})"
        yield Signal("http_status", "HTTP status of the probe", "count", code, 2, worse="either")
    if "probe_duration_seconds" in scope.names:
        yield Signal("probe_duration", "the probe takes", "s", f"max({scope.select('probe_duration_seconds')})", 4)
    if "probe_dns_lookup_time_seconds" in scope.names:
        lookup = f"max({scope.select('probe_dns_lookup_time_seconds')})"
        yield Signal("probe_dns", "its look-up in DNS takes", "s", lookup, 21)
    expiry = scope.first("probe_ssl_earliest_cert_expiry", "ssl_cert_not_after")
    if expiry is not None:
        left = f"min({scope.select(expiry)}) - time()"
        yield Signal("certificate", "its certificate is valid for another", "s", left, 6, worse="down")
    loss = scope.first("ping_loss_ratio", "ping_loss_percent")
    if loss is not None:
        percent = " / 100" if loss.endswith("percent") else ""
        yield Signal("ping_loss", "share of pings lost", "ratio", f"max({scope.select(loss)}){percent}", 5)


_CHOOSERS: tuple[Callable[[_Scope], Iterable[Signal]], ...] = (
    _probe, _lives, _memory, _traffic, _errors, _latency, _disk, _host, _pools, _cpu,
)  # fmt: skip


def choose(
    labels: Mapping[str, str],
    names: Collection[str],
    *,
    patterns: Mapping[str, str] | None = None,
    range_s: float = 300.0,
) -> tuple[Signal, ...]:
    """Choose the questions that these metrics can answer for one label set, most telling first.

    ``names`` are metrics that have series with ``labels`` and ``patterns`` (RE2 that we wrote ourselves); ``range_s``
    is the range of rates in seconds (at least four scrape intervals). Raises QueryRefused for labels that no selector
    can hold.
    """
    # A name of any length would make the patterns above slow, and nobody calls a golden signal by it.
    usable = frozenset(name for name in names if len(name) <= 120)
    scope = _Scope(labels, usable, promql_duration(range_s), patterns or {})
    whose = tuple(sorted(labels.items()))
    found = [replace(signal, labels=whose) for chooser in _CHOOSERS for signal in chooser(scope)]
    return tuple(sorted(found, key=lambda signal: signal.rank))


def merge(chosen: Iterable[Iterable[Signal]], *, most: int = MAX_SIGNALS) -> tuple[Signal, ...]:
    """Merge what several label sets gave: each kind of signal once, the earlier label set's, at most ``most``."""
    kept: dict[str, Signal] = {}
    for signals in chosen:
        for signal in signals:
            kept.setdefault(signal.id, signal)
    return tuple(sorted(kept.values(), key=lambda signal: signal.rank)[:most])
