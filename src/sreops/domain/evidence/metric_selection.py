"""Which label sets select the subject's own metrics, in the label names that the server has. Pure.

cAdvisor knows a container by ``name``, the kubelet's by ``container`` and ``pod``, a host its exporter by ``instance``,
and blackbox its target; what an application tells of itself stands under its service's name.
"""

from collections.abc import Collection, Iterator, Mapping

from sreops.domain.alerts.exporters import HOST_EXPORTERS, TARGET_EXPORTERS, exporter_of
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.evidence.identity import COMPOSE_LABELS, POD_LABELS, SWARM_LABELS, Identity
from sreops.domain.text.quoting import is_quotable

MAX_LABEL_SETS = 10
_SERVICE_LABELS = ("service", "service_name", "service.name", "app", "app_kubernetes_io_name", "exported_service")
_OF_SCOPE = ("namespace", "cluster", "compose_project", "env", "environment")


def metric_label_sets(
    identity: Identity, said: Mapping[str, str], names: Collection[str] | None
) -> tuple[dict[str, str], ...]:
    """Return the label sets to ask for metrics of, the most telling first; ``names`` None: all are tried."""
    found: list[dict[str, str]] = []
    for one in _candidates(identity, said):
        usable = all(one.values()) and all(is_quotable(value) for value in one.values())
        if usable and (names is None or all(name in names for name in one)) and one not in found:
            found.append(one)
    return tuple(found[:MAX_LABEL_SETS])


def _candidates(identity: Identity, said: Mapping[str, str]) -> Iterator[dict[str, str]]:
    if identity.kind is SubjectKind.host:
        yield from _of_host(identity, said)
        return
    if identity.kind is SubjectKind.target:
        yield {"instance": identity.name}
        yield {"target": identity.name}
    for container in identity.containers:
        yield {"name": container}
        yield {"container": container, **_narrowing(said)}
        yield {"container_name": container}
    if identity.project and identity.service:
        yield from ({project: identity.project, service: identity.service} for project, service in COMPOSE_LABELS[:4])
    if identity.swarm_service:
        yield from ({name: identity.swarm_service} for name in SWARM_LABELS)
    if identity.namespace:
        yield from _in_pods(identity)
    yield from _of_itself(identity, said)


def _of_host(identity: Identity, said: Mapping[str, str]) -> Iterator[dict[str, str]]:
    speaker = exporter_of(said.get("job", ""), job=True)
    if said.get("instance", "").partition(":")[0] == identity.host or speaker in HOST_EXPORTERS | TARGET_EXPORTERS:
        yield {"instance": said.get("instance", "")}
    yield from ({name: identity.host} for name in ("instance", "node", "nodename", "host"))


def _in_pods(identity: Identity) -> Iterator[dict[str, str]]:
    for namespace, pod, container in POD_LABELS[:2]:
        inside = {namespace: identity.namespace}
        if identity.pod_container:
            yield {**inside, **({pod: identity.pod} if identity.pod else {}), container: identity.pod_container}
        elif identity.pod:
            yield {**inside, pod: identity.pod}
        yield {**inside, "deployment": identity.name}
        yield {**inside, "statefulset": identity.name}


def _of_itself(identity: Identity, said: Mapping[str, str]) -> Iterator[dict[str, str]]:
    names = [name for name in dict.fromkeys((identity.service, identity.name)) if name]
    narrowing = _narrowing(said)
    for name in names:
        for label in _SERVICE_LABELS:
            if narrowing:
                yield {label: name, **narrowing}
            yield {label: name}
        if exporter_of(name, job=True) is None:  # a job of that name is an exporter's, with everybody's series
            yield from ({"job": f"{inside}/{name}"} for inside in (identity.project, identity.namespace) if inside)
            yield {"job": name}
            yield {"exported_job": name}


def _narrowing(said: Mapping[str, str]) -> dict[str, str]:
    return {name: said[name] for name in _OF_SCOPE if said.get(name)}
