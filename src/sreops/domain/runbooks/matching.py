"""Matching: which runbook, if any, and if none, why not. Pure; every answer has its reason."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.causes.analysis import Analysis, OfferedRunbook, RecommendedAction
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.incidents.incident import Reason
from sreops.domain.runbooks.runbook import Autonomy, Runbook, StepAction, SubjectGlobs, When
from sreops.domain.text.patterns import glob_matches, pattern_matches

RULES = "rules"
"""The analyst that names no runbook: after it, the runbooks' own patterns match."""

_REPAIRS = (StepAction.play_job, StepAction.run_pipeline, StepAction.call_webhook)
_FITTING = {
    RecommendedAction.restart: frozenset({StepAction.restart_container, StepAction.start_container}),
    RecommendedAction.start: frozenset({StepAction.restart_container, StepAction.start_container}),
    RecommendedAction.scale: frozenset({StepAction.scale_container}),
    RecommendedAction.rollback: frozenset({StepAction.rollback_deployment, StepAction.rollback_service, *_REPAIRS}),
    RecommendedAction.repair: frozenset({StepAction.exec_in_container, StepAction.stop_container, *_REPAIRS}),
}


def action_of(runbook: Runbook) -> RecommendedAction | None:
    """Return the advice that a runbook follows by one of its steps; None where it only looks or tells."""
    does = {step.action for step in runbook.steps}
    return next((advice for advice, fitting in _FITTING.items() if does & fitting), None)


_CURES = (RecommendedAction.rollback, RecommendedAction.repair, RecommendedAction.scale)
"""What a runbook's steps amount to where the rules by themselves would call a person."""


def advised(
    runbooks: Sequence[Runbook], events: Sequence[AlertEvent], analysis: Analysis, evidence: Sequence[Evidence] = ()
) -> Analysis:
    """Return the rules' analysis, which recommends what a runbook does that its author wrote for this very cause.

    The rules know which causes a restart or more replicas cure. What else cures one is for the author of a runbook to
    say, whose conditions on cause or evidence hold: they then recommend that instead of a call for a person.
    """
    if analysis.recommended_action not in (RecommendedAction.escalate, RecommendedAction.investigate):
        return analysis
    for runbook in by_priority(runbooks):
        cure = action_of(runbook)
        if cure not in _CURES or runbook.when.of_alert_only or runbook.autonomy is Autonomy.never:
            continue
        if matches(runbook.when, events, analysis, evidence) and not matches(
            runbook.not_when, events, analysis, evidence
        ):
            return analysis.model_copy(update={"recommended_action": cure})
    return analysis


class Selection(BaseModel):
    """The runbook to plan with, or the ``reason`` to escalate; ``would_have`` is what would have matched."""

    model_config = ConfigDict(frozen=True)
    runbook: Runbook | None = None
    how: Literal["label", "analysis", "patterns"]
    why: str
    reason: Reason | None = None
    would_have: str | None = None


def matches(when: When, events: Sequence[AlertEvent], analysis: Analysis, evidence: Sequence[Evidence]) -> bool:
    """Say whether all keys of ``when`` hold, any value of each; a ``when`` without keys matches nothing."""
    if when.empty or not _alert_matches(when, events):
        return False
    if when.root_cause:
        texts = (analysis.root_cause, analysis.category.value)
        if not any(pattern_matches(pattern, text) for pattern in when.root_cause for text in texts):
            return False
    if when.findings and not _any_matches(when.findings, [item.finding for item in evidence]):
        return False
    return not when.logs or _any_matches(when.logs, [item.text for item in evidence if item.kind is EvidenceKind.logs])


def may_match(when: When, events: Sequence[AlertEvent], analysis: Analysis, evidence: Sequence[Evidence]) -> bool:
    """Say whether all keys but ``logs`` hold: then what the logs say decides."""
    others = when.model_copy(update={"logs": ()})
    return bool(when.logs) and (others.empty or matches(others, events, analysis, evidence))


