"""What a runbook has done on a service, what it has earned there, and what it has lost. Pure."""

import itertools
from collections.abc import Iterable, Sequence

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Run(BaseModel):
    """One episode in which a runbook did something to a service, and how it ended."""

    model_config = ConfigDict(frozen=True)
    runbook_id: str
    service: str
    ended_at: AwareDatetime
    fixed: bool  # verified
    handed_over: bool
    approved: bool  # by a person


class TrackRecord(BaseModel):
    """A runbook's runs on a service; ``in_a_row``: verified fixes under approval since the last that failed.

    ``lost_at`` is when it last lost what it had in a row, if ever.
    """

    model_config = ConfigDict(frozen=True)
    runbook_id: str
    service: str
    runs: int
    fixed: int
    handed_over: int
    in_a_row: int
    lost_at: AwareDatetime | None
    last_at: AwareDatetime


def track_records(newest_first: Iterable[Run]) -> list[TrackRecord]:
    """Return the record of each runbook on each service, in the order of their last run."""
    by: dict[tuple[str, str], list[Run]] = {}
    for run in newest_first:
        by.setdefault((run.runbook_id, run.service), []).append(run)
    return [_record(runs) for runs in by.values()]


def in_a_row(newest_first: Iterable[Run]) -> int:
    """Return the verified fixes under approval since the last run that failed or is unknown."""
    return sum(run.fixed and run.approved for run in _streak(newest_first))


def _record(newest_first: Sequence[Run]) -> TrackRecord:
    first = newest_first[0]
    lost = (run for place, run in enumerate(newest_first) if _fails(run) and in_a_row(newest_first[place + 1 :]))
    return TrackRecord(
        runbook_id=first.runbook_id,
        service=first.service,
        runs=len(newest_first),
        fixed=sum(run.fixed for run in newest_first),
        handed_over=sum(run.handed_over for run in newest_first),
        in_a_row=in_a_row(newest_first),
        lost_at=next((run.ended_at for run in lost), None),
        last_at=first.ended_at,
    )


def _fails(run: Run) -> bool:
    return run.handed_over and not run.fixed


def _streak(newest_first: Iterable[Run]) -> Iterable[Run]:
    return itertools.takewhile(lambda run: not _fails(run), newest_first)
