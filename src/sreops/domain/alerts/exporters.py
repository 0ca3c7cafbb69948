"""Exporters: the tools whose series and streams speak about others, known by the names that people give them."""

import re
from functools import lru_cache
from typing import Final

HOST_EXPORTERS: Final = frozenset({"node", "windows", "process"})
"""Of these ``instance`` is the host that they speak about."""
TARGET_EXPORTERS: Final = frozenset({"blackbox", "ping", "snmp"})
"""Of these ``instance`` is what they have probed."""
CONTAINER_EXPORTERS: Final = frozenset({"cadvisor", "docker", "alloy"})
"""Of these ``name`` is a container; of others it may be a systemd unit, or a Windows service."""
POD_EXPORTERS: Final = frozenset({"cadvisor", "kubelet", "kube-state-metrics"})
"""These speak of namespaces, pods and containers: another exporter's beside them is their subject."""

# In any of the labels that say who was scraped: a name that nobody gives to a service of their own.
_NAMES: Final = (
    ("cadvisor", r"cadvisor"),
    ("kube-state-metrics", r"kube[-_]?state[-_]?metrics"),
    ("kubelet", r"(?:^|[-_/])kubelet"),
    ("windows", r"(?:windows|wmi)[-_]exporter"),
    ("process", r"(?:process|namedprocess)[-_]exporter"),
    ("node", r"node[-_]?exporter"),
    ("blackbox", r"blackbox"),
    ("snmp", r"snmp[-_]exporter"),
    ("ping", r"ping[-_]?(?:exporter|prober)"),
    ("docker", r"(?:docker|podman|containerd)[-_a-z]*exporter"),
    ("pushgateway", r"push[-_]?gateway"),
    ("statsd", r"statsd"),
    ("collector", r"otel[-_]?col|opentelemetry[-_]?collector|(?:^|[-_/])opentelemetry$"),
    ("alloy", r"(?:^|[-_/])alloy(?:$|[-_/])"),
    ("agent", r"promtail|telegraf|grafana[-_]agent|fluent[-_]?bit|fluentd"),
    ("exporter", r"exporter"),
)
# Only as the name of a scrape job, or of a shipper's static label: as a service it may well be somebody's own.
_JOBS: Final = (
    ("node", r"(?:integrations/)?(?:nodes?|unix)|kubernetes-nodes"),
    ("windows", r"(?:integrations/)?(?:windows|wmi)"),
    ("process", r"(?:integrations/)?process"),
    ("ping", r"(?:integrations/)?(?:ping|icmp|smokeping)"),
    ("snmp", r"(?:integrations/)?snmp(?:/.*)?"),
    ("docker", r"integrations/docker"),
    ("agent", r"docker|(?:docker|container)[-_]?logs|var[-_]?logs|(?:systemd-)?journal|loki\.source\..*|vector"),
    ("exporter", r"federate|kubernetes-(?:pods|services?|service-endpoints|apiservers?)|integrations/.*"),
)
_LOG_SHIPPERS: Final = r"docker|(?:docker|container)[-_]?logs|loki\.source\..*"

_KNOWN: Final = re.compile("|".join(f"(?P<n{place}>{pattern})" for place, (_, pattern) in enumerate(_NAMES)))
_KNOWN_JOB: Final = re.compile("|".join(f"(?P<n{place}>{pattern})" for place, (_, pattern) in enumerate(_JOBS)))
_KNOWN_SHIPPER: Final = re.compile(_LOG_SHIPPERS)


@lru_cache(maxsize=4096)  # a sender has few jobs and many alerts
def exporter_of(value: str, *, job: bool = False) -> str | None:
    """Return the kind of exporter that a name means (``node``, ``cadvisor``, …), or None where it means none.

    ``job``: the value is a scrape job's name, where short words such as ``node`` and ``docker`` are exporters too.
    """
    text = value.strip().lower()
    if job and (found := _KNOWN_JOB.fullmatch(text)) and found.lastgroup:
        known = _JOBS[int(found.lastgroup[1:])][0]
        if known != "exporter" or not (named := _KNOWN.search(text)):  # integrations/cadvisor, integrations/blackbox/x
            return known
        return _NAMES[int(str(named.lastgroup)[1:])][0]
    if (found := _KNOWN.search(text)) and found.lastgroup:
        return _NAMES[int(found.lastgroup[1:])][0]
    return "agent" if _KNOWN_SHIPPER.fullmatch(text) else None
