"""How many acts in an hour may land on one engine host, or in one Compose or GitLab project. Pure.

Each target has limits of its own; where many of one host are acted on, the trouble is the host's, or ours.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple
from urllib.parse import unquote

Kind = Literal["host", "project"]


class Place(NamedTuple):
    """An engine host, or a Compose or GitLab project; ``words`` names it for people."""

    identity: str
    kind: Kind
    words: str


def places_of(standing: str) -> tuple[Place, ...]:
    """Return the host and the project that a target lies in; none of what lies outside both."""
    head, *parts = standing.split("/")
    docker, _, engine = unquote(head).partition(":")
    if docker == "docker" and parts:
        host = Place(head, "host", f"engine {engine!r}" if engine else "the engine")
        if parts[0] != "compose" or len(parts) < 2:
            return (host,)
        project = "/".join((head, *parts[:2]))
        return (host, Place(project, "project", f"Compose project {unquote(parts[1])!r}"))
    if head == "gitlab" and parts:
        return (Place("/".join((head, parts[0])), "project", f"GitLab project {unquote(parts[0])!r}"),)
    return ()


def too_many(standings: Iterable[str], acts_lately: Mapping[str, int], most_of: Callable[[Kind], int]) -> list[str]:
    """Return why acts on these targets, one for each, would be too many after those of the last hour by place."""
    mine = Counter(place for standing in standings for place in places_of(standing))
    reasons = []
    for place, more in mine.items():
        acts, most = acts_lately.get(place.identity, 0), most_of(place.kind)
        if acts + more > most:
            reasons.append(
                f"{acts} acts in the last hour on {place.words}, and {most} are allowed, with {more} of this plan "
                f"(SREOPS_POLICY__{place.kind.upper()}_ACTS_PER_HOUR)"
            )
    return reasons
