"""One sign in log text: the words by which the rules know a cause, and those that say it is none."""

from dataclasses import dataclass

from sreops.domain.causes.analysis import Category


@dataclass(frozen=True)
class LogSign:
    """Words in a log line that speak for a category; any of ``alternatives`` (RE2), and none of ``against``.

    ``strength`` is the most confidence that it gives by itself: 0.7 and more only for one that is decisive, such as
    the process' own words about what killed it.
    """

    category: Category
    name: str
    strength: float
    alternatives: tuple[str, ...]
    against: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """The alternatives as one pattern."""
        return "|".join(self.alternatives)

    @property
    def but_not(self) -> str:
        """What makes a line no sign: its own counter-signs, and the words that negate."""
        return "|".join((NEGATED, *self.against))


NEGATED = (
    r"\b(no|not|never|without|0|zero) (an? )?(oom|deadlocks?|out of memory|leaks?|crash(es)?|expired)\b|"
    r"\b(is|are|was) not (full|expired|unhealthy|down)|"
    r"(full|expired|down|unhealthy|oom(_?killed)?)[\"']?[=:] ?(false|no|0)\b"
)
"""A line that says the opposite of what it names; it is no sign."""
