"""When to look for evidence: the alert's window. Pure."""

from datetime import UTC, datetime, timedelta

from sreops.domain.evidence.evidence import Window

_OLDEST = datetime(2000, 1, 1, tzinfo=UTC)


def evidence_window(starts_at: datetime, now: datetime, lookback_s: float, lookahead_s: float) -> Window:
    """Return the window around the alert's start, not around now; it never reaches beyond now.

    A start in the future (a clock that is wrong) or before 2000 (Go's zero time) is read as now.
    """
    anchor = starts_at if _OLDEST <= starts_at <= now else now
    start = anchor - timedelta(seconds=lookback_s)
    end = min(now, anchor + timedelta(seconds=lookahead_s))
    return Window(start=start, end=max(end, start + timedelta(seconds=1)))
