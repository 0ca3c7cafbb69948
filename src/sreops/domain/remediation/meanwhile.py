"""What happened while a plan was made, waited for, or approved: who else has laid hands on its target. Pure.

Docker Engine: a restart by the restart policy adds one to RestartCount; a start through the API, whoever asked for it,
sets it back to 0 and StartedAt anew (tried on 20.10 and 28).
"""

from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sreops.domain.incidents.incident import Effect


class Life(BaseModel):
    """A target's present life: when it began, and how often its restart policy has started it since somebody did."""

    model_config = ConfigDict(frozen=True)
    started_at: AwareDatetime
    restart_count: int = 0


class Hand(BaseModel):
    """A span in which we may have started the target: from an intent to its outcome and a margin."""

    model_config = ConfigDict(frozen=True)
    since: AwareDatetime
    until: AwareDatetime


def our_hands(
    effects: tuple[Effect, ...], standing: str, name: str, now: datetime, margin_s: float
) -> tuple[Hand, ...]:
    """Return when we have acted on this target ourselves, by the ledger of its incident."""
    return tuple(
        Hand(since=effect.intent_at, until=(effect.outcome_at or now) + timedelta(seconds=margin_s))
        for effect in effects
        if (effect.standing == standing if effect.standing and standing else effect.target == name)
    )


def started_by_somebody_else(life: Life | None, since: datetime, ours: tuple[Hand, ...]) -> datetime | None:
    """Return when somebody else began the target's present life, if that was after ``since``; else None.

    One that its own restart policy has started since is ill again, whoever started it before.
    """
    if life is None or life.restart_count > 0 or life.started_at <= since:
        return None
    if any(hand.since <= life.started_at <= hand.until for hand in ours):
        return None
    return life.started_at
