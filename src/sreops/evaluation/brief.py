"""A case made into what an analyst gets: the same evidence as an incident has, from recorded sources. Pure."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.causes.analysis import Brief, OfferedRunbook
from sreops.domain.evidence import findings
from sreops.domain.evidence.evidence import Evidence, EvidenceKind, LogLine, LogLines
from sreops.domain.evidence.suspected_change import SuspectedChange, Suspicion, onset_of, suspect
from sreops.domain.suspects.ranking import Metric, Observations, Ranking, rank
from sreops.domain.text.redaction import Redactor, clean, one_line
from sreops.evaluation.case import Baseline, Case

LEAST_EXCERPT_CHARS, MOST_EXCERPT_CHARS, EXCERPT_SHARE = 2_500, 12_000, 0.0085
"""The excerpt of logs: about a hundredth of them, small ones nearly whole, never more than an analyst reads."""
MAX_STATE_CHARS, MAX_STATES_CHARS = 4_000, 24_000
SUSPECTS_TOLD = 5
LEAST_SHARING = 3
"""So many services must have a series of the same ending, for what stands before it to be taken for a service."""
_MARKS = re.compile(r"[.|{/ ]")
_LABELLED = re.compile(r"^([^{]+?)\s*(\{.*\})$", re.S)
_OWNER_LABELS = ("service", "app", "deployment", "container", "pod", "instance", "namespace", "job")


@dataclass(frozen=True)
class Study:
    """A case ready for an analyst: the brief, the ranking that it tells of, and the part from logs."""

    brief: Brief
    ranking: Ranking
    log_excerpt: str
    suspicion: Suspicion | None = None


def study(case: Case, baseline: Baseline, offered: Sequence[OfferedRunbook] = (), *, number: int = 0) -> Study:
    """Gather the evidence of a case; ``number`` tells its brief apart, since a case's own id names the fault."""
    since = _since(case)
    at = datetime.fromtimestamp(since, UTC)
    redactor = Redactor()
    event = _alert(case, at)
    ranking = rank(scene(case, baseline, since))
    items: list[Evidence] = []
    if case.labels or case.annotations:
        items.append(findings.alert(event, redactor))
    logs = _logs(case, at, redactor)
    items += logs
    if case.events:
        # a cut halves secrets
        lines = (redactor.redact(clean(line))[:600] for line in _worst_first(case.events)[:60])
        text = "\n".join(lines)
        items.append(_piece(EvidenceKind.logs, "events", f"{len(case.events)} events of the cluster", text))
    items += _states(case, redactor)
    first = ranking.suspects[0].service if ranking.suspects and not ranking.abstained else ""
    suspicion = suspected(case, (case.service, first))
    if suspicion is not None:
        items.append(change_evidence(suspicion, redactor))
    if ranking.suspects and not ranking.abstained:
        items.append(suspects_evidence(ranking, redactor))
    numbered = findings.number(items)
    brief = Brief(incident_id=f"case-{number}", alerts=(event,), evidence=numbered, offered=tuple(offered))
    return Study(brief, ranking, "\n".join(item.text for item in logs), suspicion)


def suspected(case: Case, services: Sequence[str]) -> Suspicion | None:
    """Return the change that came right before the onset in one of these services, the first that has one."""
    for service in dict.fromkeys(services):
        changes = [
            SuspectedChange(
                at=datetime.fromtimestamp(change.at, UTC), service=change.service, text=change.text, flag=change.flag
            )
            for change in case.changes
            if change.service == service
        ]
        own = [(entry.ts, entry.line) for entry in case.logs if entry.service == service and entry.ts is not None]
        onset = onset_of((datetime.fromtimestamp(ts, UTC), line) for ts, line in own)
        if (found := suspect(changes, onset)) is not None:
            return found
    return None


def change_evidence(found: Suspicion, redactor: Redactor) -> Evidence:
    """Tell of the change that is suspected."""
    what = redactor.redact(one_line(found.change.text, 200))
    return Evidence(
        id="", kind=EvidenceKind.change, source="recorded", finding=one_line(f"{what}: {found.told}", 400),
        text=redactor.redact(clean(found.onset.line)),
        data={"suspected": {"told": found.told, "close": found.close}},
    )  # fmt: skip


def scene(case: Case, baseline: Baseline, since: float) -> Observations:
    """Return what the ranking of suspects works on; the services are the candidates where these own series or logs."""
    owners: dict[str, tuple[str, str]] = {}
    parts = case.candidates if components(case) else heads(case.metrics)
    for name in case.metrics:
        owners[name] = _owner(name, parts)
    services = parts or tuple(
        sorted(
            {owner for owner, _ in owners.values() if owner} | {entry.service for entry in case.logs if entry.service}
        )
    )
    end = case.window.get("fault_end_hint")
    return Observations(
        services=services,
        since=since,
        until=float("inf") if end is None else end + 60.0,
        metrics=[
            Metric(owner, short, case.metrics[name], baseline.metrics.get(name, ()))
            for name, (owner, short) in owners.items()
            if owner
        ],
        lines=[(entry.ts, entry.service, entry.line) for entry in case.logs if entry.ts is not None],
        line_history=[(entry.ts, entry.service, entry.line) for entry in baseline.logs if entry.ts is not None],
        calls=baseline.calls,
        masked=case.masked,
        entry=case.service if case.service in services else None,
    )


