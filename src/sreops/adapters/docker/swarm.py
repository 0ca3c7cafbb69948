"""Swarm services of one engine: looked at, scaled, and restarted by Swarm itself, which replaces their tasks."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from sreops.adapters.docker.answer import expect
from sreops.adapters.docker.engine import Engine
from sreops.adapters.docker.states import replicas_of, service_state, spec_digest
from sreops.domain.evidence.evidence import ServiceState
from sreops.errors import EngineRefused, EngineUnavailable, OutcomeUnknown

UPDATE_ATTEMPTS = 5
"""How often an update is tried anew where somebody else changed the service in between."""
SERVICE_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}")
_SERVICE_ID = re.compile(r"[0-9a-z]{25}")
_Change = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any] | None]
"""From a service as it is shown, and its Spec, to the Spec to set; None: nothing is to be done."""


class SwarmServices:
    """The services that an engine manages; ``name`` is the engine's in the settings."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    async def service(self, name: str, *, timeout_s: float) -> ServiceState | None:
        """Return the service of exactly this name; None where there is none or no Swarm."""
        if not SERVICE_NAME.fullmatch(name):
            return None
        deadline = time.monotonic() + timeout_s
        try:
            services = await self._engine.list("services", {"name": [name]}, timeout_s=timeout_s)
        except EngineRefused as exc:
            if exc.status == 503:  # no Swarm here
                return None
            raise
        exact = [service for service in services if _spec(service).get("Name") == name]  # the filter takes prefixes
        if not exact:
            return None
        filters = {"service": [str(exact[0].get("ID"))]}  # those that have ended too: they tell of failures
        tasks = await self._engine.list("tasks", filters, timeout_s=deadline - time.monotonic())
        state = service_state(exact[0], tasks, self._name)
        if state is None:
            raise EngineUnavailable(f"docker: service {name}: the answer has no ID")
        return state

    async def scale(self, service_id: str, replicas: int, before: int | None = None, *, timeout_s: float) -> None:
        """Set the replicas of a replicated service, whose image stays as it is declared."""
        if replicas < 0:
            raise EngineRefused(f"docker: {replicas} replicas can't be: give 0 or more")

        def scaled(_shown: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
            there = replicas_of(spec)
            if there is None:
                raise EngineRefused(
                    f"docker: service {spec.get('Name')} is not replicated (global or a job): no replicas"
                )
            if there == replicas:
                return None
            if before is not None and there != before:
                raise EngineRefused(f"docker: {there} replicas are declared, and {before} were looked at")
            return {**spec, "Mode": {"Replicated": {**spec["Mode"]["Replicated"], "Replicas": replicas}}}

        await self._update(service_id, scaled, "scaled", timeout_s)

    async def restart(self, service_id: str, *, timeout_s: float) -> None:
        """Let Swarm replace every task, at the pace that the service's UpdateConfig declares (ForceUpdate + 1)."""

        def forced(_shown: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
            template = _template(spec)
            count = template.get("ForceUpdate")
            count = count if isinstance(count, int) else 0
            return {**spec, "TaskTemplate": {**template, "ForceUpdate": count + 1}}

        await self._update(service_id, forced, "restarted", timeout_s)

    async def roll_back(self, service_id: str, spec: str, previous: str, *, timeout_s: float) -> None:
        """Let Swarm go back to the previous specification, if both are still these (``spec_digest``)."""
        if not previous:
            raise EngineRefused(f"docker: service {service_id} has no previous specification to go back to")

        def unchanged(shown: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
            was = shown.get("PreviousSpec")
            digests = [
                spec_digest(_template(specification)) for specification in (now, was if isinstance(was, dict) else {})
            ]
            if digests != [spec, previous]:
                raise EngineRefused(f"docker: service {now.get('Name')} was changed since it was looked at")
            return dict(now)  # the request needs a whole one, and Swarm takes the previous instead

        await self._update(service_id, unchanged, "rolled back", timeout_s, rollback=True)

    async def _update(
        self, service_id: str, change: _Change, what: str, timeout_s: float, *, rollback: bool = False
    ) -> None:
        """Update it; one that lost a race ("out of sequence") changed nothing and is tried anew on what is there."""
        if not _SERVICE_ID.fullmatch(service_id):
            raise EngineRefused(f"docker: {service_id[:40]!r} is not the full id of a Swarm service")
        deadline = time.monotonic() + timeout_s
        for _ in range(UPDATE_ATTEMPTS):
            try:
                await self._update_once(service_id, change, deadline, rollback=rollback)
            except OutcomeUnknown as exc:
                if "out of sequence" not in str(exc):
                    raise
            else:
                return
        raise EngineRefused(
            f"docker: service {service_id} was changed by somebody else {UPDATE_ATTEMPTS} times in between: not {what}"
        )

    async def _update_once(self, service_id: str, change: _Change, deadline: float, *, rollback: bool) -> None:
        path = f"services/{service_id}"
        answer = await self._engine.ask("GET", path, timeout_s=deadline - time.monotonic())
        shown = await self._engine.parsed(f"GET /{path}", answer)
        version = shown.get("Version") if isinstance(shown, dict) else None
        index = version.get("Index") if isinstance(version, dict) else None
        if not isinstance(index, int) or shown.get("ID") != service_id:
            raise EngineUnavailable(f"docker: GET /{path}: the answer is not this service")
        spec = change(shown, _spec(shown))
        if spec is None:
            return
        # registryAuthFrom=spec: the registry's credentials stay those that the engine has; it asks no registry.
        params = {"version": str(index), "registryAuthFrom": "spec"}
        if rollback:
            params = {"version": str(index), "rollback": "previous", "registryAuthFrom": "previous-spec"}
        update = await self._engine.ask(
            "POST", f"{path}/update", params=params, body=spec, timeout_s=deadline - time.monotonic(), acts=True
        )
        expect(update, "update", 200)


def _spec(service: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = service.get("Spec")
    return spec if isinstance(spec, dict) else {}


def _template(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    template = spec.get("TaskTemplate")
    return template if isinstance(template, dict) else {}