def _any_matches(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    return any(pattern_matches(pattern, text) for pattern in patterns for text in texts)


def by_priority(runbooks: Sequence[Runbook]) -> list[Runbook]:
    """Return the runbooks in the order in which they are tried: the highest priority first, then as in the file."""
    return sorted(runbooks, key=lambda runbook: -runbook.priority)


def offered(runbooks: Sequence[Runbook], events: Sequence[AlertEvent]) -> tuple[OfferedRunbook, ...]:
    """Return the runbooks that an analyst may name for these alerts, the highest priority first, then in file order.

    Their conditions on the alert hold; those on cause and logs are what the analyst is there to judge.
    A runbook without conditions is left to the ``runbook_id`` label.
    """
    return tuple(
        OfferedRunbook(
            id=runbook.id,
            when=in_words(runbook.when),
            not_when=in_words(runbook.not_when),
            action=", then ".join(step.action.value for step in runbook.steps),
        )
        for runbook in by_priority(runbooks)
        if not runbook.when.empty and _alert_matches(runbook.when, events) and not _ruled_out_by_alert(runbook, events)
    )


def select_runbook(
    runbooks: Sequence[Runbook],
    events: Sequence[AlertEvent],
    analysis: Analysis,
    analyst: str,
    evidence: Sequence[Evidence] = (),
) -> Selection:
    """Select by label, else by the analysis' choice, else (the rules answered) by patterns.

    ``events`` are the incident's alerts, newest first. What is selected is still refused where its ``not_when``
    holds, the confidence is below the strictest ``escalate_threshold`` of the alerts, or the analysis does not
    recommend an action that the runbook takes.
    """
    if analyst == RULES:
        analysis = advised(runbooks, events, analysis, evidence)
    candidates = _Candidates(runbooks, events, analysis, evidence)
    named = list(dict.fromkeys(event.runbook_id for event in events if event.runbook_id))
    if named:
        selection = candidates.by_label(named)
    elif analyst == RULES:
        selection = candidates.by_patterns()
    else:
        selection = candidates.by_analysis()
    return _judged(selection, events, analysis)


def _judged(selection: Selection, events: Sequence[AlertEvent], analysis: Analysis) -> Selection:
    """Refuse what the analysis itself does not carry; an unknown id is told first, because it is a mistake to mend."""
    if selection.reason is Reason.unknown_runbook:
        return selection
    would_have = selection.runbook.id if selection.runbook else selection.would_have
    threshold = max((event.escalate_threshold for event in events), default=1.0)
    if not analysis.confidence >= threshold:
        why = f"confidence {analysis.confidence:.2f} is below the alert's threshold {threshold:.2f}"
        return Selection(how=selection.how, why=why, reason=Reason.low_confidence, would_have=would_have)
    if not analysis.recommended_action.acts:
        why = _ADVICE[analysis.recommended_action]
        return Selection(how=selection.how, why=why, reason=Reason.action_not_remediation, would_have=would_have)
    return selection


_ADVICE = {
    RecommendedAction.investigate: "the cause is not clear enough to act on: a person has to look further",
    RecommendedAction.escalate: "no automatic remedy mends this cause: a person has to",
    RecommendedAction.none: "the analysis finds nothing to mend, and the alert may still fire",
}


class _Candidates:
    """The three ways to a runbook, over the same facts."""

    def __init__(
        self,
        runbooks: Sequence[Runbook],
        events: Sequence[AlertEvent],
        analysis: Analysis,
        evidence: Sequence[Evidence],
    ) -> None:
        self.runbooks = {runbook.id: runbook for runbook in by_priority(runbooks)}
        self.events = events
        self.analysis = analysis
        self.evidence = evidence

    def by_label(self, named: Sequence[str]) -> Selection:
        """Take the runbook that the alert's label names; two different names are no choice."""
        if len(named) > 1:
            why = f"the incident's alerts name different runbooks: {', '.join(repr(name[:80]) for name in named[:5])}"
            return Selection(how="label", why=why, reason=Reason.no_runbook_matched)
        runbook = self.runbooks.get(named[0])
        if runbook is None:
            why = f"the label runbook_id names {named[0][:80]!r}, and the runbooks file has no such id"
            return Selection(how="label", why=why, reason=Reason.unknown_runbook)
        if self._excluded(runbook):
            return self._exclusion(runbook, "label")
        return Selection(runbook=runbook, how="label", why=f"the alert's label runbook_id names {runbook.id!r}")

    def by_analysis(self) -> Selection:
        """Take the id that the analysis names, if it was offered; null is an abstention."""
        chosen = self.analysis.runbook_id
        if chosen is None:
            why = "the analysis names no runbook: none of those offered fits, in its judgement"
            return Selection(how="analysis", why=why, reason=Reason.no_runbook_matched)
        runbook = self.runbooks.get(chosen)
        if runbook is None or chosen not in {item.id for item in offered(list(self.runbooks.values()), self.events)}:
            why = f"the analysis names runbook {chosen[:80]!r}, which was not offered"
            return Selection(how="analysis", why=why, reason=Reason.unknown_runbook)
        if self._excluded(runbook):
            return self._exclusion(runbook, "analysis")
        if not self._fits(runbook):
            return self._misfit(runbook, "analysis")
        return Selection(runbook=runbook, how="analysis", why=f"the analysis chose {runbook.id!r}")

    def by_patterns(self) -> Selection:
        """Take the first runbook in the file whose conditions all hold and that does what is recommended."""
        passed_over: Selection | None = None
        for runbook in self.runbooks.values():
            if not matches(runbook.when, self.events, self.analysis, self.evidence):
                continue
            if self._excluded(runbook):
                passed_over = passed_over or self._exclusion(runbook, "patterns")
            elif not self._fits(runbook):
                passed_over = passed_over or self._misfit(runbook, "patterns")
            else:
                why = f"the conditions of {runbook.id!r} hold"
                return Selection(runbook=runbook, how="patterns", why=why)
        why = "no runbook's conditions hold for these alerts and this cause"
        return passed_over or Selection(how="patterns", why=why, reason=Reason.no_runbook_matched)

    def _excluded(self, runbook: Runbook) -> bool:
        return matches(runbook.not_when, self.events, self.analysis, self.evidence)

    def _fits(self, runbook: Runbook) -> bool:
        """Whether the runbook takes the action that is recommended; advice that never acts is judged later."""
        wanted = _FITTING.get(self.analysis.recommended_action)
        return wanted is None or any(step.action in wanted for step in runbook.steps)

    def _exclusion(self, runbook: Runbook, how: Literal["label", "analysis", "patterns"]) -> Selection:
        why = f"runbook {runbook.id!r} was picked, but its not_when holds ({in_words(runbook.not_when)})"
        return Selection(how=how, why=why, reason=Reason.no_runbook_matched, would_have=runbook.id)

    def _misfit(self, runbook: Runbook, how: Literal["label", "analysis", "patterns"]) -> Selection:
        why = (
            f"runbook {runbook.id!r} matches, but it does not {self.analysis.recommended_action.value}, as recommended"
        )
        return Selection(how=how, why=why, reason=Reason.no_runbook_matched, would_have=runbook.id)


def _alert_matches(when: When, events: Sequence[AlertEvent]) -> bool:
    """Whether one alert meets the conditions on name and labels together."""
    return any(_one_alert_matches(when, event) for event in events)


def _one_alert_matches(when: When, event: AlertEvent) -> bool:
    if when.alertname and not _any_glob(when.alertname, event.alertname):
        return False
    if when.severity and not _any_glob(when.severity, event.severity.value):
        return False
    if when.subject and not _subject_matches(when.subject, event):
        return False
    return all(
        (value := event.label(name)) is not None and _any_glob(globs, value) for name, globs in when.labels.items()
    )


def _subject_matches(when: SubjectGlobs, event: AlertEvent) -> bool:
    subject = event.subject
    facts = {"name": subject.name, "kind": subject.kind.value, **{f"scope {k}": v for k, v in subject.scope.items()}}
    return all(name in facts and _any_glob(globs, facts[name]) for name, globs in _subject_globs(when))


def _subject_globs(when: SubjectGlobs) -> list[tuple[str, tuple[str, ...]]]:
    parts = [
        ("name", when.name),
        ("kind", when.kind),
        *((f"scope {name}", globs) for name, globs in when.scope.items()),
    ]
    return [(name, globs) for name, globs in parts if globs]


def _any_glob(globs: Sequence[str], text: str) -> bool:
    return any(glob_matches(glob, text) for glob in globs)


def _ruled_out_by_alert(runbook: Runbook, events: Sequence[AlertEvent]) -> bool:
    """Whether ``not_when`` holds already, from the alert alone."""
    no = runbook.not_when
    return not no.empty and no.of_alert_only and _alert_matches(no, events)


def in_words(when: When) -> str:
    """Return the conditions as people read them."""
    parts = []
    if when.alertname:
        parts.append(f"alert is {' or '.join(when.alertname)}")
    parts += [f"label {name} is {' or '.join(globs)}" for name, globs in when.labels.items()]
    if when.severity:
        parts.append(f"severity is {' or '.join(when.severity)}")
    if when.subject:
        parts += [f"subject's {name} is {' or '.join(globs)}" for name, globs in _subject_globs(when.subject)]
    if when.root_cause:
        parts.append(f"the cause matches {' or '.join(when.root_cause)}")
    if when.findings:
        parts.append(f"a finding matches {' or '.join(when.findings)}")
    if when.logs:
        parts.append(f"the logs match {' or '.join(when.logs)}")
    return " and ".join(parts)
