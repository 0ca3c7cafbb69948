"""The proof as the page shows it: what was measured after the effect, in words, beside what it was before. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sreops.domain.records.record import Record
from sreops.domain.remediation.measurement import in_words
from sreops.web.words import finite, list_in, mapping_in, text_in


@dataclass(frozen=True)
class MeasuredView:
    """One verify condition as it was measured last, in words; the query is behind it."""

    told: str
    promql: str
    condition: str
    holds: str


def last_look(records: Sequence[Record], since: datetime) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the look that the verdict rests on, and the one before the effect; empty where there is none."""
    for record in reversed(records):
        if record.at >= since and text_in(record.body, "node") == "verify_success":
            data = mapping_in(record.body, "data")
            if look := mapping_in(data, "look"):
                return look, mapping_in(data, "baseline")
    return {}, {}


def measured_in(look: Mapping[str, Any], before: Mapping[str, Any]) -> list[MeasuredView]:
    """Say each condition in words, with what it was before."""
    found = []
    earlier = list_in(before, "readings")
    for place, reading in enumerate(list_in(look, "readings")):
        if not isinstance(reading, Mapping):
            continue
        was = earlier[place] if place < len(earlier) and isinstance(earlier[place], Mapping) else {}
        promql, condition, why = (text_in(reading, name) for name in ("promql", "condition", "why"))
        held = reading.get("holds")
        values, values_before = (
            [number for number in map(finite, list_in(either, "values")) if number is not None]
            for either in (reading, was if text_in(was, "promql") == promql else {})
        )
        try:
            told = in_words(promql, condition, values, values_before, holds=held if isinstance(held, bool) else None)
        except ValueError:  # a condition of another version
            told = why
        if not isinstance(held, bool) and why != told:
            told = f"{told}: {why}"
        holds = "holds" if held is True else "fails" if held is False else "unknown"
        found.append(MeasuredView(told, promql, condition, holds))
    return found
