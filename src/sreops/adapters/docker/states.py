"""What inspect and the service list say, as sreops keeps it: no environment, no command, capped text. Pure.

Source: MB:api/swagger.yaml (ContainerInspectResponse, Service, Task). Every field may be missing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sreops.adapters.docker.reach import container_reach, service_reach
from sreops.domain.evidence.evidence import ContainerState, ImageState, ServiceState
from sreops.domain.evidence.peers import user_networks
from sreops.domain.text.redaction import one_line

SWARM_SERVICE_LABEL = "com.docker.swarm.service.name"
COMPOSE_CONFIG_LABEL = "com.docker.compose.config-hash"
_NS = 1_000_000_000
_HEALTHS = frozenset({"healthy", "unhealthy", "starting"})
_FAILED = frozenset({"failed", "rejected", "orphaned"})
_HEALTH_LOG_ENTRIES = 5
_TEXT_CHARS = 500


def container_state(shown: Mapping[str, Any], engine: str = "") -> ContainerState | None:
    """Read an inspect answer of the engine of this name; None where it is not one."""
    container_id, name, state = shown.get("Id"), shown.get("Name"), shown.get("State")
    if not (isinstance(container_id, str) and isinstance(name, str) and isinstance(state, dict)):
        return None
    if not isinstance(state.get("Status"), str) or not isinstance(state.get("Running"), bool):
        return None
    config, host = _part(shown, "Config"), _part(shown, "HostConfig")
    labels = labels_of(config.get("Labels"))
    health = _part(state, "Health")
    stop_timeout_s = _whole(config.get("StopTimeout"))
    return ContainerState(
        id=container_id,
        name=name.removeprefix("/"),
        image=_text(config.get("Image") or shown.get("Image")),
        status=state["Status"],
        running=state["Running"],
        health=health.get("Status") if health.get("Status") in _HEALTHS else None,
        health_log=_health_log(health.get("Log")),
        exit_code=_whole(state.get("ExitCode")),
        oom_killed=state.get("OOMKilled") is True,
        error=_text(state.get("Error")),
        restart_count=_whole(shown.get("RestartCount")) or 0,
        created_at=moment(shown.get("Created")),
        started_at=moment(state.get("StartedAt")),
        finished_at=moment(state.get("FinishedAt")),
        labels=labels,
        restart_policy=_text(_part(host, "RestartPolicy").get("Name")),
        stop_timeout_s=float(stop_timeout_s) if stop_timeout_s is not None else None,
        memory_limit_bytes=_whole(host.get("Memory")) or None,
        swarm_service=labels.get(SWARM_SERVICE_LABEL),
        image_id=_text(shown.get("Image")),
        config=_config_digest(config, host, shown.get("Mounts")),
        networks=networks_of(shown),
        engine=engine,
        reach=container_reach(shown),
    )


def image_state(shown: Mapping[str, Any]) -> ImageState | None:
    """Read an image's inspect answer; None where it is not one."""
    image_id = shown.get("Id")
    if not isinstance(image_id, str) or not image_id:
        return None
    return ImageState(id=_text(image_id), created_at=moment(shown.get("Created")))


