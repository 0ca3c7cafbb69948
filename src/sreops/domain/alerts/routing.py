"""Routing: tiers from their many spellings, the topic of an event, and whether it is worked on. Pure."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from sreops.domain.alerts.alert import Severity, Tier

CRITICAL: Final = "sre-critical"
WARNING: Final = "sre-warning"
INFO: Final = "sre-info"
THOUGHTS: Final = "agent-thoughts"
ACTIONS: Final = "agent-actions"
DEAD_LETTER: Final = "sre-dead-letter"
REQUEUED_HEADER: Final = "requeued"
"""The header of a record that a person has put back from the dead letter: it is to be handled again on purpose."""
ALERT_TOPICS: Final = (CRITICAL, WARNING, INFO)
"""The topics of alerts, in the order in which they are read."""
ALL_TOPICS: Final = (*ALERT_TOPICS, THOUGHTS, ACTIONS, DEAD_LETTER)

_TIER_OF: Final = {
    "0": Tier.autonomous,
    "autonomous": Tier.autonomous,
    "1": Tier.supervised,
    "supervised": Tier.supervised,
    "2": Tier.human_only,
    "humanonly": Tier.human_only,
}


def _word(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def tier_of(text: str) -> Tier | None:
    """Return the tier that a label means (``0``, ``tier-0``, ``T1``, ``human-only`` …), or None where it is unknown."""
    word = _word(text)
    for prefix in ("tier", "t"):
        if word in _TIER_OF:
            break
        word = word.removeprefix(prefix)
    return _TIER_OF.get(word)


WORK_ON: Final = (Severity.critical, Severity.warning)
"""What is worked on where ``SREOPS_WORK_ON`` says nothing else."""
_AUTOMATED: Final = (Tier.supervised, Tier.autonomous)
_TOPIC_OF: Final = {Severity.critical: CRITICAL, Severity.warning: WARNING, Severity.info: INFO}


def route(tier: Tier, severity: Severity) -> str:
    """Return the topic for an event.

    Critical goes to ``sre-critical`` only where automation may enter (autonomous or supervised), warning to
    ``sre-warning``, the rest to ``sre-info``; a tier that stays unknown is for people, so ``sre-info``.
    """
    if tier in _AUTOMATED:
        return _TOPIC_OF[severity]
    return WARNING if severity is Severity.warning and tier is not Tier.unknown else INFO


class NotWorkedOn(StrEnum):
    """Why an alert is recorded only."""

    severity = "severity"
    tier = "tier"

    @property
    def words(self) -> str:
        """Say it to people."""
        return {
            NotWorkedOn.severity: "its severity is not worked on (SREOPS_WORK_ON)",
            NotWorkedOn.tier: "its tier is unknown, and such alerts are for people (SREOPS_DEFAULT_TIER)",
        }[self]


def not_worked_on(tier: Tier, severity: Severity, work_on: Collection[Severity]) -> NotWorkedOn | None:
    """Return why an alert is recorded and not worked on, or None where it is; ``work_on`` chooses the topics."""
    if severity in work_on and tier in _AUTOMATED:  # of nearly all
        return None
    topic = route(tier, severity)
    if any(_TOPIC_OF[wanted] == topic for wanted in work_on):
        return None
    return NotWorkedOn.tier if tier is Tier.unknown else NotWorkedOn.severity
