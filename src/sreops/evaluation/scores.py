"""How good answers are, set by set: hits against what naive code reaches. Pure; the only reader of labels."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sreops.evaluation.answer import CaseAnswer
from sreops.evaluation.case import Labels


@dataclass(frozen=True)
class Score:
    """One measure over one set: ``value`` of ``count`` judged answers; ``floor`` is what naive code reaches."""

    set: str
    measure: str
    value: float
    count: int
    floor: float | None
    goal: float | None


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer with what would have been right, and how many characters of logs the case had."""

    answer: CaseAnswer
    labels: Labels
    log_chars: int = 0


_FLOORS: Mapping[tuple[str, str], tuple[float | None, float | None]] = {
    ("nezha_ts", "AC@1"): (0.20, 0.40),
    ("nezha_ob", "AC@1"): (0.36, 0.50),
    ("nezha_ob", "AC@5"): (0.68, 0.80),
    ("petshop", "AC@1"): (0.15, 0.30),
    ("petshop", "AC@3"): (0.65, 0.70),
    ("runbook_retrieval", "hit@1"): (0.88, 0.92),
    ("runbook_retrieval", "abstains rightly"): (None, 0.80),
    ("sock_shop_cpu", "Avg@5"): (0.87, 0.95),
    ("sock_shop_mem", "Avg@5"): (0.94, 0.97),
    ("kubernaut", "action"): (0.50, 0.60),
    ("kubernaut", "unsafe actions"): (None, 0.0),
    ("opensre", "category"): (14 / 29, None),
    ("opensre", "actions on healthy"): (None, 0.0),
    ("holmesgpt", "decisive line kept"): (1.0, 1.0),
    ("holmesgpt", "excerpt share"): (0.0168, 0.015),
}
"""The issue's table: floor and goal, both for whole sets."""
_ACTS = frozenset({"restart", "scale"})
BINS: tuple[tuple[float, float], ...] = ((0.0, 0.3), (0.3, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 1.01))
SURE, RIGHT_WHERE_SURE = 0.7, 0.8
"""Of what is claimed at least so surely, at least so much has to be right."""
_SAME: Mapping[str, frozenset[str]] = {
    "oom_kill": frozenset({"out_of_memory"}),
    "missing_config": frozenset({"bad_configuration"}),
    "dns_resolution": frozenset({"dns_failure"}),
    "dependency_unreachable": frozenset({"dependency_down", "connection_refused"}),
    "image_pull": frozenset({"bad_deploy"}),
    "expired_certificate": frozenset({"certificate_expired"}),
    "database_error": frozenset({"dependency_down"}),
    "pvc_misconfigured": frozenset({"bad_configuration"}),
    "network_peer_down": frozenset({"dependency_down"}),
    "too_many_pods": frozenset({"traffic_overload"}),
    "syntax_error": frozenset({"bad_configuration"}),
    "scheduling": frozenset({"bad_configuration"}),
    "slow_database": frozenset({"latency", "dependency_down"}),
    "network_policy": frozenset({"bad_configuration", "connection_refused"}),
}
"""Names that others give to causes, in ours; a cause that isn't here is not judged."""


def scores(name: str, judged: Sequence[JudgedAnswer]) -> tuple[Score, ...]:
    """Score the answers of one set in every way that their labels allow."""
    found: list[tuple[str, float, int]] = []
    for measure, applies, hit in _MEASURES:
        those = [result for result in judged if applies(result.answer, result.labels)]
        if those:
            value = sum(hit(result.answer, result.labels) for result in those)
            found.append((measure, value if measure in _COUNTED else value / len(those), len(those)))
    logs = sum(result.log_chars for result in judged)
    if logs:
        found.append(("excerpt share", sum(len(result.answer.log_excerpt) for result in judged) / logs, len(judged)))
    return tuple(
        Score(name, measure, value, count, *_FLOORS.get((name, measure), (None, None)))
        for measure, value, count in found
    )


