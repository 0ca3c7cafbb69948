"""Docker as ports.Containers: containers by name or service within a scope, Swarm services by exact name."""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sreops.adapters.docker.acts import DockerActs, full_id
from sreops.adapters.docker.engine import MAX_INSPECT_BYTES, Engine
from sreops.adapters.docker.events import ACTIONS, read_events
from sreops.adapters.docker.listing import around, in_scope, is_meant, means, names_of, newest_tasks
from sreops.adapters.docker.log_frames import log_lines
from sreops.adapters.docker.own_place import OwnPlace
from sreops.adapters.docker.states import SWARM_SERVICE_LABEL, container_state, image_state, labels_of
from sreops.domain.evidence.evidence import ContainerEvents, ContainerState, ImageState, LogLines, Window
from sreops.domain.evidence.peers import PROJECT_LABEL, SERVICE_LABEL
from sreops.domain.remediation.protection import Ourselves
from sreops.domain.remediation.target_identity import read_identity, standing_identity
from sreops.errors import EngineRefused, EngineUnavailable, SettingsInvalid, TargetAmbiguous
from sreops.ports import Health
from sreops.settings import DockerSettings

MAX_MATCHES = 30
"""How many containers of one name are looked at: replicas of one service, or namesakes."""
MAX_ADJOINING = 20
"""How many containers next to one are looked at: a service may have dozens."""
MAX_PEERS = 12
"""How many containers beside one are looked at, the worst off of them."""
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}")
_IMAGE_PART = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_IMAGE = re.compile(
    rf"{_IMAGE_PART}(?::\d{{1,5}}(?=/))?(?:/{_IMAGE_PART}){{0,10}}(?::{_IMAGE_PART})?(?:@sha256:[0-9a-f]{{64}})?"
)


