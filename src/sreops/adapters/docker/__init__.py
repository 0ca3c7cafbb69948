"""The Docker engine: the one place from which sreops acts on the world."""

from sreops.adapters.docker.containers import DockerContainers

__all__ = ["DockerContainers"]
