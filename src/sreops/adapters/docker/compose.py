"""Compose services of one engine: looked at as a whole, and scaled by containers that Compose takes for its own."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sreops.adapters.docker.answer import expect
from sreops.adapters.docker.compose_copy import copy_of, number_of, why_not_copied
from sreops.adapters.docker.engine import MAX_INSPECT_BYTES, Engine
from sreops.adapters.docker.states import container_state
from sreops.domain.evidence.evidence import ContainerState, ServiceState
from sreops.domain.evidence.peers import ONEOFF_LABEL, PROJECT_LABEL, SERVICE_LABEL
from sreops.domain.evidence.reach import Reach
from sreops.domain.remediation.target_identity import read_identity
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown

MAX_REPLICAS = 100
"""More of one service on one engine than this are not looked through."""
MAX_AT_ONCE = 20
_TO_CLEAN_UP_S = 10.0
_ENABLE = "sreops.enable"


class ComposeServices:
    """The Compose services that an engine holds; ``name`` is the engine's in the settings."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    async def service(self, identity: str, *, timeout_s: float) -> ServiceState | None:
        """Return the service of this standing identity, which is its id; None where it has no container."""
        replicas = await self._replicas(identity, time.monotonic() + timeout_s)
        seen = [state for replica in replicas if (state := container_state(replica, self._name)) is not None]
        return _service(identity, seen) if seen else None

    async def scale(self, identity: str, replicas: int, before: int | None, *, timeout_s: float) -> None:
        """Make or remove containers until there are so many, where there are ``before`` now (None: any number)."""
        deadline = time.monotonic() + timeout_s
        there = await self._replicas(identity, deadline)
        if not there:
            raise EngineRefused(f"docker: {identity}: the service has no container to make another one after")
        if len(there) == replicas:
            return
        if before is not None and len(there) != before:
            raise EngineRefused(f"docker: {identity}: {len(there)} replicas are there, and {before} were looked at")
        if abs(replicas - len(there)) > MAX_AT_ONCE or replicas < 1:
            raise EngineRefused(f"docker: {identity}: from {len(there)} to {replicas} replicas is too far for one step")
        if replicas > len(there):
            await self._grow(identity, there, replicas - len(there), deadline)
        else:
            await self._shrink(there[replicas:], deadline)

    async def _replicas(self, identity: str, deadline: float) -> list[Mapping[str, Any]]:
        """Return the containers of a service as inspect shows them, by their numbers."""
        where = read_identity(identity)
        if where is None or where.kind != "compose" or where.engine != self._name:
            return []
        project, service = where.parts
        labels = [f"{PROJECT_LABEL}={project}", f"{SERVICE_LABEL}={service}", f"{ONEOFF_LABEL}=False"]
        listed = await self._engine.list(
            "containers/json", {"label": labels}, timeout_s=deadline - time.monotonic(), params={"all": "1"}
        )
        if len(listed) > MAX_REPLICAS:
            raise EngineRefused(f"docker: {identity}: {len(listed)} containers, more than {MAX_REPLICAS}")
        ids = [str(summary.get("Id")) for summary in listed]
        shown = await asyncio.gather(
            *(self._shown(f"containers/{container_id}/json", deadline) for container_id in ids)
        )
        return sorted((replica for replica in shown if replica is not None), key=number_of)

    async def _shown(self, path: str, deadline: float) -> Mapping[str, Any] | None:
        try:
            answer = await self._engine.ask(
                "GET", path, timeout_s=deadline - time.monotonic(), max_bytes=MAX_INSPECT_BYTES
            )
        except EngineRefused as exc:
            if exc.status == 404:
                return None
            raise
        shown = await self._engine.parsed(f"GET /{path}", answer)
        if not isinstance(shown, dict):
            raise EngineUnavailable(f"docker: GET /{path}: the answer is not an object")
        return shown

    async def _grow(self, identity: str, there: Sequence[Mapping[str, Any]], more: int, deadline: float) -> None:
        if why := why_not_copied(there):
            raise EngineRefused(f"docker: {identity} is not scaled: {why}")
        pattern, reference = there[0], str(_part(there[0], "Config").get("Image"))
        image = await self._shown(f"images/{reference}/json", deadline)
        if image is None or image.get("Id") != pattern.get("Image"):
            raise EngineRefused(
                f"docker: {identity} is not scaled: {reference} means another image than its containers were made "
                "from, and Compose would make all of them anew"
            )
        last = number_of(there[-1])
        for made in range(more):
            try:
                await self._add(pattern, last + 1 + made, deadline)
            except (EngineRefused, EngineUnavailable) as exc:
                if made:
                    raise OutcomeUnknown(f"{exc}; {made} of {more} replicas were made before") from exc
                raise

    async def _add(self, pattern: Mapping[str, Any], number: int, deadline: float) -> None:
        copy = copy_of(pattern, number)
        answer = await self._act("POST", "containers/create", deadline, {"name": copy.name}, copy.body)
        expect(answer, "create", 201)
        made = await self._engine.parsed("POST /containers/create", answer)
        container_id = str(made.get("Id")) if isinstance(made, dict) else ""
        try:
            for network, endpoint in copy.networks:
                body = {"Container": container_id, "EndpointConfig": endpoint}
                expect(await self._act("POST", f"networks/{network}/connect", deadline, {}, body), "connect", 200)
            expect(await self._act("POST", f"containers/{container_id}/start", deadline, {}, None), "start", 204)
        except (EngineRefused, EngineUnavailable) as exc:
            # what was made and does not run is not left behind
            path, until = f"containers/{container_id}", time.monotonic() + _TO_CLEAN_UP_S
            try:
                expect(await self._act("DELETE", path, until, {"force": "1", "v": "1"}, None), "remove", 204)
            except (EngineRefused, EngineUnavailable) as left:
                raise OutcomeUnknown(f"{exc}; {copy.name} was made, and is left: {left}") from exc
            raise EngineRefused(f"{exc}; {copy.name} was made, could not be started and was removed again") from exc

    async def _shrink(self, surplus: Sequence[Mapping[str, Any]], deadline: float) -> None:
        begun = False
        for replica in reversed(surplus):  # the highest numbers first, as Compose does
            path = f"containers/{replica['Id']}"
            try:
                expect(await self._act("POST", f"{path}/stop", deadline, {}, None), "stop", 204, 304)
                begun = True
                expect(await self._act("DELETE", path, deadline, {}, None), "remove", 204)
            except (EngineRefused, EngineUnavailable) as exc:
                if begun:
                    raise OutcomeUnknown(f"{exc}; a part of it was done before") from exc
                raise

    async def _act(
        self, method: str, path: str, deadline: float, params: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> Any:
        left_s = deadline - time.monotonic()
        return await self._engine.ask(method, path, params=params, body=body, timeout_s=left_s, acts=True)


def _service(identity: str, seen: Sequence[ContainerState]) -> ServiceState:
    labels: dict[str, str] = {}
    for state in seen:
        labels = {**state.labels, **labels}
    if not all(state.labels.get(_ENABLE, "").strip().lower() == "true" for state in seen):
        labels.pop(_ENABLE, None)  # what is allowed for one of them is not for all
    graces = [state.stop_timeout_s for state in seen if state.stop_timeout_s is not None]
    forever = any(grace < 0 for grace in graces)
    # one that its policy brought back has died before its present start
    deaths = [state.started_at for state in seen if state.restart_count and state.started_at is not None]
    up = [state for state in seen if state.running and state.status == "running"]
    return ServiceState(
        id=identity,
        name=seen[0].labels[SERVICE_LABEL],
        project=seen[0].labels[PROJECT_LABEL],
        members=tuple(state.name for state in seen),
        replicas=len(seen),
        running=len(up),
        labels=labels,
        failed_at=tuple(sorted(deaths)),
        stop_timeout_s=-1.0 if forever else max(graces, default=None),
        engine=seen[0].engine,
        reach=Reach(
            attachments=tuple(attachment for state in seen for attachment in state.reach.attachments),
            published=tuple(port for state in seen for port in state.reach.published),
        ),
        image=seen[0].image,
    )


def scaled_identity(service_id: str) -> bool:
    """Whether this is the id of a Compose service, and not Swarm's."""
    where = read_identity(service_id)
    return where is not None and where.kind == "compose"


def _part(shown: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = shown.get(name)
    return part if isinstance(part, dict) else {}
