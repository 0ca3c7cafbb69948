"""What the list of containers says, before any of them is inspected: whom a name means, who is next to one. Pure.

Source: MB:api/swagger.yaml (ContainerSummary). Every field may be missing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sreops.adapters.docker.states import SWARM_SERVICE_LABEL, labels_of, networks_of
from sreops.domain.evidence.evidence import ContainerState
from sreops.domain.evidence.neighbours import adjoin, compose_service, run_once
from sreops.domain.evidence.peers import ONEOFF_LABEL, PROJECT_LABEL, SERVICE_LABEL, ContainerPlace, beside
from sreops.domain.remediation.target_identity import NUMBER_LABEL, STACK_LABEL

Summary = Mapping[str, Any]


def names_of(summary: Summary) -> list[str]:
    """Return its names, each with the slash before it."""
    names = summary.get("Names")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def around(
    container: ContainerState, listed: Mapping[str, Summary], peer_labels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the ids of those that adjoin it, by name, and of those beside it, the worst off first.

    Services that others only wait for to be done (migrations) are nobody's peers: they are down, as they should be.
    """
    own = ContainerPlace(container.labels, container.networks)
    places = {
        name: ContainerPlace(labels_of(summary.get("Labels")), networks_of(summary))
        for name, summary in sorted(listed.items(), key=lambda item: names_of(item[1])[:1])
        if name != container.id
    }
    adjoining = [container_id for container_id, place in places.items() if adjoin(own.labels, place.labels)]
    done = run_once(own.labels).union(*(run_once(place.labels) for place in places.values()))
    peers = [
        container_id
        for container_id, place in places.items()
        if container_id not in adjoining
        and compose_service(place.labels) not in done
        and beside(own, place, peer_labels)
    ]
    # stable: by name where equal
    return adjoining, sorted(peers, key=lambda container_id: -_badness(listed[container_id]))


def _badness(summary: Summary) -> int:
    return 2 * (summary.get("State") != "running") + ("(unhealthy)" in str(summary.get("Status")))


# --- what a name means


_TASK_LABEL = "com.docker.swarm.task.name"
_SCOPE_LABELS = {"compose_project": PROJECT_LABEL, "swarm_stack": STACK_LABEL}
_SAID_BY_SOME = {"environment": ("environment", "env", "stage"), "cluster": ("cluster",), "namespace": ("namespace",)}


def in_scope(labels: Mapping[str, str], scope: Mapping[str, str]) -> bool:
    """Whether a container is within a scope: its project and stack must be those that are named.

    What else a scope may say only some containers say of themselves: it rules out those that say otherwise.
    """
    for key, label in _SCOPE_LABELS.items():
        if key in scope and labels.get(label) != scope[key]:
            return False
    for key, names in _SAID_BY_SOME.items():
        stated = next((labels[name] for name in names if name in labels), None)
        if key in scope and stated is not None and stated != scope[key]:
            return False
    return True


def means(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the label filters under which a name is looked for, in order: as a service, then in other spellings."""
    no_run = f"{ONEOFF_LABEL}=False"
    return (
        (f"{SERVICE_LABEL}={name}", no_run),
        (f"{SWARM_SERVICE_LABEL}={name}",),
        (SERVICE_LABEL, no_run),
        (SWARM_SERVICE_LABEL,),
    )


def is_meant(name: str, labels: Mapping[str, str], scope: Mapping[str, str], filters: Sequence[str]) -> bool:
    """Whether a listed container is what the name means, by the filters that it was listed with."""
    if not in_scope(labels, scope):
        return False
    label, _, value = filters[0].partition("=")
    if value:
        return labels.get(label) == name
    return name in spellings(labels)


def spellings(labels: Mapping[str, str]) -> frozenset[str]:
    """Return how else a container of a service is called: with or without project (stack) and number."""
    found: set[str] = set()
    service, project, number = labels.get(SERVICE_LABEL), labels.get(PROJECT_LABEL), labels.get(NUMBER_LABEL)
    for joint in ("-", "_") if service else ():
        for parts in ((project, service), (project, service, number), (service, number)):
            if all(parts):
                found.add(joint.join(str(part) for part in parts))
    stack, task = labels.get(STACK_LABEL), labels.get(_TASK_LABEL, "")
    swarm = labels.get(SWARM_SERVICE_LABEL)
    if swarm:
        found |= {swarm, task.rpartition(".")[0]}
        if stack and swarm.startswith(f"{stack}_"):
            found.add(swarm.removeprefix(f"{stack}_"))
    return frozenset(found - {""})


def newest_tasks(listed: Sequence[Summary]) -> list[Summary]:
    """Leave out the containers that Swarm has replaced: of each slot of a service only the newest is a replica."""
    newest: dict[str, Summary] = {}
    for summary in sorted(listed, key=lambda summary: (_made(summary), names_of(summary)[:1])):
        task = labels_of(summary.get("Labels")).get(_TASK_LABEL, "")
        newest[task.rpartition(".")[0] or str(summary.get("Id"))] = summary
    return list(newest.values())


def _made(summary: Summary) -> int:
    created = summary.get("Created")
    return created if isinstance(created, int) else 0
