"""Who speaks in an alert's labels: the exporter whose series it is about, known by its name, its address or its labels.

Pure. Label names come in their canonical spelling: lower case, underscores for dots.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from sreops.domain.alerts.exporters import exporter_at, exporter_of, is_module_of_blackbox

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


def who_speaks(values: Mapping[str, str]) -> Speaker:
    """Return the exporter that speaks in these labels."""
    for label in _SPEAK:
        if label not in values:
            continue
        value = said_by(values, label)
        if value and (known := exporter_of(value, job=label == "job")):
            return Speaker(known, label, value[:_SHOWN_CHARS])
    if "mountpoint" in values and ("fstype" in values or "device" in values) and said_by(values, "instance"):
        return Speaker("node", "mountpoint", values["mountpoint"][:_SHOWN_CHARS], hides_job=True)
    instance = said_by(values, "instance") if "instance" in values else None
    return _by_address(values, instance) if instance else NOBODY


def _by_address(values: Mapping[str, str], instance: str) -> Speaker:
    """Return who speaks where the job does not say it: nobody is scraped by a URL, and exporters have their ports."""
    shown = instance[:_SHOWN_CHARS]
    if is_url(instance):
        return Speaker("blackbox", "instance", shown, hides_job=True)
    host = host_of(instance)
    if known := exporter_of(host):
        return Speaker(known, "instance", shown)
    if "module" in values and is_module_of_blackbox(values["module"]):
        return Speaker("blackbox", "module", values["module"][:_SHOWN_CHARS], hides_job=True)
    known = exporter_at(instance.rpartition(":")[2]) if host != instance else None
    job = said_by(values, "job")
    if known and not (job and host.startswith(job)):  # a service of somebody's own may listen there
        return Speaker(known, "instance", shown, hides_job=True)
    return NOBODY


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
    return found["host"].strip("[]") if found else instance
