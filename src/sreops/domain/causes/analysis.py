"""The analysis: what an analyst, model or rules, concludes from the evidence."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.evidence.evidence import Evidence


class Category(StrEnum):
    """The declared taxonomy of causes."""

    out_of_memory = "out_of_memory"
    memory_leak = "memory_leak"
    crash_loop = "crash_loop"
    process_exited = "process_exited"
    deadlock = "deadlock"
    connection_pool_exhausted = "connection_pool_exhausted"
    dependency_down = "dependency_down"
    connection_refused = "connection_refused"
    resource_limit = "resource_limit"
    quota_exceeded = "quota_exceeded"
    disk_full = "disk_full"
    disk_failed = "disk_failed"
    certificate_expired = "certificate_expired"
    tls_failure = "tls_failure"
    clock_skew = "clock_skew"
    bad_configuration = "bad_configuration"
    bad_deploy = "bad_deploy"
    permission_denied = "permission_denied"
    dns_failure = "dns_failure"
    rate_limited = "rate_limited"
    replication_lag = "replication_lag"
    queue_backlog = "queue_backlog"
    cpu_saturation = "cpu_saturation"
    traffic_overload = "traffic_overload"
    latency = "latency"
    error_rate = "error_rate"
    unhealthy = "unhealthy"
    false_alarm = "false_alarm"
    unknown = "unknown"


class RecommendedAction(StrEnum):
    """What the analyst would do; the first five can lead to an effect.

    ``repair``: what a runbook's own command, job or webhook does.
    """

    restart = "restart"
    start = "start"
    scale = "scale"
    rollback = "rollback"
    repair = "repair"
    investigate = "investigate"
    escalate = "escalate"
    none = "none"

    @property
    def acts(self) -> bool:
        """Whether this recommends a remediation at all."""
        return self not in (RecommendedAction.investigate, RecommendedAction.escalate, RecommendedAction.none)


class Analysis(BaseModel):
    """A conclusion; ``evidence`` are the ids it rests on."""

    model_config = ConfigDict(frozen=True)
    root_cause: str = Field(min_length=1, max_length=2000)
    category: Category
    confidence: float = Field(ge=0, le=1)
    recommended_action: RecommendedAction
    runbook_id: str | None = None
    reasoning: str = Field(max_length=8000)
    evidence: tuple[str, ...] = ()


class OfferedRunbook(BaseModel):
    """A runbook as the analyst may choose it: its id and when it applies, in words."""

    model_config = ConfigDict(frozen=True)
    id: str
    when: str
    not_when: str = ""
    action: str


class Brief(BaseModel):
    """All that an analyst gets: the alerts (newest first), the evidence, the runbooks on offer."""

    model_config = ConfigDict(frozen=True)
    incident_id: str
    alerts: tuple[AlertEvent, ...]
    evidence: tuple[Evidence, ...]
    offered: tuple[OfferedRunbook, ...] = ()
