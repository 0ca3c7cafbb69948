"""What is wrong with runbooks that can be read: queries, examples, and what is never chosen. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent, AlertStatus, Severity, Tier
from sreops.domain.alerts.severity import severity_of
from sreops.domain.alerts.subject import subject_of
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Reason
from sreops.domain.runbooks.matching import RULES, action_of, by_priority, select_runbook
from sreops.domain.runbooks.promql import fault_of
from sreops.domain.runbooks.runbook import Example, Runbook, StepAction, When
from sreops.domain.runbooks.stand_in import analysis_of

NONE = "none"
"""What an example expects where no runbook is to be chosen."""
_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Remark(BaseModel):
    """One thing that lint has found; ``wrong``: a mistake, else something to look at."""

    model_config = ConfigDict(frozen=True)
    runbook_id: str
    what: str
    wrong: bool = True


def remarks(runbooks: Sequence[Runbook]) -> list[Remark]:
    """Return what is wrong with the runbooks together, and what is worth a look."""
    return [*_queries(runbooks), *_examples(runbooks), *_never_chosen(runbooks)]


def queries_of(runbook: Runbook) -> list[str]:
    """Return every PromQL query of a runbook, templates not filled in."""
    steps = [step.params["promql"] for step in runbook.steps if step.action is StepAction.query_prometheus]
    return [*steps, *(condition.promql for condition in runbook.verify)]


def _queries(runbooks: Sequence[Runbook]) -> list[Remark]:
    return [
        Remark(runbook_id=runbook.id, what=f"{query}: is no PromQL: {fault}")
        for runbook in runbooks
        for query in queries_of(runbook)
        if (fault := fault_of(query))
    ]


def _examples(runbooks: Sequence[Runbook]) -> list[Remark]:
    known = {runbook.id for runbook in runbooks}
    found = []
    for runbook in runbooks:
        for number, example in enumerate(runbook.examples, 1):
            expected = example.expect or runbook.id
            if expected != NONE and expected not in known:
                found.append(Remark(runbook_id=runbook.id, what=f"example {number} expects {expected!r}: no such id"))
                continue
            chosen, why = chosen_for(example, runbooks, runbook)
            if chosen != expected:
                what = f"example {number} expects {expected!r}, and {chosen!r} is chosen: {why}"
                found.append(Remark(runbook_id=runbook.id, what=what))
    return found


def chosen_for(example: Example, runbooks: Sequence[Runbook], of: Runbook | None = None) -> tuple[str, str]:
    """Return the id that the rules would choose for an example (or ``none``), and why; ``of``: whose example it is."""
    evidence = [
        Evidence(id="E1", kind=EvidenceKind.logs, source="example", finding="example", text="\n".join(example.logs))
    ]
    evidence += [
        Evidence(id=f"E{number}", kind=EvidenceKind.container, source="example", finding=finding)
        for number, finding in enumerate(example.findings, 2)
    ]
    analysis = analysis_of(example.cause, reasoning="an example", advice=action_of(of) if of is not None else None)
    selection = select_runbook(runbooks, [_event(example)], analysis, RULES, evidence)
    if selection.runbook:
        return selection.runbook.id, selection.why
    if selection.reason is Reason.action_not_remediation and selection.would_have:
        return selection.would_have, selection.why  # a guide: named to people, whatever is recommended
    return NONE, selection.why


def _event(example: Example) -> AlertEvent:
    labels = dict(example.alert)
    subject = subject_of(labels, labels.setdefault("alertname", "Example"))
    return AlertEvent.model_validate(
        {
            "event_id": "example", "source": "grafana", "fingerprint": "example", "status": AlertStatus.firing,
            "labels": labels, "annotations": {}, "startsAt": _AT, "received_at": _AT, "tier": Tier.autonomous,
            "severity": severity_of(labels.get("severity", "")) or Severity.warning, "service": subject.name,
            "subject": subject, "runbook_id": labels.get("runbook_id"),
        }
    )  # fmt: skip


def _never_chosen(runbooks: Sequence[Runbook]) -> list[Remark]:
    """Find runbooks that the rules never reach, because one before them takes all their alerts."""
    found = []
    ordered = by_priority(runbooks)
    for index, later in enumerate(ordered):
        for earlier in ordered[:index]:
            if later.when.empty or earlier.when.empty or not _same_actions(earlier, later):
                continue
            if _covers(earlier.when, later.when):
                found.append(_shadowed(earlier, later))
                break
    return found


def _shadowed(earlier: Runbook, later: Runbook) -> Remark:
    if earlier.not_when.empty:
        what = f"is never chosen by the rules: {earlier.id!r} stands before it and takes every alert that it takes"
        return Remark(runbook_id=later.id, what=what)
    what = f"is chosen by the rules only where the not_when of {earlier.id!r} holds, which takes the same alerts"
    return Remark(runbook_id=later.id, what=what, wrong=False)


def _same_actions(earlier: Runbook, later: Runbook) -> bool:
    """Whether the earlier one does all that the later one does, so that no advice fits the later one alone."""
    return {step.action for step in later.steps} <= {step.action for step in earlier.steps}


def _covers(wide: When, narrow: When) -> bool:
    """Whether every alert, cause and log that meets ``narrow`` surely meets ``wide``: told from their words alone."""
    for name in ("alertname", "severity", "root_cause", "findings", "logs"):
        asked, given = set(getattr(wide, name)), set(getattr(narrow, name))
        if asked and "*" not in asked and not (given and given <= asked):
            return False
    for name, globs in wide.labels.items():
        if not narrow.labels.get(name) or set(narrow.labels[name]) - set(globs):
            return False
    return wide.subject is None or wide.subject == narrow.subject