class DockerContainers(DockerActs):
    """Implements ports.Containers over one engine; connects when first used.

    ``name`` is the one that ``SREOPS_DOCKER__HOSTS`` gives it; the nameless one is ``SREOPS_DOCKER__HOST``'s.
    """

    def __init__(
        self,
        settings: DockerSettings,
        place: OwnPlace | None = None,
        *,
        name: str = "",
        trust: ssl.SSLContext | None = None,
    ) -> None:
        host = settings.hosts.get(name, "") if name else settings.host
        if not host:
            raise SettingsInvalid(["SREOPS_DOCKER__HOST is empty: no engine is ever discovered, name one"])
        self.name = name
        self._engine = Engine(host, trust)
        super().__init__(self._engine, name)
        self.address = self._engine.name.lower()
        """The host in the engine's address; nothing for a local socket."""
        self._timeout_s = settings.timeout_s
        self._peer_labels = settings.peer_labels
        self._place = place or OwnPlace()

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.close()

    async def find(
        self, name: str, *, timeout_s: float, scope: Mapping[str, str] | None = None
    ) -> ContainerState | None:
        """Return the container of exactly this name, else the only one that it means (``matching``); else None.

        Several raise TargetAmbiguous that names them: which one is meant is for a person.
        """
        found = await self.matching(name, scope or {}, exact=True, timeout_s=timeout_s)
        if len(found) > 1:
            raise ambiguous(name, found)
        return found[0] if found else None

    async def matching(
        self, name: str, scope: Mapping[str, str], *, timeout_s: float, exact: bool = False
    ) -> Sequence[ContainerState]:
        """Return the containers that a name means within a scope, by name.

        ``exact``: a container of exactly this name is the one, whatever services are called so.
        """
        if not _NAME.fullmatch(name):
            return ()  # no container can have this name, and nothing of it reaches the engine
        deadline = time.monotonic() + timeout_s
        named = await self._list({"name": [f"^/{re.escape(name)}$"]}, timeout_s)
        found = [
            summary
            for summary in named
            if f"/{name}" in names_of(summary) and in_scope(labels_of(summary.get("Labels")), scope)
        ]
        if not found or not exact:
            for filters in means(name):
                listed = await self._list({"label": list(filters)}, deadline - time.monotonic())
                found += [
                    summary for summary in listed if is_meant(name, labels_of(summary.get("Labels")), scope, filters)
                ]
                if found:
                    break
        return await self._inspected(found, deadline)

    async def standing(self, identity: str, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return the containers that are this target now, by name: replicas, or one under whatever id and name."""
        where = read_identity(identity)
        if where is None or where.engine != self.name:
            return ()
        deadline = time.monotonic() + timeout_s
        if where.kind == "container":
            filters = {"name": [f"^/{re.escape(where.parts[-1])}$"]}
        elif where.kind == "swarm":
            filters = {"label": [f"{SWARM_SERVICE_LABEL}={where.parts[-1]}"]}
        else:
            project, service = where.parts
            filters = {"label": [f"{PROJECT_LABEL}={project}", f"{SERVICE_LABEL}={service}"]}
        seen = await self._inspected(await self._list(filters, timeout_s), deadline)
        return [state for state in seen if standing_identity(state) == identity]

    async def _inspected(self, found: Sequence[Mapping[str, Any]], deadline: float) -> Sequence[ContainerState]:
        ids = [task["Id"] for task in newest_tasks(found)[:MAX_MATCHES] if isinstance(task.get("Id"), str)]
        ids = list(dict.fromkeys(ids))
        left_s = deadline - time.monotonic()
        seen = await asyncio.gather(*(self.inspect(container_id, timeout_s=left_s) for container_id in ids))
        return sorted((state for state in seen if state is not None), key=lambda state: state.name)

    async def inspect(self, container_id: str, *, timeout_s: float) -> ContainerState | None:
        """Return it by its full id; None where it is gone."""
        shown = await self._inspect(container_id, timeout_s)
        if shown is None:
            return None
        state = container_state(shown, self.name)
        if state is None:
            raise EngineUnavailable(f"docker: inspect {container_id[:12]}: the answer has no Name or State")
        return state

    async def neighbours(self, container: ContainerState, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return the containers of its Compose project that it depends on or that depend on it, by name; then peers."""
        shared = [label for label in (PROJECT_LABEL, *self._peer_labels) if container.labels.get(label)]
        deadline = time.monotonic() + timeout_s
        listed: dict[str, dict[str, Any]] = {}
        for label in shared:
            left_s = deadline - time.monotonic()
            found = await self._list({"label": [f"{label}={container.labels[label]}"]}, left_s)
            listed |= {str(summary.get("Id")): summary for summary in found}
        adjoining, peers = around(container, listed, self._peer_labels)
        left_s = deadline - time.monotonic()
        ids = (*adjoining[:MAX_ADJOINING], *peers[:MAX_PEERS])
        seen = await asyncio.gather(*(self.inspect(container_id, timeout_s=left_s) for container_id in ids))
        return [state for state in seen if state is not None]

    async def logs(self, container_id: str, *, since: datetime, limit: int, timeout_s: float) -> LogLines:
        """Return its own last lines; raises EngineRefused (404) where the container is gone."""
        deadline = time.monotonic() + timeout_s
        shown = await self._inspect(container_id, timeout_s)
        if shown is None:
            raise EngineRefused(f"docker: no container {container_id[:12]} to read logs of", status=404)
        params = {
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "since": f"{since.timestamp():.6f}",
            "tail": str(max(1, limit)),
        }
        path = f"containers/{container_id}/logs"
        answer = await self._engine.ask("GET", path, params=params, timeout_s=deadline - time.monotonic())
        config = shown.get("Config")
        tty = isinstance(config, dict) and config.get("Tty") is True
        lines, torn = await asyncio.to_thread(log_lines, answer.body, tty=tty, since=since, most=max(1, limit))
        notes = []
        if len(lines) >= limit:
            notes.append(f"only the newest {limit} lines were asked for")
        if answer.cut or torn:
            notes.append("the answer was cut: the newest lines are missing")
        name = str(shown.get("Name", container_id[:12])).removeprefix("/")
        return LogLines(
            query=f"docker logs --since {since.isoformat()} --tail {limit} {name}",
            lines=tuple(lines[-limit:]),
            partial=bool(notes),
            notes=tuple(notes),
        )

    async def events(
        self, names: Sequence[str], window: Window, *, limit: int, timeout_s: float, engine: str | None = None
    ) -> ContainerEvents:
        """Return what happened to the containers of exactly these names, the newest ``limit`` of it."""
        asked = [name for name in dict.fromkeys(names) if _NAME.fullmatch(name)]
        since, until = window.start.timestamp(), window.end.timestamp()
        shown = " ".join(f"--filter container={name}" for name in asked)
        query = f"docker events --since {window.start.isoformat()} --until {window.end.isoformat()} {shown}"
        if not asked:
            return ContainerEvents(query=query, events=())  # without a name the engine would tell of everybody
        filters = {"type": ["container"], "container": asked, "event": list(ACTIONS)}
        params = {"since": f"{since:.6f}", "until": f"{until:.6f}", "filters": json.dumps(filters)}
        answer = await self._engine.ask("GET", "events", params=params, timeout_s=timeout_s)
        try:
            found = await asyncio.to_thread(read_events, answer.body, frozenset(asked), cut=answer.cut)
        except ValueError as exc:
            raise EngineUnavailable(f"docker: GET /events: the answer is not that of an engine: {exc}") from exc
        partial = answer.cut or len(found) > limit
        return ContainerEvents(query=query, events=tuple(found[-limit:]), partial=partial)

    async def image(self, reference: str, *, timeout_s: float, engine: str = "") -> ImageState | None:
        """Return what this tag means now; None where the engine has no such image (any more)."""
        if not _IMAGE.fullmatch(reference):
            return None  # no image can be called this, and nothing of it reaches the engine
        path = f"images/{reference}/json"
        found = await self._look_up(path, timeout_s)
        if found is None:
            return None
        (shown,) = found
        state = image_state(shown) if isinstance(shown, dict) else None
        if state is None:
            raise EngineUnavailable(f"docker: GET /{path}: the answer is not an image")
        return state

    async def ourselves(self, *, timeout_s: float, engine: str = "") -> Ourselves:
        """Return what sreops knows of its own place: what is never a target follows from it."""
        place = self._place
        addresses = await place.resolved()
        engine_ips = await place.ips_of(self._engine.name) if self._engine.name else frozenset()
        own = await self._own_container(timeout_s)
        ips = frozenset(ip for address in addresses for ip in address.ips) | engine_ips
        here = await asyncio.to_thread(place.of_this_machine, ips)
        local = not self._engine.name or own is not None or bool(engine_ips & here)
        on_host = own is None or own.reach.on_host_network
        return Ourselves(
            ids=await place.container_ids(),
            hostname=place.hostname,
            container=own,
            addresses=addresses,
            # a socket proxy's address is a container's, no host's
            host_ips=(here if local and on_host else frozenset()) | (frozenset() if own else engine_ips),
            engine_is_local=local,
        )

    async def _own_container(self, timeout_s: float) -> ContainerState | None:
        for container_id in await self._place.container_ids():
            if (own := await self.inspect(container_id, timeout_s=timeout_s)) is not None:
                return own
        return None

    async def health(self) -> Health:
        """Say whether the engine answers."""
        try:
            version = await self._engine.version(timeout_s=min(self._timeout_s, 5.0))
        except (EngineUnavailable, EngineRefused) as exc:
            return Health("down", str(exc), exc.cure or "start the engine, or correct SREOPS_DOCKER__HOST")
        return Health("up", f"engine {str(version.get('Version'))[:40]}, API {version['ApiVersion']}")

    async def _inspect(self, container_id: str, timeout_s: float) -> Mapping[str, Any] | None:
        path = f"containers/{full_id(container_id)}/json"
        found = await self._look_up(path, timeout_s)
        if found is None:
            return None
        (shown,) = found
        if not isinstance(shown, dict) or shown.get("Id") != container_id:
            raise EngineUnavailable(f"docker: GET /{path}: the answer is not this container")
        return shown

    async def _look_up(self, path: str, timeout_s: float) -> tuple[Any] | None:
        """Return the JSON at a path (which may be null); None where the engine knows no such thing."""
        try:
            answer = await self._engine.ask("GET", path, timeout_s=timeout_s, max_bytes=MAX_INSPECT_BYTES)
        except EngineRefused as exc:
            if exc.status == 404:
                return None
            raise
        return (await self._engine.parsed(f"GET /{path}", answer),)

    async def _list(self, filters: Mapping[str, list[str]], timeout_s: float) -> list[dict[str, Any]]:
        return await self._engine.list("containers/json", filters, timeout_s=timeout_s, params={"all": "1"})


def ambiguous(name: str, found: Sequence[ContainerState]) -> TargetAmbiguous:
    """Return the error that names the candidates, with what tells them apart."""
    choice = [
        state.name
        + (f" (project {project})" if (project := state.labels.get(PROJECT_LABEL)) else "")
        + (f" on {state.engine}" if state.engine else "")
        for state in found
    ]
    return TargetAmbiguous(
        f"docker: {len(found)} containers are called or of the service {name} ({', '.join(choice[:10])}): "
        "name one of them with the runbook's params.container",
        choice,
    )
