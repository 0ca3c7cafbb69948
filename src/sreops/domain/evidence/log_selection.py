"""Which selector finds the subject's own log lines, in the vocabulary of the server, and nobody else's. Pure.

A selector is used if what it returns belongs to the subject; what was asked, in order, and why one was taken is kept
for people. Which tool labels how is told in ``docs/labels.md``.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sreops.domain.alerts.exporters import exporter_of
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.evidence.identity import (
    COMPOSE_LABELS,
    CONTAINER_LABELS,
    HOST_LABELS,
    POD_LABELS,
    SWARM_LABELS,
    Belonging,
    Identity,
    agree,
)
from sreops.domain.text.quoting import is_label_name, logql_fields, logql_pattern, logql_selector

MAX_SELECTORS = 24
SHARED_LABELS = ("service_name", "job", "app", "source", "agent", "host")
"""Labels by one of which every stream of a shipper can be listed."""
_SERVICE_LABELS = (
    "service_name", "service", "app", "app_kubernetes_io_name", "compose_service", "k8s_deployment_name",
    "deployment", "application", "component", "job",
)  # fmt: skip
_OF_STREAMS = frozenset({"level", "detected_level", "severity", "severity_text", "stream", "filename"})
_UNWRAPPED = " | line_format `{{if .log}}{{.log}}{{else if .message}}{{.message}}{{else}}{{__line__}}{{end}}`"


@dataclass(frozen=True)
class LogSelector:
    """A question to Loki: stream matchers, and for streams that many share a filter on the record's own fields."""

    labels: Mapping[str, str] = field(default_factory=dict)
    patterns: Mapping[str, str] = field(default_factory=dict)
    pipeline: str = ""

    @property
    def logql(self) -> str:
        """The query without its line filters."""
        return logql_selector(self.labels, self.patterns) + self.pipeline

    @property
    def streams(self) -> str:
        """The stream selector alone."""
        return logql_selector(self.labels, self.patterns)

    def searching(self, pattern: str) -> "LogSelector":
        """Return the selector of those of its lines in which a pattern (RE2) is found."""
        return replace(self, pipeline=self.pipeline + logql_pattern(pattern))


@dataclass(frozen=True)
class TriedSelector:
    """One selector that was tried: ``taken``, or why not."""

    query: str
    taken: bool
    why: str


@dataclass(frozen=True)
class SelectorVerdict:
    """What is to be done with a selector: ``use`` it, or None; ``why`` is for people."""

    use: LogSelector | None
    why: str


def selectors(identity: Identity, said: Mapping[str, str], names: Collection[str] | None) -> tuple[LogSelector, ...]:
    """Return the selectors to try, the most telling first, in label names that the server has.

    ``said`` are the alert's labels: where the alert comes from the logs, they select them as they stand. ``names``
    None: which exist is not known, and all are tried.
    """
    found: dict[str, LogSelector] = {}
    for candidate in _candidates(identity, said):
        if all(names is None or name in names for name in (*candidate.labels, *candidate.patterns)):
            found.setdefault(candidate.streams, candidate)
    return tuple(found.values())[:MAX_SELECTORS]


def _candidates(identity: Identity, said: Mapping[str, str]) -> Iterator[LogSelector]:
    if identity.kind is SubjectKind.host:
        yield from (LogSelector({name: identity.host}) for name in HOST_LABELS)
        return
    if not identity.of_containers:
        return
    yield from _as_said(identity, said)
    for container in identity.containers:
        yield from (LogSelector(patterns={name: f"/?{re.escape(container)}"}) for name in CONTAINER_LABELS)
    if identity.project and identity.service:
        yield from (
            LogSelector({project_label: identity.project, service_label: identity.service})
            for project_label, service_label in COMPOSE_LABELS
        )
    if identity.swarm_service:
        yield from (LogSelector({name: identity.swarm_service}) for name in SWARM_LABELS)
        yield from (LogSelector(patterns={name: identity.task_pattern}) for name in CONTAINER_LABELS)
    if identity.namespace:
        yield from _in_pods(identity)
    for name in dict.fromkeys((identity.service, identity.name)):
        if not name:
            continue
        for namespace in dict.fromkeys((identity.project, identity.namespace)):
            if namespace:
                yield LogSelector({"service_name": name, "service_namespace": namespace})
        yield from (LogSelector(patterns={"service_name": f"/?{re.escape(name)}"}) for _ in (1,))
        yield from (LogSelector({label: name}) for label in _SERVICE_LABELS if label != "service_name")
        yield from (LogSelector(patterns={label: f"/?{re.escape(name)}"}) for label in CONTAINER_LABELS)


