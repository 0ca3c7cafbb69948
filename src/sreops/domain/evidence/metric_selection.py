"""Which selectors find the subject's own series, in the label names that the server has, and nobody else's. Pure.

cAdvisor knows a container by ``name``, the kubelet's by ``container`` and ``pod``, a host its exporter by ``instance``,
and blackbox its target; what an application tells of itself stands under its service's name. A selector is used for
those of its series that belong to the subject; what was asked, in order, and why, is kept for people.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sreops.domain.alerts.exporters import CONTAINER_EXPORTERS, POD_EXPORTERS, exporter_of
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.alerts.subject_labels import SCOPE_LABELS, TARGET_LABELS
from sreops.domain.evidence.identity import COMPOSE_LABELS, HOST_LABELS, POD_LABELS, SWARM_LABELS, Belonging, Identity
from sreops.domain.evidence.identity import agree as agree_in_names
from sreops.domain.text.quoting import is_quotable, promql_selector

MAX_SELECTORS = 12
_SERVICE_LABELS = ("service", "service_name", "service.name", "app", "app_kubernetes_io_name", "exported_service")
_OF_SCOPE = ("namespace", "cluster", "compose_project", "env", "environment")
_APART = ("cluster", "environment")
_OF_HOSTS = re.compile(
    r"(?:node|windows|wmi|system|host|netdata|smartctl|systemd)_.+|up|(?:cpu|mem|disk|swap)_(?:u|f).*"
)
_NAMES_OF_HOST_ONLY = frozenset({"node_uname_info", "node_os_info", "node_dmi_info"})
_TELLING_APART = (
    *(name for names in SCOPE_LABELS.values() for name in names), "exported_namespace", "pod", "instance", "job", "id",
)  # fmt: skip
_MAX_INSTANCES = 4

Labels = Mapping[str, str]


@dataclass(frozen=True)
class MetricSelector:
    """Matchers of series: exact ones, and RE2 patterns that we wrote ourselves."""

    labels: Labels = field(default_factory=dict)
    patterns: Labels = field(default_factory=dict)

    @property
    def promql(self) -> str:
        """The selector as a query."""
        return promql_selector(None, self.labels, patterns=self.patterns, utf8=True)


@dataclass(frozen=True)
class OwnSeries:
    """A selector of series that are the subject's own, and the names of its metrics."""

    selector: MetricSelector
    names: tuple[str, ...]


@dataclass(frozen=True)
class JudgedSeries:
    """What is to be done with a selector: what of it to ``use``, what to ask next (``follow``), and why."""

    why: str
    use: tuple[OwnSeries, ...] = ()
    follow: tuple[MetricSelector, ...] = ()


def metric_selectors(identity: Identity, said: Labels, names: Collection[str] | None) -> tuple[MetricSelector, ...]:
    """Return the selectors to try, the most telling first; ``names``: the server's label names, None: not known."""
    found: list[MetricSelector] = []
    for candidate in _candidates(identity, said):
        used = {**candidate.labels, **candidate.patterns}
        usable = all(used.values()) and all(is_quotable(value) for value in used.values())
        if usable and (names is None or all(name in names for name in used)) and candidate not in found:
            found.append(candidate)
    return tuple(found[:MAX_SELECTORS])


def _candidates(identity: Identity, said: Labels) -> Iterator[MetricSelector]:
    if identity.kind is SubjectKind.host:
        yield from _of_host(identity, said)
        return
    if identity.kind is SubjectKind.target:
        yield from _of_target(identity, said)
    if identity.kind is SubjectKind.rule and not identity.containers:
        yield from _as_said(said)
        return
    for container in identity.containers:
        yield MetricSelector({"name": container})
        yield MetricSelector({"container": container, **_narrowing(said)})
        yield MetricSelector({"container_name": container})
    if identity.project and identity.service:
        for project, service in COMPOSE_LABELS[:4]:
            yield MetricSelector({project: identity.project, service: identity.service})
    if identity.swarm_service:
        yield from (MetricSelector({name: identity.swarm_service}) for name in SWARM_LABELS)
        yield MetricSelector(patterns={"name": identity.task_pattern})
    if identity.namespace:
        yield from map(MetricSelector, _in_pods(identity))
    yield from map(MetricSelector, _of_itself(identity, said))


