"""What the list of containers says, before any of them is inspected: names, and who is next to one. Pure.

Source: MB:api/swagger.yaml (ContainerSummary). Every field may be missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sreops.adapters.docker.states import labels_of, networks_of
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.evidence.neighbours import adjoin, compose_service, run_once
from sreops.domain.evidence.peers import Place, beside

Summary = Mapping[str, Any]


def names_of(one: Summary) -> list[str]:
    """Return its names, each with the slash before it."""
    names = one.get("Names")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def around(
    container: ContainerState, listed: Mapping[str, Summary], peer_labels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the ids of those that adjoin it, by name, and of those beside it, the worst off first.

    Services that others only wait for to be done (migrations) are nobody's peers: they are down, as they should be.
    """
    own = Place(container.labels, container.networks)
    places = {
        name: Place(labels_of(one.get("Labels")), networks_of(one))
        for name, one in sorted(listed.items(), key=lambda item: names_of(item[1])[:1])
        if name != container.id
    }
    adjoining = [one for one, place in places.items() if adjoin(own.labels, place.labels)]
    done = run_once(own.labels).union(*(run_once(place.labels) for place in places.values()))
    peers = [
        one
        for one, place in places.items()
        if one not in adjoining and compose_service(place.labels) not in done and beside(own, place, peer_labels)
    ]
    return adjoining, sorted(peers, key=lambda one: -_badness(listed[one]))  # stable: by name where equal


def _badness(one: Summary) -> int:
    return 2 * (one.get("State") != "running") + ("(unhealthy)" in str(one.get("Status")))
