"""The subject of an alert: who is unwell, read from its labels by one declared table. Pure.

Alerts carry the labels of whoever scraped or computed them, so the order is not enough: what an exporter says about
others comes before what the scraper says about the exporter.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from sreops.domain.alerts.exporters import TARGET_EXPORTERS, exporter_of
from sreops.domain.alerts.sent_labels import SCRAPED, SentLabels
from sreops.domain.alerts.speaker import host_of, is_url
from sreops.domain.alerts.subject_labels import (
    FOUND_BY,
    KIND_OF,
    NO_HOST_PARTS,
    OURS,
    OUTRIGHT,
    POD_NAMES,
    SCOPE_LABELS,
    SCOPE_NAMES,
    SERVICE_LABELS,
    SPOKEN_OF,
    TARGET_LABELS,
    SubjectKind,
)
from sreops.domain.alerts.subject_names import service_of_task, two_of_job, without_suffix
from sreops.domain.text.urls import without_userinfo_in

__all__ = ["SERVICE_LABELS", "Subject", "SubjectKind", "subject_as_sent", "subject_of"]


class Subject(BaseModel):
    """Who is unwell; ``scope`` tells namesakes apart, ``read_from`` says in words where the name was found."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)
    name: str
    kind: SubjectKind = SubjectKind.workload
    scope: dict[str, str] = {}
    read_from: str = Field("", alias="from")

    def joined_by(self, other: "Subject") -> "Subject":
        """Return this subject with what another alert says of the same one: the scope is the union, the first wins."""
        if other.name != self.name or other.scope.keys() <= self.scope.keys():
            return self
        return self.model_copy(update={"scope": other.scope | self.scope})


_MAX_NAME_CHARS: Final = 256
_MAX_SCOPE: Final = 32
_PROBE_JOB: Final = re.compile(r"integrations/(?:blackbox|snmp|ping)/(?P<target>\S.*)\Z")
_SAYS: Final = {key: frozenset({f"exported_{names[0]}", *names}) for key, names in SCOPE_LABELS.items()}


@lru_cache(maxsize=8)
def _ranks(order: tuple[str, ...]) -> Mapping[str, int]:
    """Return the place of each label that may name a subject: even where it is ``exported_``, which comes first."""
    ranks: dict[str, int] = {}
    for place, label in enumerate(dict.fromkeys(name.replace(".", "_") for name in (*order, "rulename"))):
        ranks |= {f"exported_{label}": 2 * place, label: 2 * place + 1}
    return ranks


_RANKS: Final = _ranks(SERVICE_LABELS)


def subject_of(labels: Mapping[str, str], alertname: str, order: Sequence[str] = SERVICE_LABELS) -> Subject:
    """Return who is unwell by these labels; ``order`` replaces SERVICE_LABELS (``SREOPS_SERVICE_LABELS``).

    Where nobody is named it is the alert's rule, with all its labels as scope, so that a repeat finds itself and
    strangers don't meet. ``alertname`` is used then, and may come from the group.
    """
    return _Reading(labels).subject(alertname, order)


def in_words(subject: Subject) -> str:
    """Say for people who the subject is, what tells it apart, and why it was taken."""
    scope = ", ".join(f"{name}={value}" for name, value in sorted(subject.scope.items()))
    kind = subject.kind.value.replace("_", " ")
    return (
        f"{kind} {subject.name}" + (f" ({scope})" if scope else "") + f", from {subject.read_from or 'an older sreops'}"
    )


def subject_as_sent(service: str, labels: Mapping[str, str]) -> Subject:
    """Return the subject of an event that names a service and no subject, as an older sreops sends it."""
    found = subject_of(labels, labels.get("alertname", ""))
    if found.name == service:
        return found
    reading = _Reading(labels)
    scope = reading.scope(SubjectKind.workload, "")
    return Subject(name=service, scope=scope, read_from="the service that an older sreops read")