def components(case: Case) -> bool:
    """Whether the candidates are parts of the system: most of them have series or log lines of their own."""
    if not case.candidates:
        return False
    with_logs = {entry.service for entry in case.logs}
    owning = {_owner(name, case.candidates)[0] for name in case.metrics} | with_logs
    return 2 * sum(candidate in owning for candidate in case.candidates) >= len(case.candidates)


def heads(names: Collection[str]) -> tuple[str, ...]:
    """Return the services of series named ``carts_cpu``: what stands before endings that several of them share."""
    endings: dict[str, set[str]] = {}
    for name in names:
        head, mark, ending = name.partition("_")
        if mark and head and not _MARKS.search(name):
            endings.setdefault(ending, set()).add(head)
    shared = [heads for heads in endings.values() if len(heads) >= LEAST_SHARING]
    if 2 * sum(map(len, shared)) < len(names) or len(shared) < 2:
        return ()
    return tuple(sorted(set().union(*shared)))


def _owner(name: str, parts: Sequence[str]) -> tuple[str, str]:
    """Return whose series this is, and its name without the owner: by the longest candidate that it begins with."""
    for part in sorted((part for part in parts if name.startswith(part)), key=len, reverse=True):
        rest = name[len(part) :]
        if not rest or not (rest[0].isalnum() or rest[0] == "-"):
            return part, rest.lstrip(".|_:/ ") or part
    labelled = _LABELLED.match(name)
    if labelled is None:
        head, mark, rest = name.partition("." if "." in name else "|")
        return ("", name) if parts or not mark else (head, rest)
    short, inside = labelled[1], labelled[2]
    try:
        labels = json.loads(inside)
    except ValueError:
        labels = {"service": inside.strip("{}")}
    values = [str(labels[key]) for key in _OWNER_LABELS if key in labels] if isinstance(labels, dict) else []
    if parts:
        return next((value for value in values if value in parts), ""), short
    return (values[0] if values else ""), short


def suspects_evidence(ranking: Ranking, redactor: Redactor) -> Evidence:
    """Tell the analyst who is suspected, and why: the best few, with their signs."""
    lines = [
        f"{place}. {suspect.service} (score {suspect.score:.1f}): {'; '.join(suspect.signs[:3])}"
        for place, suspect in enumerate(ranking.suspects[:SUSPECTS_TOLD], start=1)
        if suspect.score > 0
    ]
    best = ranking.suspects[0]
    finding = f"of {len(ranking.suspects)} services {best.service} stands out most: {'; '.join(best.signs[:2])}"
    return Evidence(
        id="", kind=EvidenceKind.history, source="suspects", finding=redactor.redact(one_line(finding, 400)),
        text=redactor.redact(clean("\n".join(line[:600] for line in lines))),
        data={
            "abstained": ranking.abstained,
            "scores": {suspected.service: suspected.score for suspected in ranking.suspects[:SUSPECTS_TOLD]},
        },
    )  # fmt: skip


def _since(case: Case) -> float:
    if case.since is not None:
        return case.since
    times = [at for points in case.metrics.values() for at, _ in points]
    times += [entry.ts for entry in case.logs if entry.ts is not None]
    return (min(times) + max(times)) / 2 if times else 0.0


def _alert(case: Case, at: datetime) -> AlertEvent:
    severity = case.labels.get("severity", "").lower()
    return AlertEvent(
        event_id="case", source="case", fingerprint="case", status=AlertStatus.firing, labels=case.labels,
        annotations=case.annotations, starts_at=at, received_at=at, tier=Tier.unknown,
        severity=Severity(severity) if severity in list(Severity) else Severity.warning,
        service=case.service or "unknown",
    )  # fmt: skip


def _logs(case: Case, at: datetime, redactor: Redactor) -> list[Evidence]:
    if not case.logs:
        return []
    timed = [entry.ts for entry in case.logs if entry.ts is not None]
    last = min(timed, default=at.timestamp())
    lines = []
    for entry in case.logs:
        last = entry.ts if entry.ts is not None else last  # a line without a time came after the one before it
        lines.append(LogLine(at=datetime.fromtimestamp(last, UTC), text=entry.line, labels={"service": entry.service}))
    total = sum(len(entry.line) for entry in case.logs)
    budget = int(min(MOST_EXCERPT_CHARS, max(LEAST_EXCERPT_CHARS, EXCERPT_SHARE * total)))
    found = LogLines(query="", lines=tuple(lines))
    return [findings.logs(found, case.service or "all services", at, budget, redactor, source="logs")]


def _states(case: Case, redactor: Redactor) -> list[Evidence]:
    """Return what tools told of states, each cut to a share: any of them may be a page of JSON."""
    share = max(600, min(MAX_STATE_CHARS, MAX_STATES_CHARS // max(1, len(case.evidence))))
    return [
        _piece(
            EvidenceKind.container, "recorded", f"what {one_line(name, 120)} said", redactor.redact(clean(text))[:share]
        )
        for name, text in list(case.evidence.items())[: MAX_STATES_CHARS // 600]
    ]


def _piece(kind: EvidenceKind, source: str, finding: str, text: str) -> Evidence:
    return Evidence(id="", kind=kind, source=source, finding=finding, text=text)


def _worst_first(events: Sequence[str]) -> list[str]:
    return sorted(dict.fromkeys(events), key=lambda line: " Normal " in line)
