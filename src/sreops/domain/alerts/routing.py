"""Routing: severities and tiers from their many spellings, and the topic that follows from them."""

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
ALL_TOPICS: Final = (CRITICAL, WARNING, INFO, THOUGHTS, ACTIONS, DEAD_LETTER)

_SEVERITIES: Final = {
    Severity.critical: (
        "critical crit fatal emergency emerg disaster blocker page pager error err severe high major urgent alert "
        "p0 p1 sev0 sev1 s0 s1"
    ),
    Severity.warning: "warning warn minor medium moderate average degraded p2 p3 sev2 sev3 s2 s3",
    Severity.info: "info information informational notice low debug trivial none ok p4 p5 sev4 sev5 s4 s5",
}
_SEVERITY_OF: Final = {word: severity for severity, words in _SEVERITIES.items() for word in words.split()}

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


def severity_of(text: str) -> Severity | None:
    """Return the severity that a label means (``crit``, ``P1``, ``sev-1``, ``warn`` …), or None where it is unknown."""
    return _SEVERITY_OF.get(text) or _SEVERITY_OF.get(_word(text))


def tier_of(text: str) -> Tier | None:
    """Return the tier that a label means (``0``, ``tier-0``, ``T1``, ``human-only`` …), or None where it is unknown."""
    word = _word(text)
    for prefix in ("tier", "t"):
        if word in _TIER_OF:
            break
        word = word.removeprefix(prefix)
    return _TIER_OF.get(word)


def route(tier: Tier, severity: Severity) -> str:
    """Return the topic for an event (design §2 "Topics and routing").

    Critical goes to ``sre-critical`` only where automation may enter (autonomous or supervised), warning to
    ``sre-warning``, the rest to ``sre-info``; a tier that stays unknown is for people, so ``sre-info``.
    """
    if tier is Tier.unknown:
        return INFO
    if severity is Severity.critical and tier in (Tier.autonomous, Tier.supervised):
        return CRITICAL
    if severity is Severity.warning:
        return WARNING
    return INFO
