"""A second opinion: how far the model's confidence is believed, given what the rules see in the same evidence.

The model can be talked into anything by a log line; the rules are deaf to what lines claim. So where they differ,
or where the model rests on what proves little, its confidence comes down, with the reason. It never goes up.
"""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from sreops.domain.causes.analysis import Analysis, Category
from sreops.domain.evidence.evidence import Evidence, EvidenceKind
from sreops.domain.evidence.neighbours import NeighbourRole

OTHER_ACTION_COST = 0.25
"""The rules, sure enough themselves, would do something else."""
OTHER_CAUSE_COST = 0.10
"""The rules name another cause with the same cure."""
PARTIAL_COST = 0.10
"""All that is cited is incomplete."""
WEAK_MOST = 0.5
"""Cited is only what proves nothing (see ``_PROVES_NOTHING``), or nothing at all."""
TEXT_ALONE_MOST = 0.65
"""To act on log lines alone, in which the rules see no sign of that cause, is for a person to decide."""
RULES_HEARD = 0.5
"""Below this confidence of their own the rules contradict nobody."""
_KIN = (
    frozenset({Category.out_of_memory, Category.memory_leak}),
    frozenset({Category.crash_loop, Category.process_exited}),
    frozenset({Category.dependency_down, Category.connection_refused}),
)
"""Causes that are two names for what the same signs show: to choose the other is no disagreement."""
_PROVES_NOTHING = frozenset(
    {EvidenceKind.gap, EvidenceKind.alert, EvidenceKind.suspects, EvidenceKind.change, EvidenceKind.history}
)
"""A gap, the alert's own text; who is suspected, which says where and not why; what changed, or was so once before."""


class Opinion(BaseModel):
    """The analysis with the confidence that is believed; ``why`` is empty where nothing was taken off."""

    model_config = ConfigDict(frozen=True)
    analysis: Analysis
    claimed: float
    why: tuple[str, ...] = ()


def second_opinion(model: Analysis, rules: Analysis, evidence: Sequence[Evidence]) -> Opinion:
    """Return the model's analysis with its confidence lowered where the rules or the evidence ask for it."""
    confidence, why = model.confidence, []
    for most, cost, reason in _doubts(model, rules, evidence):
        lowered = round(max(0.0, min(most, confidence - cost)), 2)
        if lowered < confidence:
            why.append(f"{reason} ({confidence:.2f} → {lowered:.2f})")
            confidence = lowered
    return Opinion(
        analysis=model.model_copy(update={"confidence": confidence}), claimed=model.confidence, why=tuple(why)
    )


def _doubts(model: Analysis, rules: Analysis, evidence: Sequence[Evidence]) -> Iterator[tuple[float, float, str]]:
    """Yield (at most, taken off, why) for each doubt."""
    cited = [item for item in evidence if item.id in model.evidence]
    if model.category is not Category.unknown and all(map(_proves_nothing, cited)):
        named = ", ".join(item.id for item in cited) or "nothing"
        yield WEAK_MOST, 0.0, f"it cites {named}, which proves no cause"
    elif cited and all(item.partial for item in cited):
        yield 1.0, PARTIAL_COST, "all the evidence it cites is incomplete"
    yield from _disagreement(model, rules)
    if model.recommended_action.acts and not _supported(model, rules) and _text_alone(cited):
        yield TEXT_ALONE_MOST, 0.0, "it would act on log text alone, in which the rules see no sign of that cause"


def _disagreement(model: Analysis, rules: Analysis) -> Iterator[tuple[float, float, str]]:
    if rules.confidence < RULES_HEARD or rules.category is Category.unknown or _alike(model, rules):
        return
    told = f"the rules conclude {rules.category.value} ({rules.confidence:.2f})"
    if model.recommended_action.acts and model.recommended_action is not rules.recommended_action:
        yield 1.0, OTHER_ACTION_COST, f"{told} and would {rules.recommended_action.value}"
    else:
        yield 1.0, OTHER_CAUSE_COST, told


def _alike(model: Analysis, rules: Analysis) -> bool:
    if model.category is rules.category:
        return True
    same_cure = model.recommended_action is rules.recommended_action
    return same_cure and any({model.category, rules.category} <= kin for kin in _KIN)


def _supported(model: Analysis, rules: Analysis) -> bool:
    if rules.category is Category.unknown:
        return False
    return rules.category is model.category or rules.recommended_action is model.recommended_action


def _text_alone(cited: Sequence[Evidence]) -> bool:
    return all(item.kind in (EvidenceKind.logs, EvidenceKind.tool) or _proves_nothing(item) for item in cited)


def _proves_nothing(item: Evidence) -> bool:
    """Whether it proves no cause; so of a peer whatever is told: nothing says that the alerted service needs it."""
    return item.kind in _PROVES_NOTHING or item.data.get("role") == NeighbourRole.peer.value