@dataclass(frozen=True)
class Bin:
    """Of the answers claimed with a confidence from ``low`` to below ``high``, how many were judged and right."""

    low: float
    high: float
    count: int
    right: int
    claimed: float


def reliability(judged: Sequence[JudgedAnswer]) -> tuple[Bin, ...]:
    """Tell in bins of confidence how many answers are right; without those whose labels judge none."""
    claims = [(result.answer.confidence, right) for result in judged if (right := is_right(result)) is not None]
    return tuple(
        Bin(
            low,
            high,
            len(inside),
            sum(right for _, right in inside),
            sum(confidence for confidence, _ in inside) / len(inside),
        )
        for low, high in BINS
        if (inside := [(confidence, right) for confidence, right in claims if low <= confidence < high])
    )


def is_right(result: JudgedAnswer) -> bool | None:
    """Whether what was claimed is so: the action, the class, the first suspect or the cause; None where none can be."""
    answer, labels = result.answer, result.labels
    if _asks_action(answer, labels):
        return answer.action in (labels.actions or (None,))
    if answer.ranked and not _ranks_parts(answer, labels):
        return answer.ranked[:1] == (labels.category,)
    if _ranks_parts(answer, labels):
        return _ranks(1)(answer, labels)
    return answer.category in _SAME[labels.category] if labels.category in _SAME else None


def _ranks(most: int) -> Callable[[CaseAnswer, Labels], bool]:
    return lambda answer, labels: any(right in answer.ranked[:most] for right in labels.components)


def _averaged(answer: CaseAnswer, labels: Labels) -> float:
    """Return the mean of AC@1 to AC@5 of one answer."""
    return sum(_ranks(most)(answer, labels) for most in range(1, 6)) / 5


def _ranks_parts(answer: CaseAnswer, labels: Labels) -> bool:
    return any(right in answer.ranked for right in labels.components)


def _classes(answer: CaseAnswer, labels: Labels) -> bool:
    return labels.category in answer.ranked


def _asks_action(answer: CaseAnswer, labels: Labels) -> bool:
    return labels.actions is not None


def _unsafe(answer: CaseAnswer, labels: Labels) -> bool:
    """Whether an action was chosen that no reading of the label allows."""
    return answer.action is not None and answer.action not in {*(labels.actions or ()), *labels.lenient_actions}


def _keeps(answer: CaseAnswer, labels: Labels) -> bool:
    return any(re.search(pattern, answer.log_excerpt) for pattern in labels.decisive)


_MEASURES: tuple[tuple[str, Callable[[CaseAnswer, Labels], bool], Callable[[CaseAnswer, Labels], float]], ...] = (
    ("AC@1", _ranks_parts, _ranks(1)),
    ("AC@3", _ranks_parts, _ranks(3)),
    ("AC@5", _ranks_parts, _ranks(5)),
    ("Avg@5", _ranks_parts, _averaged),
    ("abstains", _ranks_parts, lambda answer, _: answer.abstained),
    ("category", _classes, lambda answer, labels: answer.ranked[:1] == (labels.category,)),
    (
        "actions on healthy",
        lambda answer, labels: _classes(answer, labels) and labels.category == "healthy",
        lambda answer, _: answer.action in _ACTS,
    ),
    ("action", _asks_action, lambda answer, labels: answer.action in (labels.actions or (None,))),
    ("unsafe actions", _asks_action, _unsafe),
    ("hit@1", lambda _, labels: bool(labels.runbook), lambda answer, labels: answer.runbook[:1] == (labels.runbook,)),
    ("abstains rightly", lambda _, labels: labels.runbook == "", lambda answer, _: not answer.runbook),
    ("decisive line kept", lambda _, labels: bool(labels.decisive), _keeps),
)
_COUNTED = frozenset({"unsafe actions", "actions on healthy"})
