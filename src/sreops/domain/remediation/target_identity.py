"""The standing identity of a target: what stays the same through restarts, recreations and every name for it. Pure.

An alert may say ``payments``, a runbook ``shop-payments-1``: the engine knows that both are the Compose service
``payments`` of project ``shop``. What was done to a target is counted by that, since names as strings would let one
container be restarted twice within a second. A container's id is none: it changes at every recreate.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.evidence.peers import ONEOFF_LABEL, PROJECT_LABEL, SERVICE_LABEL

STACK_LABEL = "com.docker.stack.namespace"
NUMBER_LABEL = "com.docker.compose.container-number"


class Touched(NamedTuple):
    """What an effect was done for (``subject``) and to; ``standing`` is empty where 0.1 wrote the row."""

    subject: str
    target: str
    standing: str = ""


def standing_identity(target: ContainerState | ServiceState) -> str:
    """Return engine and Swarm service, or Compose project and service, or the container's name.

    Every part is quoted, so that no label can make one target look like another.
    """
    if isinstance(target, ServiceState):
        where = ("compose", target.project) if target.project else ("swarm",)
        return _joined(target.engine, *where, target.name)
    if target.swarm_service:
        return _joined(target.engine, "swarm", target.swarm_service)
    project, service = target.labels.get(PROJECT_LABEL), target.labels.get(SERVICE_LABEL)
    if project and service and target.labels.get(ONEOFF_LABEL, "False") == "False":
        return _joined(target.engine, "compose", project, service)
    return _joined(target.engine, "container", target.name)


def address_identity(url: str) -> str:
    """Return the standing identity of what lies outside the engine and is known by its address."""
    return _joined_outside("url", url)


def deployment_identity(project: str, environment: str = "") -> str:
    """Return the standing identity of what is deployed by a GitLab project; without an environment, of the project."""
    return _joined_outside("gitlab", project.lower(), *([environment] if environment else []))


def same_project(one: str, other: str) -> bool:
    """Whether two standing identities are of one GitLab project, in which one effect is done at a time."""
    head, *parts = one.split("/")
    return head == "gitlab" and bool(parts) and other.split("/")[:2] == [head, parts[0]]


class Namesake(NamedTuple):
    """What tells a subject from its namesakes: its target's standing identity (empty: unknown), and its scope."""

    standing: str
    scope: Mapping[str, str]


def may_be_one(one: Namesake, other: Namesake) -> bool:
    """Whether two subjects of one name may be one: what is not known tells nobody apart.

    Identities of two kinds do not either: a container that Compose takes over keeps its name.
    """
    if any(other.scope.get(key, value) != value for key, value in one.scope.items()):
        return False
    mine, theirs = read_identity(one.standing), read_identity(other.standing)
    return mine is None or theirs is None or mine.kind != theirs.kind or mine == theirs


class Where(NamedTuple):
    """A standing identity, taken apart: ``kind`` is ``compose``, ``swarm`` or ``container``."""

    engine: str
    kind: str
    parts: tuple[str, ...]


def read_identity(identity: str) -> Where | None:
    """Return what a standing identity says; None where it is none of an engine's."""
    head, *parts = (unquote(part) for part in identity.split("/"))
    docker, _, engine = head.partition(":")
    length = {"compose": 3, "swarm": 2, "container": 2}
    if docker != "docker" or not parts or length.get(parts[0]) != len(parts):
        return None
    return Where(engine, parts[0], tuple(parts[1:]))


def names_of(target: ContainerState | ServiceState) -> frozenset[str]:
    """Return the names under which the engine knows it: 0.1 wrote down one of them, or the alert's own."""
    if isinstance(target, ServiceState):
        return frozenset({target.name, *target.members})
    service = target.labels.get(SERVICE_LABEL)
    return frozenset(name for name in (target.name, service, target.swarm_service) if name)


def full_names(target: ContainerState) -> frozenset[str]:
    """Return the names that mean it whatever else the engine holds: its own, and those that say its project."""
    names = {target.name, target.swarm_service}
    project, service = target.labels.get(PROJECT_LABEL), target.labels.get(SERVICE_LABEL)
    number = target.labels.get(NUMBER_LABEL)
    if project and service:
        names |= {f"{project}{joint}{service}" for joint in "-_"}
        names |= {f"{project}{joint}{service}{joint}{number}" for joint in "-_" if number}
    return frozenset(name for name in names if name)


def scope_of(target: ContainerState) -> dict[str, str]:
    """Return what the engine says of a container's scope, in the words of an alert's."""
    labels = {"compose_project": target.labels.get(PROJECT_LABEL), "swarm_stack": target.labels.get(STACK_LABEL)}
    return {key: value for key, value in labels.items() if value}


def concerns(subjects: Iterable[str], names: Iterable[str], standings: Iterable[str], other: Touched) -> bool:
    """Say whether an effect was done for one of these subjects, or to one of these targets.

    Two targets whose standing identities are known and differ are two, even where they are called the same.
    """
    if other.standing in standings and other.standing:
        return True
    named = {*subjects, *names}
    return other.subject in subjects or (not other.standing and (other.target in named or other.subject in named))


def _joined_outside(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def _joined(engine: str, *parts: str) -> str:
    return "/".join(quote(part, safe="") for part in (f"docker:{engine}" if engine else "docker", *parts))
