"""Exporters: the tools whose series and streams speak about others, known by the names that people give them."""

import re
from functools import lru_cache
from typing import Final

HOST_EXPORTERS: Final = frozenset({"node", "windows", "process", "journal"})
"""Of these ``instance`` is the host that they speak about."""
TARGET_EXPORTERS: Final = frozenset({"blackbox", "ping", "snmp"})
"""Of these ``instance`` is what they have probed."""
CONTAINER_EXPORTERS: Final = frozenset({"cadvisor", "docker", "alloy"})
"""Of these ``name`` is a container; of others it may be a systemd unit, or a Windows service."""
POD_EXPORTERS: Final = frozenset({"cadvisor", "kubelet", "kube-state-metrics"})
"""These speak of namespaces, pods and containers: another exporter's beside them is their subject."""
SOME_EXPORTER: Final = "exporter"
"""One of which the name does not tell what it exports: another label may."""
SIDECARS: Final = frozenset({"metrics"})
"""Containers that stand beside their patient in its pod, as Bitnami's charts call them."""

# In any of the labels that say who was scraped: a name that nobody gives to a service of their own.
_NAMES: Final = (
    ("cadvisor", r"cadvisor"),
    ("kube-state-metrics", r"kube[-_]?state[-_]?metrics"),
    ("kubelet", r"(?:^|[-_/])kubelet"),
    ("windows", r"(?:windows|wmi)[-_]exporter"),
    ("process", r"(?:process|namedprocess)[-_]exporter"),
    ("node", r"(?:node|systemd|smartctl)[-_]?exporter"),
    ("blackbox", r"blackbox|ssl[-_]exporter"),
    ("snmp", r"snmp[-_]exporter"),
    ("ping", r"ping[-_]?(?:exporter|prober)"),
    ("docker", r"(?:docker|podman|containerd)[-_a-z]*exporter"),
    ("pushgateway", r"push[-_]?gateway"),
    ("statsd", r"statsd"),
    ("collector", r"(?<![a-z])otel[-_]?col|opentelemetry[-_]?collector|(?:^|[-_/])opentelemetry$"),
    ("alloy", r"(?:^|[-_/.])alloy(?:$|[-_/])"),
    ("agent", r"promtail|telegraf|grafana[-_]agent|fluent[-_]?bit|fluentd"),
    ("exporter", r"exporter"),
)
# Only as the name of a scrape job, or of a shipper's static label: as a service it may well be somebody's own.
_JOBS: Final = (
    ("kube-state-metrics", r"ksm"),
    ("node", r"(?:integrations/)?(?:nodes?|unix|systemd|netdata)|integrations/[a-z]+[-_](?:node|host)"),
    ("node", r"kubernetes-nodes|linux|(?:linux[-_]?)?(?:servers|hosts|vms|machines)|smart(?:ctl|mon)"),
    ("windows", r"(?:integrations/)?(?:windows|wmi)"),
    ("process", r"(?:integrations/)?process"),
    ("ping", r"(?:integrations/)?(?:ping|icmp|smokeping)"),
    ("snmp", r"(?:integrations/)?snmp(?:/.*)?"),
    ("blackbox", r"(?:.*[-_/])?probes?(?:[-_/].*)?|gatus|uptime(?:[-_]?kuma)?"),
    ("blackbox", r"(?:web[-_]?sites?|urls?|uptime)(?:[-_](?:checks?|monitor))?"),
    ("blackbox", r"(?:https?|tcp|icmp|dns|ssl|tls|grpc)(?:[-_](?:checks?|2xx|connect|targets?|monitor))*"),
    ("docker", r"integrations/docker|podman|(?:docker[-_]?)?containers?(?:[-_](?:metrics|stats))?"),
    ("docker", r"docker[-_](?:metrics|stats)"),
    ("journal", r"(?:systemd[-_])?journald?|var[-_]?logs?|syslog|loki\.source\.(?:journal|file|syslog)\..*"),
    ("agent", r"docker(?:[-_]?swarm)?(?:[-_](?:sd|services|tasks))?|(?:docker|container)[-_]?logs"),
    ("agent", r"loki\.source\..*|vector|collectd"),
    ("exporter", r"federate|kubernetes-(?:pods|services?|service-endpoints|apiservers?)(?:-slow)?|integrations/.*"),
    ("exporter", r"yace|cloud[-_]?watch"),
)
_PORTS: Final = {"9100": "node", "9182": "windows", "9256": "process", "9558": "node", "9633": "node", "19999": "node"}
"""Where exporters of hosts listen by default: a scrape job may have any name."""
ALLOYS_SCRAPER: Final = "prometheus.scrape."
"""What Alloy calls a job that nobody named: its own component, whoever is scraped."""
_MODULES: Final = re.compile(r"(?:https?|tcp|icmp|dns|grpc|ssh|pop3s?|imaps?|smtp)(?:_.*)?")
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
    if job:
        text = text.removeprefix(ALLOYS_SCRAPER)
    if job and (found := _KNOWN_JOB.fullmatch(text)) and found.lastgroup:
        known = _JOBS[int(found.lastgroup[1:])][0]
        named = (
            _KNOWN.search(text) if known == SOME_EXPORTER else None
        )  # integrations/cadvisor, integrations/blackbox/x
        if named is None:
            return known
        return _NAMES[int(str(named.lastgroup)[1:])][0]
    if (found := _KNOWN.search(text)) and found.lastgroup:
        return _NAMES[int(found.lastgroup[1:])][0]
    return "agent" if _KNOWN_SHIPPER.fullmatch(text) else None


def exporter_at(port: str) -> str | None:
    """Return the kind of exporter of hosts that listens at this port by default, or None."""
    return _PORTS.get(port)


def is_module_of_blackbox(value: str) -> bool:
    """Whether a label ``module`` names one of blackbox's, as its examples call them (``http_2xx``)."""
    return _MODULES.fullmatch(value) is not None
