"""What is answered to a case: the line that ``eval`` writes, drawn from the analysis and the rankings. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from sreops.domain.causes.analysis import Analysis, Category, OfferedRunbook, RecommendedAction
from sreops.domain.causes.change_signs import ELSEWHERE
from sreops.domain.causes.conclude import ENOUGH
from sreops.domain.suspects.ranking import Ranking, lead_of
from sreops.evaluation.brief import Study, components, heads
from sreops.evaluation.case import Case
from sreops.evaluation.remedies import Clues, RemedyChoice, choose
from sreops.evaluation.retrieval import Document, Found, Library, Lookup

_COARSE: Mapping[str, tuple[Category, ...]] = {
    "resource_exhaustion": (
        Category.out_of_memory, Category.memory_leak, Category.disk_full, Category.cpu_saturation,
        Category.traffic_overload, Category.connection_pool_exhausted,
        Category.resource_limit, Category.quota_exceeded, Category.disk_failed, Category.queue_backlog,
    ),
    "configuration_error": (
        Category.bad_configuration, Category.bad_deploy, Category.certificate_expired, Category.permission_denied,
        Category.dns_failure, Category.unhealthy, Category.tls_failure, Category.clock_skew,
    ),
    "dependency_failure": (
        Category.dependency_down, Category.connection_refused, Category.rate_limited, Category.replication_lag,
    ),
    "code_defect": (Category.crash_loop, Category.process_exited, Category.deadlock, Category.error_rate),
    "healthy": (Category.false_alarm,),
    "unknown": (Category.unknown, Category.latency),
}  # fmt: skip
"""Our causes in the coarser classes that others use."""

_NAMING = frozenset(
    {
        "namespace", "exported_namespace", "service", "app", "component", "pod", "container", "deployment",
        "statefulset", "daemonset", "replicaset", "job", "job_name", "cronjob", "node", "instance", "host", "cluster",
        "environment", "persistentvolumeclaim", "horizontalpodautoscaler", "poddisruptionbudget",
        "workload", "team", "name",
    }
)  # fmt: skip
"""Labels that say which thing an alert is about, not what is wrong with it."""
NOT_CHOSEN = 0.4
"""Where an action is asked for and none is chosen, a sure cause is no sure answer."""


class CaseAnswer(BaseModel):
    """One line of ``eval``'s file; its fields in the order they are written."""

    model_config = ConfigDict(frozen=True)
    set: str
    id: str
    ranked: tuple[str, ...] = ()
    action: str | None = None
    runbook: tuple[str, ...] = ()
    root_cause: str
    category: str
    confidence: float
    abstained: bool
    evidence: str
    log_excerpt: str = ""
    evidence_chars: int
    input_chars: int
    seconds: float
    analyst: str
    cause: str = ""

    def line(self) -> str:
        """Return the line of the file; ``cause``, a finer one than its category, only where one is named."""
        return self.model_dump_json(exclude=None if self.cause else {"cause"})


def asks_for(case: Case) -> str:
    """Tell what the closed list holds: ``components``, ``categories``, ``actions``, or ``nothing``.

    Series that name their services give a list to rank where none is given.
    """
    if not case.candidates:
        return "components" if heads(case.metrics) else "nothing"
    if sum(candidate in _COARSE for candidate in case.candidates) >= 2:
        return "categories"
    return "components" if components(case) else "actions"


def offered_actions(case: Case) -> tuple[OfferedRunbook, ...]:
    """Offer the candidate actions to a model as runbooks, since of those it may name one or none."""
    if asks_for(case) != "actions":
        return ()
    return tuple(
        OfferedRunbook(id=candidate, when="the evidence shows that this very thing is what is wrong", action=candidate)
        for candidate in case.candidates
    )


def choose_action(case: Case) -> RemedyChoice:
    """Choose among candidate actions by the rules, from all that the case holds."""
    # what a thing is called says nothing of what is wrong with it: a namespace may be named after anything
    values = [value for name, value in case.labels.items() if name.lower() not in _NAMING]
    alert = [*values, *case.annotations.values()]
    return choose(
        case.candidates,
        Clues(
            alert="\n".join(alert),
            events="\n".join(case.events),
            logs="\n".join(entry.line for entry in case.logs[-5000:]),
            states="\n".join(f"{name}\n{text}" for name, text in case.evidence.items()),
        ),
    )


