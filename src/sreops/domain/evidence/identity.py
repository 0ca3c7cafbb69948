"""Who evidence is looked for: the alert's subject, the labels it carries, and what the engine knows of it. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.alerts.exporters import exporter_of
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.alerts.subject_labels import SCOPE_LABELS
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.text.quoting import is_quotable

CONTAINER_LABELS = ("container", "container_name", "docker_container_name", "name")
"""The labels under which a container stands by its name, in logs and in metrics."""
COMPOSE_LABELS = (
    ("compose_project", "compose_service"),
    ("com_docker_compose_project", "com_docker_compose_service"),
    ("container_label_com_docker_compose_project", "container_label_com_docker_compose_service"),
    ("label_com_docker_compose_project", "label_com_docker_compose_service"),
    ("project", "service"),
)
SWARM_LABELS = (
    "swarm_service",
    "container_label_com_docker_swarm_service_name",
    "com_docker_swarm_service_name",
    "label_com_docker_swarm_service_name",
)
POD_LABELS = (
    ("namespace", "pod", "container"),
    ("k8s_namespace_name", "k8s_pod_name", "k8s_container_name"),
    ("kubernetes_namespace_name", "kubernetes_pod_name", "kubernetes_container_name"),
    ("kubernetes_pod_namespace", "kubernetes_pod_name", "kubernetes_container_name"),
)
HOST_LABELS = ("host", "hostname", "host_name", "nodename", "node_hostname", "instance")

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_REPLICA = re.compile(r"[-_.][0-9]+\Z")
_TASK = r"\.(?:[0-9]+|[a-z0-9]+)\.[a-z0-9]+"
_APART = ("cluster", "environment")
_POD_HASH = r"-(?:[a-z0-9]{6,10}-[a-z0-9]{5}|[a-z0-9]{5}|[0-9]+)"


@dataclass(frozen=True)
class Identity:
    """Every name by which somebody may know the subject; empty where it is not known."""

    name: str
    kind: SubjectKind
    containers: tuple[str, ...] = ()
    project: str = ""
    service: str = ""
    swarm_service: str = ""
    namespace: str = ""
    pod: str = ""
    pod_container: str = ""
    host: str = ""
    container_id: str = ""
    apart: Mapping[str, str] = field(default_factory=dict)
    """Cluster and environment, where the alert says them: a namesake of another one is a stranger."""

    @property
    def of_containers(self) -> bool:
        """Whether it lives in containers, as far as we know."""
        return self.kind not in (SubjectKind.host, SubjectKind.target) or bool(self.containers)

    @property
    def task_pattern(self) -> str:
        """An RE2 pattern of the names of its Swarm tasks' containers."""
        return f"/?{re.escape(self.swarm_service)}{_TASK}" if self.swarm_service else ""

    @property
    def pod_pattern(self) -> str:
        """An RE2 pattern of its pods' names."""
        return re.escape(self.pod) if self.pod else f"{re.escape(self.name)}{_POD_HASH}"


def identity_of(event: AlertEvent, state: ContainerState | None) -> Identity:
    """Return who is looked for; what the engine says outranks what the alert says."""
    subject, labels = event.subject, event.labels
    said = {name.replace(".", "_"): value.strip() for name, value in labels.items() if is_quotable(value)}
    scope = subject.scope
    project, service, swarm = "", "", ""
    containers: tuple[str, ...] = ()
    if state is not None:
        containers = (state.name,)
        project = state.labels.get("com.docker.compose.project", "")
        service = state.labels.get("com.docker.compose.service", "")
        swarm = state.swarm_service or state.labels.get("com.docker.swarm.service.name", "")
    else:
        if subject.kind is SubjectKind.container:
            containers = (subject.name,)
        project = scope.get("compose_project", "")
        service = _first(said, [service for _, service in COMPOSE_LABELS if service != "service"])
        if subject.kind is SubjectKind.compose_service:
            service = service or subject.name
        swarm = _first(said, SWARM_LABELS)
        if subject.kind is SubjectKind.swarm_service:
            swarm = swarm or subject.name
    pods = _pod_of(said) if state is None or not (project or swarm) else {}
    return Identity(
        name=subject.name,
        kind=subject.kind,
        containers=tuple(name for name in containers if is_quotable(name)),
        project=project,
        service=service,
        swarm_service=swarm,
        namespace=pods.get("namespace", "") or scope.get("namespace", ""),
        pod=pods.get("pod", ""),
        pod_container=subject.name if subject.kind is SubjectKind.container and pods else "",
        host=scope.get("host", "") or (subject.name if subject.kind is SubjectKind.host else ""),
        container_id=state.id if state is not None else _id_in(said.get("id", "")),
        apart={key: scope[key] for key in _APART if scope.get(key)},
    )


def identity_of_neighbour(name: str, state: ContainerState | None, container: str = "") -> Identity:
    """Return who is looked for where no alert speaks of it: a neighbour of the subject.

    ``container``: its container's name, where that is all that is known of it.
    """
    if state is None:
        containers = (container,) if container and is_quotable(container) else ()
        return Identity(name=name, kind=SubjectKind.workload, containers=containers)
    swarm = state.swarm_service or state.labels.get("com.docker.swarm.service.name", "")
    return Identity(
        name=name,
        kind=SubjectKind.container,
        containers=(state.name,) if is_quotable(state.name) else (),
        project=state.labels.get("com.docker.compose.project", ""),
        service=state.labels.get("com.docker.compose.service", ""),
        swarm_service=swarm,
        host=state.engine,
        container_id=state.id,
    )