def _as_said(identity: Identity, said: Mapping[str, str]) -> Iterator[LogSelector]:
    telling = [name for name in (*CONTAINER_LABELS, *SWARM_LABELS) if _names(said.get(name, ""), identity)]
    scope = ("compose_project", "namespace", "host")
    for name in telling:
        yield LogSelector({name: said[name], **{label: said[label] for label in scope if said.get(label)}})


def _names(value: str, identity: Identity) -> bool:
    bare = value.removeprefix("/")
    return bool(bare) and (bare in identity.containers or bare in (identity.name, identity.swarm_service))


def _in_pods(identity: Identity) -> Iterator[LogSelector]:
    for namespace, pod, container in POD_LABELS:
        inside = {namespace: identity.namespace}
        if identity.pod_container:
            exact = {**inside, container: identity.pod_container}
            yield LogSelector(exact, {pod: identity.pod_pattern} if identity.pod else {})
        else:
            yield LogSelector(inside, {pod: identity.pod_pattern})
        yield from (LogSelector({**inside, label: identity.name}) for label in ("app", "service_name"))


def judge(selector: LogSelector, streams: Sequence[Mapping[str, str]], identity: Identity) -> SelectorVerdict:
    """Say whether what a selector returns belongs to the subject; where strangers are in it, narrow it to its own."""
    if not streams:
        return SelectorVerdict(None, "no stream")
    if identity.kind is SubjectKind.host:
        return _of_the_host(selector, streams)
    belonging = Belonging(identity)
    parted: dict[str, list[Mapping[str, str]]] = {"own": [], "stranger": [], "unknown": []}
    for stream in streams:
        parted[belonging.judge(stream)].append(stream)
    own, strangers, unknown = parted["own"], parted["stranger"], parted["unknown"]
    if not strangers and own and not unknown:
        return SelectorVerdict(selector, f"{_count(own)}, all its own")
    if not strangers and not own:
        return _unknown(selector, unknown, identity)
    if own:
        narrowed = _common(own)
        others = [stream for stream in (*strangers, *unknown) if narrowed.items() <= stream.items()]
        if narrowed and not others:
            return SelectorVerdict(LogSelector(narrowed), f"{_count(own)} its own, narrowed from {_count(streams)}")
    taken_in = _common_words(strangers or unknown)
    return SelectorVerdict(None, f"it would take in strangers: {taken_in}")


def _unknown(selector: LogSelector, streams: Sequence[Mapping[str, str]], identity: Identity) -> SelectorVerdict:
    """Judge streams of which no label tells whose they are, but the one that was asked for."""
    if parted := agree(list(streams)):
        return SelectorVerdict(None, f"it may take in strangers: {parted}")
    for name, value in (*selector.labels.items(), *selector.patterns.items()):
        bare = value.removeprefix("/?").replace("\\", "").removeprefix("/")
        if exporter_of(bare, job=name == "job"):
            return SelectorVerdict(None, f"{name}={bare} is a shipper's, which all of its streams have")
    return SelectorVerdict(selector, f"{_count(streams)} by the name {identity.name}, and none says otherwise")


def _of_the_host(selector: LogSelector, streams: Sequence[Mapping[str, str]]) -> SelectorVerdict:
    """Take of a host what is no container's: its journal, its system log."""
    inside = [*CONTAINER_LABELS[:3], *SWARM_LABELS, *(service for _, service in COMPOSE_LABELS[:-1]), "pod"]
    own = [stream for stream in streams if not any(stream.get(name) for name in inside)]
    if not own:
        return SelectorVerdict(None, f"{_count(streams)}, all of containers on that host: none of the host itself")
    if len(own) == len(streams):
        return SelectorVerdict(selector, f"{_count(own)} of the host itself")
    narrowed = _common(own)
    if narrowed and not any(narrowed.items() <= stream.items() for stream in streams if stream not in own):
        return SelectorVerdict(
            LogSelector(narrowed), f"{_count(own)} of the host itself, narrowed from {_count(streams)}"
        )
    return SelectorVerdict(None, "its streams can't be told from those of its containers")