def answered(case: Case, seen: Study, analysis: Analysis, *, by_model: bool) -> Mapping[str, Any]:
    """Return the answer's fields that depend on what is asked."""
    kind = asks_for(case)
    fields: dict[str, Any] = {
        "ranked": (), "action": _advice(analysis), "root_cause": analysis.root_cause,
        "category": analysis.category.value, "confidence": analysis.confidence,
        "abstained": analysis.category is Category.unknown or analysis.confidence < ENOUGH,
    }  # fmt: skip
    if seen.suspicion is not None and analysis.category not in ELSEWHERE:
        fields["cause"] = seen.suspicion.change.text[:400]
    if kind == "components":
        ranking = seen.ranking
        best = ranking.suspects[0]
        changed = seen.suspicion.change.service if seen.suspicion is not None and seen.suspicion.close else ""
        ranked = sorted(
            (suspect.service for suspect in ranking.suspects),
            key=lambda name: name != changed or not fields.get("cause"),
        )
        fields |= {"ranked": tuple(ranked), "abstained": ranking.abstained}
        if best.signs and analysis.category is Category.unknown:
            fields["root_cause"] = f"{best.service} is at fault: {best.signs[0]}."
            fields["confidence"] = _confidence(ranking)
    elif kind == "categories":
        fields["ranked"] = _by_class(case.candidates, analysis.category)
    elif kind == "actions":
        fields |= _action(case, analysis, by_model=by_model)
    return fields


def _confidence(ranking: Ranking) -> float:
    """Return what a ranking is worth: of those that don't abstain most are right, more so where the first leads."""
    return 0.1 if ranking.abstained else round(0.5 + 0.3 * lead_of(ranking.suspects), 2)


def _action(case: Case, analysis: Analysis, *, by_model: bool) -> Mapping[str, Any]:
    choice = choose_action(case)
    chosen, why, confidence = choice.chosen, choice.why, min(0.9, 0.4 + 0.25 * choice.strength)
    if by_model:
        chosen, why, confidence = analysis.runbook_id, analysis.root_cause, analysis.confidence
        chosen = chosen if chosen in case.candidates else None
    ranked = tuple(sorted(choice.ranked, key=lambda candidate: candidate != chosen))
    fields: dict[str, Any] = {"ranked": ranked, "action": chosen, "abstained": chosen is None}
    if chosen is None and not by_model and analysis.category is not Category.false_alarm:
        fields["confidence"] = min(analysis.confidence, NOT_CHOSEN)
    if chosen is not None and not by_model:
        fields["confidence"] = round(confidence, 2)
        if analysis.category is Category.unknown:
            fields["root_cause"] = f"The signs of {chosen}: {why}"[:2000]
    return fields


def _advice(analysis: Analysis) -> str | None:
    return None if analysis.recommended_action is RecommendedAction.none else analysis.recommended_action.value


def _by_class(candidates: Sequence[str], category: Category) -> tuple[str, ...]:
    """Order coarse classes: ours first, what we can't name last."""
    return tuple(
        sorted(
            candidates, key=lambda name: (category not in _COARSE.get(name, ()), name in ("unknown", "healthy"), name)
        )
    )


def library_of(documents: Sequence[Mapping[str, Any]]) -> Library:
    """Return runbooks made ready to be searched: a title is the first heading, or the front matter's."""
    return Library(
        Document(str(item["id"]), str(item["id"]), _title(str(item.get("text", ""))), str(item.get("text", "")))
        for item in documents
    )


def _title(text: str) -> str:
    for line in text[:4000].splitlines():
        if line.startswith(("title:", "# ")):
            return line.removeprefix("title:").lstrip("# ").strip()
    return ""


def find_runbook(alert: Mapping[str, Any], library: Library) -> Found:
    """Find the runbook for one alert by its name, labels and texts; its ``runbook_url`` is no argument."""
    labels = alert.get("labels")
    values = [str(value) for value in labels.values()] if isinstance(labels, Mapping) else []
    texts = [str(alert.get(key) or "") for key in ("summary", "description", "message")]
    return library.find(Lookup(str(alert.get("alertname") or ""), " ".join(texts), " ".join(values)))