def _of_host(identity: Identity, said: Labels) -> Iterator[MetricSelector]:
    spoken = said.get("instance", "")
    if spoken.partition(":")[0] == identity.host or identity.host in spoken:
        yield MetricSelector({"instance": spoken})
    yield MetricSelector(patterns={"instance": f"{re.escape(identity.host)}(?::[0-9]+)?"})
    yield from (MetricSelector({name: identity.host}) for name in ("node", *HOST_LABELS, "host.name", "k8s_node_name"))


def _of_target(identity: Identity, said: Labels) -> Iterator[MetricSelector]:
    yield from (MetricSelector({name: identity.name}) for name in ("instance", *TARGET_LABELS))
    job = said.get("job", "")
    if job.endswith(f"/{identity.name}"):
        yield MetricSelector({"job": job})


def _as_said(said: Labels) -> Iterator[MetricSelector]:
    """Return the selector of an exporter's own series, such as those of one database; not of one of everybody's."""
    job, instance = said.get("job", ""), said.get("instance", "")
    everybodys = {exporter_of(job, job=True), exporter_of(instance.partition(":")[0])}
    if job and instance and not everybodys & (CONTAINER_EXPORTERS | POD_EXPORTERS):
        yield MetricSelector({"job": job, "instance": instance})


def _in_pods(identity: Identity) -> Iterator[Labels]:
    for namespace, pod, container in POD_LABELS[:2]:
        inside = {namespace: identity.namespace}
        if identity.pod_container:
            yield {**inside, **({pod: identity.pod} if identity.pod else {}), container: identity.pod_container}
        elif identity.pod:
            yield {**inside, pod: identity.pod}
        yield {**inside, "deployment": identity.name}
        yield {**inside, "statefulset": identity.name}


def _of_itself(identity: Identity, said: Labels) -> Iterator[Labels]:
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


def _narrowing(said: Labels) -> dict[str, str]:
    return {name: said[name] for name in _OF_SCOPE if said.get(name)}


def judge_series(selector: MetricSelector, series: Sequence[Labels], identity: Identity) -> JudgedSeries:
    """Say which of the series that a selector gives are the subject's own, and how they alone are asked for."""
    # ALERTS… carry the alerts' own labels
    series = [labels for labels in series if not labels.get("__name__", "").startswith("ALERTS")]
    if not series:
        return JudgedSeries("no series")
    if identity.kind is SubjectKind.host:
        return _of_the_host(selector, series)
    if identity.kind is SubjectKind.rule:
        return _used(selector, series, f"{_count(series)} of the exporter that the alert speaks of")
    parted = _parted(series, identity)
    own, strangers, unknown = parted["own"], parted["stranger"], parted["unknown"]
    if not strangers and not unknown:
        return _used(selector, own, f"{_count(own)}, all its own")
    if own and (narrowed := _narrowed(selector, own, (*strangers, *unknown))) is not None:
        return _used(
            narrowed, own, f"{_count(own)} its own, narrowed from {len(series)} by {_added(narrowed, selector)}"
        )
    if strangers:
        return JudgedSeries(f"it would take in strangers: {_words(strangers)}")
    if apart := _agree(series):
        return JudgedSeries(f"it may take in strangers: {apart}")
    for name, value in selector.labels.items():
        if exporter_of(value, job=name == "job"):
            return JudgedSeries(f"{name}={value} is an exporter's, which all of its series have")
    return _used(selector, series, f"{_count(series)} by the name {identity.name}, and none says otherwise")


def _used(selector: MetricSelector, series: Sequence[Labels], why: str) -> JudgedSeries:
    names = tuple(sorted({labels["__name__"] for labels in series if labels.get("__name__")}))
    return JudgedSeries(why, (OwnSeries(selector, names),))


def _parted(series: Sequence[Labels], identity: Identity) -> dict[str, list[Labels]]:
    belonging = Belonging(identity)
    verdicts = [belonging.judge(_as_told(labels)) for labels in series]
    home = {labels.get("instance") for labels in series if _is_at_home(labels, identity)}
    parted: dict[str, list[Labels]] = {"own": [], "stranger": [], "unknown": []}
    for labels, verdict in zip(series, verdicts, strict=True):
        # a container of that name on another host; the same host may tell of an earlier one by another id
        elsewhere = bool(home) and _of_container(labels) and labels.get("instance") not in home
        parted["stranger" if elsewhere else verdict].append(labels)
    return parted


