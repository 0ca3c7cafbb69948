"""The declared table of labels: which may name a subject, in their order, and which tell namesakes apart."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class SubjectKind(StrEnum):
    """What the subject is; ``rule``: no label names anybody, so it is the alert's rule itself."""

    container = "container"
    compose_service = "compose_service"
    swarm_service = "swarm_service"
    workload = "workload"
    host = "host"
    target = "target"
    rule = "rule"


SPOKEN_OF: Final = frozenset({SubjectKind.host, SubjectKind.target})
"""Whom exporters speak of from elsewhere: the namespace and the project beside them are the exporter's."""

NO_HOST_PARTS: Final = frozenset({*SPOKEN_OF, SubjectKind.swarm_service})
"""These are the host itself, or live on several: no host tells two of them apart."""

OUTRIGHT: Final = "sreops_service"
"""The label that names the subject whatever the others say."""

KIND_OF: Final = {
    "container": SubjectKind.container,
    "container_name": SubjectKind.container,
    "k8s_container_name": SubjectKind.container,
    "kubernetes_container_name": SubjectKind.container,
    "container_label_io_kubernetes_container_name": SubjectKind.container,
    "name": SubjectKind.container,
    "container_label_com_docker_compose_service": SubjectKind.compose_service,
    "compose_service": SubjectKind.compose_service,
    "com_docker_compose_service": SubjectKind.compose_service,
    "label_com_docker_compose_service": SubjectKind.compose_service,
    "container_label_com_docker_swarm_service_name": SubjectKind.swarm_service,
    "swarm_service": SubjectKind.swarm_service,
    "com_docker_swarm_service_name": SubjectKind.swarm_service,
    "label_com_docker_swarm_service_name": SubjectKind.swarm_service,
    "service": SubjectKind.workload,
    "service_name": SubjectKind.workload,
    "app": SubjectKind.workload,
    "app_kubernetes_io_name": SubjectKind.workload,
    "application": SubjectKind.workload,
    "deployment": SubjectKind.workload,
    "k8s_deployment_name": SubjectKind.workload,
    "statefulset": SubjectKind.workload,
    "k8s_statefulset_name": SubjectKind.workload,
    "daemonset": SubjectKind.workload,
    "k8s_daemonset_name": SubjectKind.workload,
    "cronjob": SubjectKind.workload,
    "k8s_cronjob_name": SubjectKind.workload,
    "job_name": SubjectKind.workload,
    "k8s_job_name": SubjectKind.workload,
    "workload": SubjectKind.workload,
    "replicaset": SubjectKind.workload,
    "horizontalpodautoscaler": SubjectKind.workload,
    "pod": SubjectKind.workload,
    "k8s_pod_name": SubjectKind.workload,
    "kubernetes_pod_name": SubjectKind.workload,
    "pod_name": SubjectKind.workload,
    "persistentvolumeclaim": SubjectKind.workload,
    "job": SubjectKind.workload,
    "node": SubjectKind.host,
    "k8s_node_name": SubjectKind.host,
    "nodename": SubjectKind.host,
    "host": SubjectKind.host,
    "hostname": SubjectKind.host,
    "host_name": SubjectKind.host,
    "computer": SubjectKind.host,
    "instance": SubjectKind.host,
    "rulename": SubjectKind.rule,
}
SERVICE_LABELS: Final = tuple(KIND_OF)
"""The labels that may name the subject, in their order; a dot in a label's name is read as an underscore."""

TARGET_LABELS: Final = ("target", "monitor_name", "monitor_url", "url", "name")
"""Where exporters that probe others say whom, if not in ``instance``: ping, Uptime Kuma, Gatus."""

FOUND_BY: Final = frozenset(
    {
        *("container_name", "compose_service", "com_docker_compose_service"),
        *("swarm_service", "com_docker_swarm_service_name"),
    }
)
"""What a scraper that finds its targets in the engine says of whom it scrapes, and a shipper of whose lines."""

SCOPE_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "compose_project": (
        "container_label_com_docker_compose_project",
        "compose_project",
        "com_docker_compose_project",
        "label_com_docker_compose_project",
    ),
    "swarm_stack": ("container_label_com_docker_stack_namespace", "swarm_stack", "com_docker_stack_namespace"),
    "namespace": (
        "namespace",
        "k8s_namespace_name",
        "kubernetes_namespace",
        "kubernetes_namespace_name",
        "kubernetes_pod_namespace",
        "namespace_name",
        "container_label_io_kubernetes_pod_namespace",
        "service_namespace",
    ),
    "cluster": ("cluster", "k8s_cluster_name", "cluster_name"),
    "environment": ("environment", "env", "stage", "deployment_environment", "deployment_environment_name"),
    "host": ("host", "hostname", "host_name", "docker_host"),
}
"""What tells namesakes apart, and the labels that say it, the first that is there."""

POD_NAMES: Final = frozenset({"pod", "exported_pod", "k8s_pod_name", "kubernetes_pod_name", "pod_name"})
"""Labels that say that the subject is a pod's, and so may be on any node."""

SCOPE_NAMES: Final = frozenset(name for names in SCOPE_LABELS.values() for name in names)

OURS: Final = frozenset(
    {
        *("sreops_service", "alertname", "severity", "priority", "urgency", "criticality", "level", "tier"),
        *("agent_action", "runbook_id", "escalate_threshold", "grafana_folder", "alertgroup"),
        *("prometheus_replica", "thanos_replica", "ruler_replica", "rule_replica"),
    }
)
"""Labels that say how bad it is, what to do, or which twin has evaluated it, and tell no two subjects apart."""
