"""The labels of one alert as they were sent: who speaks in them, and which of them are the speaker's own. Pure.

A scraper writes down whom it scraped: of an exporter these labels say where the exporter lives, and not who is unwell.
"""

import re
from collections.abc import Mapping
from typing import Final

from sreops.domain.alerts.exporters import (
    CONTAINER_EXPORTERS,
    HOST_EXPORTERS,
    POD_EXPORTERS,
    SIDECARS,
    TARGET_EXPORTERS,
    exporter_of,
)
from sreops.domain.alerts.speaker import exporter_by_job, host_of, is_url, said_by, who_speaks, without_relay
from sreops.domain.alerts.subject_labels import SPOKEN_OF, SubjectKind

SCRAPED: Final = frozenset({"namespace", "pod", "container", "service", "job", "instance", "endpoint"})
"""What a scraper says of whom it scrapes; where the series has one of its own, that becomes ``exported_…``."""
_EXPORTED: Final = frozenset(f"exported_{name}" for name in SCRAPED)
_UNIT: Final = re.compile(r".*\.(?:service|socket|timer|mount|scope|slice|target|device|path|swap)\Z")
_PLAIN_NAMES: Final = re.compile(r"[a-z0-9_]*")
_PLAIN: Final = str.maketrans("./-", "___")


class SentLabels:
    """One alert's labels, each name in its canonical spelling, and who speaks in them.

    ``values``: the labels by canonical name. ``speaker``: the kind of exporter that speaks, None where none does;
    ``speaks``: the label that says so, in words, "" where none does.
    """

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self.values: Mapping[str, str] = labels
        if not _PLAIN_NAMES.fullmatch("".join(labels)):  # UTF-8 names of Prometheus 3 and OpenTelemetry; Service, Host
            spelled = sorted(labels, key=lambda name: _canonical(name) == name)  # of two, the plain spelling
            self.values = {_canonical(name): labels[name] for name in spelled}
        sent = self.values
        if "exported_job" in sent:
            self.values = without_relay(sent)
        self._relayed = self.values is not sent
        self._clash = not _EXPORTED.isdisjoint(self.values)
        speaker = who_speaks(self.values)
        self.speaker, self._job_names_nobody = speaker.kind, speaker.hides_job
        self.speaks = f"{self.spelled(speaker.label)}={speaker.value}" if speaker.label else ""

    def is_the_exporters(self, label: str, canonical: str, value: str) -> bool:
        """Whether a label that a scraper sets speaks of the exporter itself, and so of nobody."""
        if label != canonical:  # exported_…: what the series said by itself
            return canonical != "instance" and exporter_of(value, job=canonical == "job") is not None
        if self._clash and f"exported_{canonical}" not in self.values:
            return True  # the scraper kept its own labels: all of these are of whom it scraped
        if canonical == "instance":
            if is_url(value):
                return False  # nobody is scraped by a URL: it is whom the exporter has asked
            if self.speaker in TARGET_EXPORTERS or self.speaker in HOST_EXPORTERS:
                return exporter_of(host_of(value)) is not None  # its container's name, which no host has
            return self.speaker is not None
        if canonical == "container" and value in SIDECARS and self.is_scraped():
            return True
        if canonical in ("pod", "container") and self.speaker is not None and self._pod_is_the_exporters():
            return True
        if canonical == "job" and self._job_names_nobody:
            return True
        known = exporter_by_job(self.values, value) if canonical == "job" else exporter_of(value)
        if known is None:
            return False
        spoken_about = canonical in ("container", "pod") and self.speaker in POD_EXPORTERS and known != self.speaker
        return not spoken_about

    def is_found_by(self, name: str) -> bool:
        """Whether a scraper found an exporter in the engine by this name; of a shipper the lines are its own."""
        known = exporter_of(name)
        if known is None or not self.is_scraped():
            return False
        instance = self.value("instance") or ""
        return known == self.speaker or (self._job_is_dockers() and host_of(instance) != instance)

    def namespace_is_the_exporters(self, kind: SubjectKind) -> bool:
        """Whether ``namespace`` says where the exporter lives, and not where the subject does."""
        if self._clash:
            return self.value("exported_namespace") is not None
        beside = self.speaker is not None and self.speaker not in POD_EXPORTERS and self._pod_is_the_exporters()
        return beside or (self.speaker is not None and kind in SPOKEN_OF)

    def name_is_a_container(self, name: str) -> bool:
        """Whether ``name`` is a container's: cAdvisor's other labels, or an exporter of containers, stand beside it."""
        if self.speaker == "kubelet" or self.value("pod") or _UNIT.match(name):
            return False  # the runtime's own name of a pod's container; a systemd unit
        if self.speaker in CONTAINER_EXPORTERS:
            return True
        if self.speaker in HOST_EXPORTERS:
            return False
        if any(label.startswith("container_label_") for label in self.values):
            return True
        if self._job_is_dockers():
            return True
        cgroup = self.value("id") or ""
        return "image" in self.values or (cgroup.startswith("/") and ("docker" in cgroup or "libpod" in cgroup))

    def host_of_the_exporter(self) -> dict[str, str]:
        """Return the engine's host where an exporter of containers is scraped by its host's name."""
        instance = self.value("instance")
        if self.speaker not in CONTAINER_EXPORTERS or not instance or is_url(instance) or self._clash:
            return {}
        host = host_of(instance)
        is_name = re.fullmatch(r"(?![0-9a-f]{12}\Z)(?=[^.]*[a-zA-Z])[a-zA-Z0-9.-]+", host) is not None
        return {"host": host} if is_name and host != "localhost" and exporter_of(host) is None else {}

    def is_scraped(self) -> bool:
        """Whether a scraper has set any of them."""
        return any(label in self.values for label in ("job", "instance", "pod", "endpoint"))

    def value(self, name: str) -> str | None:
        """Return the label's value, or None where it is not there or names nobody."""
        return said_by(self.values, name)

    def name(self, label: str) -> str | None:
        """Return the value as a name: without the slash that Docker's API begins a container's with."""
        value = self.value(label)
        return value.removeprefix("/") or None if value else None

    def spelled(self, label: str) -> str:
        """Return the label's name as it was sent."""
        if self._relayed and label in ("job", "instance"):
            label = f"exported_{label}"
        if label in self._labels:
            return label
        return next((name for name in self._labels if _canonical(name) == label), label)

    def _job_is_dockers(self) -> bool:
        return self.speaker == "agent" and "docker" in (self.value("job") or "")

    def _pod_is_the_exporters(self) -> bool:
        pod = self.value("pod")
        if not pod:
            return False
        if exporter_of(pod) is not None and exporter_of(pod) == self.speaker:
            return True
        return any(
            (value := self.value(label)) and exporter_of(value) == self.speaker and pod.startswith(f"{value}-")
            for label in ("job", "service", "app")
        )


def _canonical(name: str) -> str:
    return name.translate(_PLAIN).lower()
