"""An analysis that stands in for one that was not made: for examples, and for what people try out. Pure."""

from sreops.domain.causes.analysis import Analysis, Category, RecommendedAction
from sreops.domain.causes.taxonomy import CAUSES


def analysis_of(cause: str, *, reasoning: str) -> Analysis:
    """Return the analysis that would name this cause, a category or a sentence, and recommend what helps it."""
    category = Category(cause) if cause in set(Category) else Category.unknown
    return Analysis(
        root_cause=cause or "no cause is named",
        category=category,
        confidence=1.0,
        recommended_action=RecommendedAction.restart if category is Category.unknown else CAUSES[category].action,
        reasoning=reasoning,
    )
