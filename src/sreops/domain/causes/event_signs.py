"""Signs in the engine's events and in what changed: deaths that a restart has wiped from the state, and new images.

Events come from the same engine as the container's state, so the two are one source and don't prove each other.
The strengths are judgement: the development data has no engine events in it. None of them is decisive by itself but
the engine's own word of an OOM kill.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sreops.domain.causes.analysis import Category
from sreops.domain.causes.state_signs import StateSign, own_events
from sreops.domain.evidence.evidence import Evidence, EvidenceKind

AGAIN_AND_AGAIN = 3
"""So many deaths by itself within the hour are a crash loop."""
_SOURCE = "container"


def event_signs(evidence: Sequence[Evidence]) -> list[StateSign]:
    """Return what the engine's events of the service say, and whether a new image came before its deaths."""
    signs: list[StateSign] = []
    died = False
    for item in own_events(evidence):
        died = died or _number(item.data, "crashes") > 0
        signs += [
            StateSign(category, name, strength, item.id, _SOURCE) for category, name, strength in _of_events(item.data)
        ]
    for item in evidence:
        if item.kind is EvidenceKind.change and died and item.data.get("created_lately") is True:
            signs += [
                StateSign(Category.bad_deploy, name, 0.6, item.id, "change") for name in _of_replacement(item.data)
            ]
    return signs


def _of_events(data: Mapping[str, Any]) -> Iterator[tuple[Category, str, float]]:
    crashes, ooms = _number(data, "crashes"), _number(data, "ooms")
    if ooms:
        yield Category.out_of_memory, f"the engine told of {ooms} OOM kill{'s' if ooms > 1 else ''} of it lately", 0.85
    if crashes >= AGAIN_AND_AGAIN:
        yield Category.crash_loop, f"it died by itself {crashes} times within the hour", 0.68
    elif crashes and _number(data, "starts"):
        yield Category.process_exited, "it died by itself and was started anew", 0.5


def _of_replacement(data: Mapping[str, Any]) -> Iterator[str]:
    if data.get("image") is True:
        yield "it was made lately from another image than before, and has died by itself since"
    elif data.get("config") is True:
        yield "it was made lately with another configuration than before, and has died by itself since"


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
