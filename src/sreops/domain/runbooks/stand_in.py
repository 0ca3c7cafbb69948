"""An analysis that stands in for one that was not made: for examples, and for what people try out. Pure."""

from sreops.domain.causes.analysis import Analysis, Category, RecommendedAction
from sreops.domain.causes.taxonomy import CAUSES


def analysis_of(cause: str, *, reasoning: str, advice: RecommendedAction | None = None) -> Analysis:
    """Return the analysis that would name this cause, a category or a sentence, and recommend what helps it.

    ``advice``: what a runbook on offer does, which is recommended where nothing else helps.
    """
    category = Category(cause) if cause in set(Category) else Category.unknown
    usual = CAUSES[category].action
    if not usual.acts and category is not Category.false_alarm:
        usual = advice or (RecommendedAction.restart if category is Category.unknown else usual)
    return Analysis(
        root_cause=cause or "no cause is named",
        category=category,
        confidence=1.0,
        recommended_action=usual,
        reasoning=reasoning,
    )
