"""What sort of signal a series is, told by its name, and which way is worse. Pure."""

import re
from enum import StrEnum

from sreops.domain.suspects.series_anomaly import Worse


class Kind(StrEnum):
    """What sort of signal a metric is."""

    cpu = "cpu"
    memory = "memory"
    errors = "errors"
    latency = "latency"
    outbound = "outbound"
    traffic = "traffic"
    received = "received"
    io = "io"
    host = "host"
    other = "other"


_KINDS: tuple[tuple[Kind, Worse, re.Pattern[str]], ...] = tuple(
    (kind, worse, re.compile(pattern))
    for kind, worse, pattern in (
        (Kind.host, Worse.either, r"^node|^host|^machine|_node_"),
        (Kind.errors, Worse.up, r"^share failing by"),
        (Kind.errors, Worse.down, r"avail(?!able_bytes)|success|healthy|^up$"),
        (Kind.errors, Worse.up, r"err(?:or|s?(?![a-z]))|fail|fault|[45]xx|abort|exception|restart|oom|drop|reject"),
        (Kind.outbound, Worse.up, r"client.*(?:latency|duration|error)|outbound|egress|upstream"),
        (
            Kind.latency,
            Worse.up,
            r"latency|(?<![a-z])lat(?![a-z])|duration|delay|response.?time|lag|wait|(?<![a-z])p[59][059]",
        ),
        (Kind.cpu, Worse.up, r"cpu|(?<![a-z])load.?(?:1|5|15|avg|average)(?![0-9])|system.?load|throttl"),
        (Kind.memory, Worse.up, r"mem|heap|rss|swap"),
        (
            Kind.traffic,
            Worse.either,
            r"request|load|(?<![a-z])lod(?![a-z])|ops|qps|rps|throughput|traffic|hits|calls|messages",
        ),
        (Kind.received, Worse.down, r"(?:network|net|bytes|traffic).*(?:receive|ingress|(?<![a-z])in(?![a-z])|rx)"),
        (
            Kind.io,
            Worse.either,
            r"disk|storage|iops|network|receive|transmit|rx|tx|bytes|packets|syscall|read|write|fs_",
        ),
    )
)


def kind_of(name: str) -> tuple[Kind, Worse]:
    """Tell from a metric's name (without its service) what sort of signal it is, and which way is worse."""
    lowered = name.lower()[:200]
    for kind, worse, pattern in _KINDS:
        if pattern.search(lowered):
            return kind, worse
    return Kind.other, Worse.either
