"""The Docker engines: the one place from which sreops acts on the world."""

from sreops.adapters.docker.containers import DockerContainers
from sreops.adapters.docker.hosts import DockerHosts
from sreops.adapters.docker.own_place import OwnPlace

__all__ = ["DockerContainers", "DockerHosts", "OwnPlace"]