def _config_digest(config: Mapping[str, Any], host: Mapping[str, Any], mounts: Any) -> str:
    """Return a digest of how the container was made, less its image and the values of its variables (secrets).

    A variable's value that changes shows in Compose's own digest of the service, where Compose made it.
    """
    env = config.get("Env")
    mounted = [mount for mount in mounts if isinstance(mount, dict)] if isinstance(mounts, list) else []
    told = {
        "command": [config.get(name) for name in ("Entrypoint", "Cmd", "User", "WorkingDir")],
        "variables": sorted(str(variable).partition("=")[0] for variable in env) if isinstance(env, list) else [],
        "limits": [host.get(name) for name in ("Memory", "NanoCpus", "PidsLimit", "CpuQuota", "NetworkMode")],
        "restart": _part(host, "RestartPolicy").get("Name"),
        "mounts": sorted(str(mount.get("Destination")) for mount in mounted),
        "compose": labels_of(config.get("Labels")).get(COMPOSE_CONFIG_LABEL),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def service_state(shown: Mapping[str, Any], tasks: Sequence[Any], engine: str = "") -> ServiceState | None:
    """Read a service and its tasks (None where it is none); one that is not replicated is declared as it runs."""
    spec = _part(shown, "Spec")
    service_id, name = shown.get("ID"), spec.get("Name")
    if not (isinstance(service_id, str) and isinstance(name, str)):
        return None
    template, previous = _part(spec, "TaskTemplate"), _part(_part(shown, "PreviousSpec"), "TaskTemplate")
    mine = [task for task in tasks if isinstance(task, dict) and task.get("ServiceID") == service_id]
    own = [task for task in mine if task.get("DesiredState") == "running"]
    running = sum(_part(task, "Status").get("State") == "running" for task in own)
    # those of an older version may go on failing until the last of them is replaced, and say nothing of this one
    present = [task for task in mine if _container_spec(_part(task, "Spec")) == _container_spec(template)]
    ended = [_part(task, "Status") for task in present if _part(task, "Status").get("State") in _FAILED]
    failed_at = [at for status in ended if (at := moment(status.get("Timestamp"))) is not None]
    replicas = replicas_of(spec)
    grace_ns = _whole(_part(_part(spec, "TaskTemplate"), "ContainerSpec").get("StopGracePeriod"))
    return ServiceState(
        id=service_id,
        name=name,
        replicas=replicas if replicas is not None else len(own),
        running=running,
        # a task's container carries those of its ContainerSpec
        labels=labels_of(_part(_part(spec, "TaskTemplate"), "ContainerSpec").get("Labels"))
        | labels_of(spec.get("Labels")),
        failed_at=tuple(sorted(failed_at)),
        stop_timeout_s=grace_ns / _NS if grace_ns is not None else None,
        force_update=_whole(_part(spec, "TaskTemplate").get("ForceUpdate")) or 0,
        parallelism=_whole(_part(spec, "UpdateConfig").get("Parallelism")) if "UpdateConfig" in spec else 1,
        engine=engine,
        reach=service_reach(shown),
        spec=spec_digest(template),
        previous_spec=spec_digest(previous),
        image=_text(_container_spec(template).get("Image")),
        previous_image=_text(_container_spec(previous).get("Image")),
        update=_text(_part(shown, "UpdateStatus").get("State")),
        replaced_at=moment(_part(shown, "UpdateStatus").get("StartedAt")),
    )


def spec_digest(template: Mapping[str, Any]) -> str:
    """Return a digest of what a service's tasks are, less how often a restart was asked for; nothing for none.

    It takes in what the variables say, or a rollback of one of them would look like none.
    """
    told = {name: value for name, value in template.items() if name != "ForceUpdate"}
    if not told:
        return ""
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _container_spec(template: Mapping[str, Any]) -> Mapping[str, Any]:
    return _part(template, "ContainerSpec")


def replicas_of(spec: Mapping[str, Any]) -> int | None:
    """Return the declared replicas, or None where the service is not replicated (global, or a job)."""
    replicated = _part(spec, "Mode").get("Replicated")
    if not isinstance(replicated, dict):
        return None
    wanted = _whole(replicated.get("Replicas"))
    return 1 if wanted is None else wanted


def moment(text: Any) -> datetime | None:
    """Read a time of the engine (nanoseconds); the year 1 is its word for never."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None or at.year <= 1:
        return None
    return at.astimezone(UTC)


def _health_log(entries: Any) -> tuple[str, ...]:
    if not isinstance(entries, list):
        return ()
    kept = [entry for entry in entries if isinstance(entry, dict)][-_HEALTH_LOG_ENTRIES:]
    return tuple(f"exit {entry.get('ExitCode')}: {_text(entry.get('Output'))}" for entry in kept)


def _part(shown: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = shown.get(name)
    return part if isinstance(part, dict) else {}


def labels_of(shown: Any) -> dict[str, str]:
    """Read labels; what is no text is left out."""
    if not isinstance(shown, dict):
        return {}
    return {name: value for name, value in shown.items() if isinstance(value, str)}


def networks_of(shown: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the names of a container's networks, of inspect's answer or the list's; the engine's own are left out."""
    return user_networks(_part(_part(shown, "NetworkSettings"), "Networks"))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return one_line(value, _TEXT_CHARS) if isinstance(value, str) else ""