def _is_at_home(series: Labels, identity: Identity) -> bool:
    if identity.container_id and identity.container_id in series.get("id", ""):
        return True
    place = (series.get("instance", "").partition(":")[0], series.get("host", ""), series.get("node", ""))
    return bool(identity.host) and _of_container(series) and identity.host in place


def _of_container(series: Labels) -> bool:
    return series.get("__name__", "").startswith("container_") or "image" in series


def _as_told(series: Labels) -> Labels:
    """Return what a series says about its subject: its own labels before its scraper's; ``name`` may be anything's."""
    told = {name: value for name, value in series.items() if name not in ("__name__", "project")}
    if not _of_container(series):
        told.pop("name", None)
    for name in ("namespace", "pod", "container"):
        if value := series.get(f"exported_{name}"):
            told[name] = value
    return told


def _narrowed(selector: MetricSelector, own: Sequence[Labels], others: Sequence[Labels]) -> MetricSelector | None:
    """Return a selector that keeps the others out: by one label where that does, else by all that the own share."""
    common = dict(set(own[0].items()).intersection(*(labels.items() for labels in own[1:])))
    usable = {name: value for name, value in common.items() if name != "__name__" and value and is_quotable(value)}
    ordered = [name for name in _TELLING_APART if name in usable]
    for labels in (*({name: usable[name]} for name in ordered), usable):
        if labels and not any(labels.items() <= other.items() for other in others):
            return MetricSelector({**selector.labels, **dict(sorted(labels.items()))}, selector.patterns)
    return None


def _of_the_host(selector: MetricSelector, series: Sequence[Labels]) -> JudgedSeries:
    """Take of a host what its exporters say of it: containers and services on it have their own incidents."""
    own = [labels for labels in series if _OF_HOSTS.fullmatch(labels.get("__name__", "")) and not _of_container(labels)]
    telling = [labels for labels in own if labels["__name__"] != "up"]
    named = dict.fromkeys(labels["instance"] for labels in telling or own if labels.get("instance"))
    instances = list(named)[:_MAX_INSTANCES]
    if not own:
        return JudgedSeries(f"{_count(series)}, none of the host itself")
    of_host_only = {labels["__name__"] for labels in telling} <= _NAMES_OF_HOST_ONLY
    if of_host_only and telling and "instance" not in selector.labels:
        follow = tuple(MetricSelector({"instance": instance}) for instance in instances)
        return JudgedSeries(f"it says that the host's exporter is {' and '.join(instances)}", follow=follow)
    if "instance" in selector.patterns:
        parts = [MetricSelector({"instance": instance}) for instance in instances]
    else:
        parts = [selector]
    use = [
        OwnSeries(part, tuple(sorted({labels["__name__"] for labels in own if part.labels.items() <= labels.items()})))
        for part in parts
    ]
    left = f", {len(series) - len(own)} of others left out" if len(series) > len(own) else ""
    return JudgedSeries(f"{_count(own)} of the host itself{left}", tuple(use))


def _agree(series: Sequence[Labels]) -> str:
    """Return what parts series of which nothing tells whose they are, or "" where they may be one service's."""
    stated = [_as_told(labels) for labels in series]
    if apart := agree_in_names(stated):
        return apart
    for key in _APART:
        values = {value for labels in stated for name in SCOPE_LABELS[key] if (value := labels.get(name))}
        if len(values) > 1:
            return f"{key} is {' and '.join(sorted(values)[:3])}"
    return ""


def _added(narrowed: MetricSelector, selector: MetricSelector) -> str:
    return ", ".join(f"{name}={value[:60]}" for name, value in narrowed.labels.items() if name not in selector.labels)


def _words(strangers: Sequence[Labels]) -> str:
    names = (*(project for project, _ in COMPOSE_LABELS[:4]), *SWARM_LABELS, "pod", "name", "container", "instance")
    told = {
        next((f"{name}={stranger[name][:60]}" for name in names if stranger.get(name)), "others")
        for stranger in strangers
    }
    return ", ".join(sorted(told)[:3]) + (" …" if len(told) > 3 else "")


def _count(series: Sequence[Labels]) -> str:
    return f"{len(series)} series"
