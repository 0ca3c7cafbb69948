"""Who speaks in an alert's labels: the exporter whose series it is about, known by its name, its address or its labels.

Pure. Label names come in their canonical spelling: lower case, underscores for dots.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from sreops.domain.alerts.exporters import (
    ALLOYS_SCRAPER,
    HOST_EXPORTERS,
    SOME_EXPORTER,
    TARGET_EXPORTERS,
    exporter_at,
    exporter_of,
    is_module_of_blackbox,
)

_SPEAK: Final = ("job", "service", "app", "container", "service_name")
_SHOWN_CHARS: Final = 60
_NAMES_NOBODY: Final = re.compile(
    r"(?:|\[no value\]|<no value>|<nil>|null|none|-|(?-i:POD))\Z|unknown_service", re.IGNORECASE
)
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://.")
_PORT: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:/]+):[0-9]{1,5}\Z")


class Speaker(NamedTuple):
    """The kind of exporter that speaks, None where none does, and the label that says so.

    ``hides_job``: the scrape job has a name of somebody's own, which is the scraper's word for many subjects.
    """

    kind: str | None = None
    label: str = ""
    value: str = ""
    hides_job: bool = False


NOBODY: Final = Speaker()
_SIGNS: Final = (
    ("snmp", ("ifname", "ifindex", "ifdescr")),  # of the interfaces MIB
    ("blackbox", ("monitor_type",)),  # Uptime Kuma's
)
"""Labels that only one kind of exporter has: a scrape job may have any name."""
_ASKED: Final = frozenset({"target", "monitor_name", "module", "name"})
"""Labels of which each says that somebody is probed."""


def without_relay(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return the labels as the exporter's own scraper set them, where a federation or a gateway has passed them on."""
    job, instance = said_by(values, "exported_job"), said_by(values, "exported_instance")
    if not job or not exporter_of(job, job=True):
        return values
    own = {name: value for name, value in values.items() if name.removeprefix("exported_") not in ("job", "instance")}
    return own | {"job": job} | ({"instance": instance} if instance else {})


def who_speaks(values: Mapping[str, str]) -> Speaker:
    """Return the exporter that speaks in these labels, the one whose kind is known before one of any kind."""
    some = NOBODY
    for label in _SPEAK:
        if label in values and (speaker := _by_name(values, label)).kind:
            if speaker.kind != SOME_EXPORTER:
                return speaker
            some = some if some.kind else speaker
    by_labels = _by_labels(values)
    return by_labels if by_labels.kind or not some.kind else some


def _by_name(values: Mapping[str, str], label: str) -> Speaker:
    value = said_by(values, label)
    if value and (known := exporter_by_job(values, value) if label == "job" else exporter_of(value)):
        return Speaker(known, label, value[:_SHOWN_CHARS])
    return NOBODY


def exporter_by_job(values: Mapping[str, str], job: str) -> str | None:
    """Return the kind of exporter that a job's name means, or None, also for a service of somebody's own.

    Such as a ``website`` that is scraped by its own name: whom a prober asks is not called as its job.
    """
    known = exporter_of(job, job=True)
    if known in TARGET_EXPORTERS and exporter_of(job) is None and _ASKED.isdisjoint(values):
        return None if host_of(said_by(values, "instance") or "") == job else known
    return known


def _by_labels(values: Mapping[str, str]) -> Speaker:
    """Return who speaks where no name says it: by the labels that only it has, and by its address."""
    for kind, labels in _SIGNS:
        if sign := next((label for label in labels if label in values and said_by(values, label)), None):
            return Speaker(kind, sign, values[sign][:_SHOWN_CHARS], hides_job=True)
    instance = said_by(values, "instance") if "instance" in values else None
    if instance is None:
        return NOBODY
    if "mountpoint" in values and ("fstype" in values or "device" in values):
        return Speaker("node", "mountpoint", values["mountpoint"][:_SHOWN_CHARS], hides_job=True)
    return _by_address(values, instance)


def _by_address(values: Mapping[str, str], instance: str) -> Speaker:
    """Return who speaks by the instance: nobody is scraped by a URL, and exporters have their names and ports."""
    shown = instance[:_SHOWN_CHARS]
    if is_url(instance):
        return Speaker("blackbox", "instance", shown, hides_job=True)
    host = host_of(instance)
    if known := exporter_of(host):
        return Speaker(known, "instance", shown, hides_job=known in HOST_EXPORTERS)
    if "module" in values and is_module_of_blackbox(values["module"]):
        return Speaker("blackbox", "module", values["module"][:_SHOWN_CHARS], hides_job=True)
    known = exporter_at(instance.rpartition(":")[2]) if host != instance else None
    job = said_by(values, "job")
    if known and not (job and host.startswith(job)):  # a service of somebody's own may listen there
        return Speaker(known, "instance", shown, hides_job=True)
    return Speaker(hides_job=job is not None and job.startswith(ALLOYS_SCRAPER))


def said_by(values: Mapping[str, str], name: str) -> str | None:
    """Return a label's value, or None where it is not there or names nobody."""
    value = values.get(name)
    if value is None:
        return None
    value = value.strip()
    return None if _NAMES_NOBODY.match(value) else value


def is_url(value: str) -> bool:
    """Whether an instance is a URL."""
    return _URL.match(value) is not None


def host_of(instance: str) -> str:
    """Return the host of ``host:port``, and whatever else as it is."""
    found = _PORT.match(instance)
    host = found["host"] if found else instance
    return host.strip("[]") if host.startswith("[") else host
