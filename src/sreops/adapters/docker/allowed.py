"""Which actions whoever stands before the engine refuses: asked with ids that nothing has, so that nothing is done.

A proxy refuses by method and path (403), and an engine answers 404 for what it does not have.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sreops.adapters.docker.engine import Engine
from sreops.domain.runbooks.runbook import StepAction
from sreops.errors import EngineRefused, OutcomeUnknown

_CONTAINER, _SERVICE = "0" * 64, "0" * 25
_NO_IMAGE = {"Image": "sreops-check.invalid/none:none", "Cmd": ["true"]}
_REFUSED = frozenset({401, 403})


class _Probe(NamedTuple):
    """A request that an action makes, of something that is not there."""

    what: str
    path: str
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] = {}


_PROBES: Final[Mapping[StepAction, Sequence[_Probe]]] = {
    StepAction.restart_container: (_Probe("", f"containers/{_CONTAINER}/restart"),),
    StepAction.start_container: (_Probe("", f"containers/{_CONTAINER}/start"),),
    StepAction.stop_container: (_Probe("", f"containers/{_CONTAINER}/stop"),),
    StepAction.exec_in_container: (_Probe("", f"containers/{_CONTAINER}/exec", {"Cmd": ["true"]}),),
    StepAction.rollback_service: (
        _Probe("", f"services/{_SERVICE}/update", {}, {"version": "1", "rollback": "previous"}),
    ),
    StepAction.scale_container: (
        _Probe(" of Compose services", "containers/create", _NO_IMAGE, {"name": "sreops-check"}),
        _Probe(" of Swarm services", f"services/{_SERVICE}/update", {}, {"version": "1"}),
    ),
}


async def refused_actions(engine: Engine, actions: Sequence[str], *, timeout_s: float) -> Sequence[str]:
    """Return which of these actions are refused before the engine, in words; raises EngineUnavailable."""
    found = []
    for action in actions:
        for probe in _PROBES.get(StepAction(action), ()):
            try:
                await engine.ask(
                    "POST", probe.path, params=probe.params, body=probe.body, timeout_s=timeout_s, acts=True
                )
            except EngineRefused as exc:
                if exc.status in _REFUSED:
                    found.append(f"{action}{probe.what}")
            except OutcomeUnknown:
                continue  # it came through to an engine that could make nothing of it
    return found