class _Reading:
    """Finds in one alert's labels who is unwell."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._sent = SentLabels(labels)
        self._declared = False

    def subject(self, alertname: str, order: Sequence[str]) -> Subject:
        if name := self._sent.name(OUTRIGHT):
            return self._made(name, SubjectKind.workload, OUTRIGHT, "")
        self._declared = order is not SERVICE_LABELS
        ranks = _ranks(tuple(order)) if self._declared else _RANKS
        hosts_from = ranks.get("exported_node", len(ranks))
        itself = self._exporter_itself() or self._probed()
        for rank, candidate in sorted((ranks[name], name) for name in self._sent.values if name in ranks):
            if itself is not None and rank >= hosts_from:
                return itself
            name = self._sent.name(candidate)
            canonical = candidate if rank % 2 else candidate.removeprefix("exported_")
            if name and (found := self._named(candidate, canonical, name)):
                return found
        if itself is not None:
            return itself
        words = "the alert's name: no label names anybody"
        return Subject(name=_short(alertname), kind=SubjectKind.rule, scope=self._rest(), read_from=words)

    def _named(self, label: str, canonical: str, name: str) -> Subject | None:
        """Return the subject that this label names, or None where it names nobody."""
        if canonical in SCRAPED and self._sent.is_the_exporters(label, canonical, name):
            return None
        if canonical in ("service_name", "app", "app_kubernetes_io_name") and exporter_of(name):
            return None
        if canonical in FOUND_BY and self._sent.is_found_by(name):
            return None
        kind = KIND_OF.get(canonical, SubjectKind.workload)
        if canonical == "name" and not self._declared and not self._sent.name_is_a_container(name):
            return None
        why = f", because {self._sent.speaks} speaks about others" if self._sent.speaks else ""
        name = without_suffix(canonical, name)
        if canonical == "instance":
            name, kind = self._instance(name)
            if not name:
                return None
        elif canonical == "job" and (two := two_of_job(name)):
            return self._made(two[1], kind, label, why)
        elif kind is SubjectKind.container and (service := self._swarm_service(name)):
            name, kind = service, SubjectKind.swarm_service
        return self._made(name, kind, label, why)

    def _swarm_service(self, container: str) -> str | None:
        """Return the service of a Swarm task's container: SERVICE.SLOT.TASK, which is another for each task."""
        for label in ("container_label_com_docker_swarm_service_name", "swarm_service"):
            service = self._sent.name(label)
            if service and container.startswith(f"{service}."):
                return service
        return service_of_task(container)

    def _exporter_itself(self) -> Subject | None:
        """Return the exporter where its own container is spoken of: it stands there, and nobody was scraped."""
        container = self._sent.name("container")
        if not container or self._sent.is_scraped():
            return None
        return self._made(container, SubjectKind.container, "container", "")

    def _probed(self) -> Subject | None:
        """Return whom an exporter of targets has probed, where ``instance`` is not it."""
        if self._sent.speaker not in TARGET_EXPORTERS or is_url(self._sent.value("instance") or ""):
            return None
        why = f", because {self._sent.speaks} speaks about others"
        if (job := self._sent.value("job")) and (probed := _PROBE_JOB.match(job)):
            return self._made(probed["target"], SubjectKind.target, "job", why)  # instance is Alloy's own host
        for label in TARGET_LABELS:
            if name := self._sent.value(label):
                return self._made(name, SubjectKind.target, label, why)
        return None

    def _made(self, name: str, kind: SubjectKind, label: str, why: str) -> Subject:
        read_from = f"label {self._sent.spelled(label)}{why}"
        if is_url(name):
            name = without_userinfo_in(name)
        scope = self.scope(kind, label)
        if "namespace" not in scope and (namespace := self._namespace_in_job(name)):
            scope = {"namespace": namespace, **scope}
        return Subject(name=_short(name), kind=kind, scope=scope, read_from=read_from)

    def _namespace_in_job(self, name: str) -> str | None:
        """Return the namespace that a job NAMESPACE/NAME says of this name."""
        for label in ("exported_job", "job"):
            if (job := self._sent.value(label)) and (two := two_of_job(job)) and exporter_of(job, job=True) is None:
                return _short(two[0]) if two[1] == name else None
        return None

    def scope(self, kind: SubjectKind, label: str) -> dict[str, str]:
        """Return what tells this subject from its namesakes."""
        found = {}
        in_pod = not POD_NAMES.isdisjoint(self._sent.values)
        for key, names in SCOPE_LABELS.items():
            if _SAYS[key].isdisjoint(self._sent.values):
                continue
            if key == "host" and (in_pod or kind in NO_HOST_PARTS):
                continue
            if key in ("compose_project", "swarm_stack") and self._sent.speaker and kind in SPOKEN_OF:
                continue  # where the exporter lives
            if key == "namespace" and self._sent.namespace_is_the_exporters(kind):
                names = ("exported_namespace",)  # the others say where the exporter lives
            for name in (f"exported_{names[0]}", *names):
                if name != label and (value := self._sent.name(name)):
                    found[key] = _short(value)
                    break
        if "host" not in found and kind in (SubjectKind.container, SubjectKind.compose_service) and not in_pod:
            found |= self._sent.host_of_the_exporter()
        return found

    def _rest(self) -> dict[str, str]:
        """Return every label that may tell this alert from another of its rule."""
        scope = self.scope(SubjectKind.rule, "")
        told = set(scope.values())
        for name in sorted(self._sent.values):
            if len(scope) == _MAX_SCOPE:
                break
            if name in OURS or name.startswith("__") or not (value := self._sent.value(name)):
                continue
            if name not in SCOPE_NAMES or _short(value) not in told:
                scope.setdefault(name, _short(value))
        return scope

    def _instance(self, value: str) -> tuple[str, SubjectKind]:
        if is_url(value) or self._sent.speaker in TARGET_EXPORTERS:
            return value, SubjectKind.target
        return host_of(value), SubjectKind.host


def _short(text: str) -> str:
    return text if len(text) <= _MAX_NAME_CHARS else text[: _MAX_NAME_CHARS - 1] + "…"
