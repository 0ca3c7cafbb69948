"""Names as tools make them of their subject's: a pod's hash, a run's number and a router's provider go. Pure."""

import re
from collections.abc import Mapping
from typing import Final

# what Kubernetes makes its suffixes of: no vowels, and none of the digits that look like letters
_SAFE: Final = "bcdfghjklmnpqrstvwxz2456789"
# of a ReplicaSet: seldom without a digit, and where it has none, no word is so long without a vowel
_REVISION: Final = rf"-(?:(?=[a-z]*[0-9])[a-z0-9]{{6,10}}|[{_SAFE}]{{8,10}})"
# a pod of a Deployment or CronJob (…-7d9c5b8f4-x2kqz), and one of a DaemonSet or Job
_POD: Final = re.compile(rf"(?:{_REVISION})?-[{_SAFE}]{{5}}\Z")
_REPLICA_SET: Final = re.compile(rf"{_REVISION}\Z")
_CRON_RUN: Final = re.compile(r"-[0-9]{8,10}\Z")  # the minute that a CronJob's Job was made for
_PROVIDER: Final = re.compile(  # Traefik's: payments@docker
    r"(?<=.)@(?:docker|swarm|file|kubernetes[a-z]*|knative|consul(?:catalog)?|nomad|ecs|etcd|http|redis|rest|zookeeper)\Z"
)
_ADDED: Final[Mapping[str, re.Pattern[str]]] = {
    "pod": _POD,
    "pod_name": _POD,
    "k8s_pod_name": _POD,
    "kubernetes_pod_name": _POD,
    "job_name": _CRON_RUN,
    "k8s_job_name": _CRON_RUN,
    "replicaset": _REPLICA_SET,
    "service": _PROVIDER,
}
_SWARM_TASK: Final = re.compile(r"(?P<service>.+)\.(?:[0-9]+|[a-z0-9]{25})\.[a-z0-9]{25}\Z")
_JOB_OF_TWO: Final = re.compile(r"(?P<namespace>[^/\s]+)/(?P<name>[^/\s]+)\Z")


def without_suffix(label: str, name: str) -> str:
    """Return the name that a label carries, without what its tool added: ``web`` of the pod web-7d9c5b8f4-x2kqz."""
    added = _ADDED.get(label)
    return added.sub("", name) if added is not None else name


def service_of_task(container: str) -> str | None:
    """Return the Swarm service whose task's container has this name, SERVICE.SLOT.TASK or SERVICE.NODE.TASK."""
    task = _SWARM_TASK.match(container)
    return task["service"] if task else None


def two_of_job(job: str) -> tuple[str, str] | None:
    """Return namespace and name of a job that OpenTelemetry or an operator has made of them (``shop/payments``)."""
    two = _JOB_OF_TWO.match(job)
    return (two["namespace"], two["name"]) if two else None