def shared(streams: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the label sets of streams that many containers share, since no label names any."""
    naming = {*CONTAINER_LABELS, *SWARM_LABELS, "pod", "k8s_pod_name", "kubernetes_pod_name", "service", "unit"}
    naming |= {service for _, service in COMPOSE_LABELS}
    found: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for stream in streams:
        if any(stream.get(name) for name in naming) or _has_a_service_of_its_own(stream):
            continue
        static = {name: value for name, value in stream.items() if name not in _OF_STREAMS and is_label_name(name)}
        if static:
            found.setdefault(tuple(sorted(static.items())), static)
    return list(found.values())[:8]


def _has_a_service_of_its_own(stream: Mapping[str, str]) -> bool:
    """Whether ``service_name`` is more than what Loki made of another label, or of nothing."""
    value = stream.get("service_name", "")
    made = not value or value.startswith("unknown_service") or exporter_of(value, job=True) is not None
    return not made and value not in {text for name, text in stream.items() if name != "service_name"}


def in_records(static: Mapping[str, str], identity: Identity) -> LogSelector | None:
    """Return the selector of a shared stream's lines whose record names the subject; None where it has no name.

    Fluent Bit and Vector send the record of Docker's fluentd driver or API as JSON: who wrote the line is in it.
    """
    wanted: list[str] = []
    for container in identity.containers:
        wanted.append(_field_pattern("container_name", f"/?{re.escape(container)}"))
    if identity.project and identity.service:
        for project, service in COMPOSE_LABELS[1:4]:
            wanted.append(_both({project: identity.project, service: identity.service}))
    if identity.swarm_service:
        wanted.append(_field_pattern("container_name", identity.task_pattern))
        wanted += [_both({name: identity.swarm_service}) for name in SWARM_LABELS[1:]]
    if identity.namespace and identity.pod_container:
        for namespace, _, container in POD_LABELS[1:]:
            wanted.append(_both({namespace: identity.namespace, container: identity.pod_container}))
    elif identity.namespace and not identity.containers:
        for namespace, pod, _ in POD_LABELS[1:]:
            inside = _both({namespace: identity.namespace})[1:-1]
            wanted.append(f"({inside} and {_field_pattern(pod, identity.pod_pattern)})")
    if not wanted:
        return None
    return LogSelector(static, pipeline=f" | json | {' or '.join(wanted)}{_UNWRAPPED}")


def of_host_fields(names: Collection[str], identity: Identity) -> LogSelector | None:
    """Return the selector of a host's lines where it is a field beside them, as OpenTelemetry sends it."""
    if identity.kind is not SubjectKind.host or "service_name" not in names:
        return None
    return LogSelector(patterns={"service_name": ".+"}, pipeline=logql_fields({"host_name": identity.host}))


def _field_pattern(name: str, pattern: str) -> str:
    return logql_selector({}, {name: pattern})[1:-1]


def _both(fields: Mapping[str, str]) -> str:
    return "(" + logql_fields(fields).removeprefix(" | ").replace(" | ", " and ") + ")"


def _common(streams: Sequence[Mapping[str, str]]) -> dict[str, str]:
    shared_items = set(streams[0].items()).intersection(*(stream.items() for stream in streams[1:]))
    return {name: value for name, value in sorted(shared_items) if name not in _OF_STREAMS and is_label_name(name)}


def _common_words(streams: Sequence[Mapping[str, str]]) -> str:
    names = (*CONTAINER_LABELS, "compose_service", "swarm_service", "pod", "service_name", "job")
    nameless = "streams without a name"
    told = {next((f"{name}={stream[name]}" for name in names if stream.get(name)), nameless) for stream in streams}
    return ", ".join(sorted(told)[:3]) + (" …" if len(told) > 3 else "")


def _count(streams: Sequence[Mapping[str, str]]) -> str:
    return f"{len(streams)} stream{'' if len(streams) == 1 else 's'}"
