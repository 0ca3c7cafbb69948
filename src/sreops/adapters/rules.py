"""The rule analyst: what answers without a model, or when the model does not."""

from sreops.domain.causes.analysis import Brief
from sreops.domain.causes.conclude import conclude
from sreops.domain.records.answering import from_the_record
from sreops.domain.runbooks.matching import RULES
from sreops.ports import AnalystAnswer, Answer, Health, Inquiry


class RuleAnalyst:
    """Concludes by the fixed signs of ``domain/causes/conclude.py``; it always answers, and at once."""

    name = RULES

    async def analyze(self, brief: Brief, *, timeout_s: float, inquiry: Inquiry | None = None) -> AnalystAnswer:
        """Conclude from the brief alone; names no runbook, since the runbooks' own patterns match after it."""
        return AnalystAnswer(analysis=conclude(brief))

    async def answer(self, brief: Brief, account: str, question: str, *, timeout_s: float) -> Answer:
        """Say what the record has about the question, and the conclusion by the fixed signs."""
        text, cited = from_the_record(question, conclude(brief).root_cause, brief.evidence)
        return Answer(text, RULES, cited)

    async def health(self) -> Health:
        """Say that it could answer: it depends on nothing."""
        return Health("up", f"{RULES}: fixed signs, no model")