def _id_in(cgroup: str) -> str:
    found = _CONTAINER_ID.search(cgroup)
    return found[0] if found else ""


def engine_name(event: AlertEvent) -> str:
    """Return the name to look for in the engine: of a target its URL's host, of a host none."""
    subject = event.subject
    if subject.kind is SubjectKind.host:
        return ""
    if subject.kind is SubjectKind.target:
        try:
            return urlsplit(subject.name if "//" in subject.name else f"//{subject.name}").hostname or ""
        except ValueError:
            return ""
    return event.service


def _pod_of(said: Mapping[str, str]) -> dict[str, str]:
    """Return namespace and pod of a Kubernetes alert; of the exporter's own pod nothing."""
    for namespace, pod, _ in POD_LABELS:
        found = said.get(f"exported_{pod}") or said.get(pod, "")
        inside = said.get(f"exported_{namespace}") or said.get(namespace, "")
        if inside and (found or "container" in said or "k8s_container_name" in said):
            return {"namespace": inside, "pod": "" if exporter_of(found) else found}
    return {}


def _first(values: Mapping[str, str], names: "list[str] | tuple[str, ...]") -> str:
    return next((values[name] for name in names if values.get(name)), "")


class Belonging:
    """Judges streams and series by their labels: ``own``, ``stranger``, or ``unknown`` where nothing tells."""

    def __init__(self, identity: Identity) -> None:
        self._of = identity

    def judge(self, labels: Mapping[str, str]) -> str:
        """Return whose these labels are."""
        verdicts = [verdict for verdict in self._verdicts(labels) if verdict is not None]
        if not all(verdicts):
            return "stranger"
        return "own" if verdicts else "unknown"

    def _verdicts(self, labels: Mapping[str, str]) -> list[bool | None]:
        of = self._of
        found: list[bool | None] = []
        for project, service in COMPOSE_LABELS:
            if project in labels and of.project:
                found.append(labels[project] == of.project)
                if of.service and service in labels:
                    found.append(labels[service] == of.service)
        found += [labels[name] == of.swarm_service for name in SWARM_LABELS if name in labels and of.swarm_service]
        pods = next((names for names in POD_LABELS if names[1] in labels and names[0] in labels), None)
        if pods is not None:
            found += self._pod_verdicts(labels, *pods)
        else:
            found += [self._is_container(labels[name]) for name in CONTAINER_LABELS if name in labels]
            if of.namespace and not of.containers and labels.get("namespace"):
                found.append(labels["namespace"] == of.namespace)
        if labels.get("service_namespace") and (of.project or of.namespace):
            found.append(labels["service_namespace"] in (of.project, of.namespace))
        found += [False for key, value in of.apart.items() if _says_otherwise(labels, SCOPE_LABELS[key], value)]
        if of.host and of.kind is not SubjectKind.host and labels.get("host"):
            found.append(_short_host(labels["host"]) == _short_host(of.host) or None)
        return found

    def _pod_verdicts(self, labels: Mapping[str, str], namespace: str, pod: str, container: str) -> list[bool | None]:
        of = self._of
        if of.containers and not of.pod and not of.namespace:
            return [self._is_container(labels[container])] if container in labels else []
        if of.namespace and labels[namespace] != of.namespace:
            return [False]
        is_pod = re.fullmatch(of.pod_pattern, labels[pod]) is not None
        if of.pod_container and labels.get(container):
            return [labels[container] == of.pod_container, is_pod if of.pod else True]
        return [is_pod]

    def _is_container(self, value: str) -> bool | None:
        of, name = self._of, value.removeprefix("/")
        if not name:
            return None
        if name in of.containers:
            return True
        if of.task_pattern and re.fullmatch(of.task_pattern, name):
            return True
        if of.containers or of.swarm_service:
            return False
        if of.project and of.service:
            return re.fullmatch(rf"{re.escape(of.project)}[-_]{re.escape(of.service)}(?:[-_][0-9]+)?", name) is not None
        return True if name == of.name else None


def agree(streams: "list[Mapping[str, str]]") -> str:
    """Return what parts streams of which nothing tells whose they are, or "" where they may be one service's."""
    for names in (
        *((name,) for name in CONTAINER_LABELS),
        *((project,) for project, _ in COMPOSE_LABELS if project != "project"),
        ("namespace",),
        ("service_namespace",),
        ("k8s_namespace_name",),
    ):
        stated = [stream[name] for name in names for stream in streams if stream.get(name)]
        values = {_REPLICA.sub("", value.removeprefix("/")) for value in stated}
        if len(values) > 1:
            return f"{names[0]} is {' and '.join(sorted(values)[:3])}"
    return ""


def _says_otherwise(labels: Mapping[str, str], names: Sequence[str], value: str) -> bool:
    stated = [labels[name] for name in names if labels.get(name)]
    return bool(stated) and value not in stated


def _short_host(name: str) -> str:
    return name.partition(".")[0].lower()
