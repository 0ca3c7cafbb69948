"""The subject's own log lines: from Loki by a selector that takes in nobody else, else from the engine itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sreops.agent.analysis_thread import in_analysis_thread
from sreops.agent.evidence.question import Question
from sreops.domain.alerts.subject import SubjectKind
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import ContainerState, Evidence, LogLines, Window
from sreops.domain.evidence.identity import Identity, identity_of
from sreops.domain.evidence.log_mining import excerpt
from sreops.domain.evidence.log_selection import (
    SHARED_LABELS,
    LogSelector,
    TriedSelector,
    in_records,
    judge,
    of_host_fields,
    selectors,
    shared,
)
from sreops.errors import QueryRefused, SreopsError
from sreops.ports import Logs
from sreops.telemetry import log

LABELS_UNKNOWN: Final = "evidence.labels_unknown"
NOTHING = LogLines(query="", lines=())


@dataclass(frozen=True)
class OwnLogs:
    """What was found: the evidence, its lines, and the labels under which Loki has them (the first names it)."""

    evidence: Sequence[Evidence] = ()
    lines: LogLines = NOTHING
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Selected:
    """The selector that was taken, if any, its lines, and what was asked on the way."""

    selector: LogSelector | None
    lines: LogLines
    asked: Sequence[TriedSelector]


async def own_logs(question: Question, state: ContainerState | None) -> OwnLogs:
    """Read the subject's lines; ``state`` is its container, where the engine knows one."""
    tools, settings = question.tools, question.tools.settings.loki
    if tools.logs is None:
        health = (tools.missing or {}).get("loki")
        gap = findings.gap("loki", "not configured", health.cure if health else "")
        engine = await _of_the_engine(question, state)
        return OwnLogs([gap, *engine.evidence], engine.lines)
    identity = identity_of(question.event, state)
    labels = question.event.labels
    found = await select_own(tools.logs, identity, labels, question.window, settings.max_lines, settings.timeout_s)
    if found.selector is None or not found.lines.lines:
        told = _nothing_found(question, identity, found)
        engine = await _of_the_engine(question, state)
        return OwnLogs([told, *engine.evidence], engine.lines)
    evidence = await _mined(question, found.lines, "loki", found.asked)
    named = {**found.selector.labels, **{name: _plain(value) for name, value in found.selector.patterns.items()}}
    return OwnLogs([evidence], found.lines, {} if found.selector.pipeline else _name_first(named, identity))


async def select_own(
    logs: Logs, identity: Identity, said: dict[str, str], window: Window, limit: int, timeout_s: float
) -> Selected:
    """Try one selector after another until one gives lines of the subject's own, and of nobody else."""
    try:
        names = await logs.label_names(window, timeout_s=timeout_s)
    except SreopsError as exc:
        log.warning(LABELS_UNKNOWN, error=str(exc))
        names = None
    asked: list[TriedSelector] = []
    for selector in selectors(identity, said, names):
        verdict = judge(selector, await logs.streams(selector, window, timeout_s=timeout_s), identity)
        if verdict.use is None:
            asked.append(TriedSelector(selector.streams, False, verdict.why))
            continue
        lines = await logs.select(verdict.use, window, limit=limit, timeout_s=timeout_s)
        asked.append(
            TriedSelector(verdict.use.logql, bool(lines.lines), verdict.why if lines.lines else "no line in it")
        )
        if lines.lines:
            return Selected(verdict.use, lines, asked)
    for selector in await _shared_selectors(logs, identity, names or frozenset(), window, timeout_s):
        try:
            lines = await logs.select(selector, window, limit=limit, timeout_s=timeout_s)
        except QueryRefused as exc:
            asked.append(TriedSelector(selector.logql, False, str(exc)[:200]))
            continue
        why = "the records name it" if lines.lines else "no record in it names the subject"
        asked.append(TriedSelector(selector.logql, bool(lines.lines), why))
        if lines.lines:
            return Selected(selector, lines, asked)
    return Selected(None, NOTHING, asked)


async def _shared_selectors(
    logs: Logs, identity: Identity, names: frozenset[str], window: Window, timeout_s: float
) -> list[LogSelector]:
    """Return the selectors of streams that many share, by what their records say of who wrote them."""
    if (of_host := of_host_fields(names, identity)) is not None:
        return [of_host]
    if in_records({}, identity) is None:
        return []
    listed = next((name for name in SHARED_LABELS if name in names), None)
    if listed is None:
        return []
    streams = await logs.streams(LogSelector(patterns={listed: ".+"}), window, timeout_s=timeout_s)
    return [selector for static in shared(streams) if (selector := in_records(static, identity)) is not None]


async def _of_the_engine(question: Question, state: ContainerState | None) -> OwnLogs:
    """Read the container's own log where Loki has nothing, and say that it is that."""
    containers, settings = question.tools.containers, question.tools.settings
    if containers is None or state is None:
        return OwnLogs()
    found = await containers.logs(
        state.id, since=question.window.start, limit=settings.loki.max_lines, timeout_s=settings.docker.timeout_s
    )
    return OwnLogs([await _mined(question, found, "docker", ())], found)


async def _mined(question: Question, found: LogLines, source: str, asked: Sequence[TriedSelector]) -> Evidence:
    # counting templates over thousands of lines is work for a thread, not for the loop; redaction is not
    chosen = await in_analysis_thread(excerpt, found.lines, question.alert_at, question.excerpt_chars)
    return findings.logs_told(found, chosen, question.event.service, question.redactor, source=source, asked=asked)


def _nothing_found(question: Question, identity: Identity, found: Selected) -> Evidence:
    cure = f"give the logs of {identity.name} a label with its container's name, or compose_project and compose_service"
    if identity.kind is SubjectKind.host:
        cure = f"ship the journal of {identity.name} with a label for its host name"
    why = "no stream is known to be the subject's own" + ("" if found.asked else ": no label there names it")
    return findings.gap("loki", why, cure, tried=findings.tried(found.asked, question.redactor))


def _plain(pattern: str) -> str:
    return pattern.removeprefix("/?").replace("\\", "")


def _name_first(labels: dict[str, str], identity: Identity) -> dict[str, str]:
    """Return the labels with the one that names the subject first: its neighbours' are found by the same."""
    names = {identity.name, identity.service, identity.swarm_service, *identity.containers}
    return dict(sorted(labels.items(), key=lambda item: item[1].removeprefix("/") not in names))
