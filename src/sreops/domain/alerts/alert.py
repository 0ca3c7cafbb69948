"""Alerts as they arrive, and events: their normalised form on a topic."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sreops.domain.alerts.subject import Subject, subject_as_sent

RESOLVE_REASONS_WITHOUT_PROOF = frozenset({"Updated", "Paused", "RuleDeleted", "MissingSeries", "Error", "NoData"})
"""Grafana states these in ``grafana_state_reason``, also joined ("NoData, KeepLast"), if a resolve proves nothing."""
RESOLVE_REASONS_OF_NO_DATA = frozenset({"NoData", "MissingSeries"})
"""Those that do count as recovery where a rule treats missing data as healthy: a count of errors without a series means
no errors.
"""


class Severity(StrEnum):
    """How bad, normalised from the many spellings in the field."""

    critical = "critical"
    warning = "warning"
    info = "info"


class Tier(StrEnum):
    """How far sreops may go on its own for this service."""

    autonomous = "autonomous"
    supervised = "supervised"
    human_only = "human_only"
    unknown = "unknown"  # only where the setting default_tier says so


class AlertStatus(StrEnum):
    """Firing or resolved."""

    firing = "firing"
    resolved = "resolved"


class AlertEvent(BaseModel):
    """One alert, normalised: the JSON on the topics (schema 1)."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore", serialize_by_alias=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    event_id: str
    source: str
    fingerprint: str
    status: AlertStatus
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AwareDatetime | None = Field(None, alias="endsAt")
    generator_url: str = Field("", alias="generatorURL")
    received_at: AwareDatetime
    agent_action: str = "investigate"
    runbook_id: str | None = None
    escalate_threshold: float = 0.7
    tier: Tier
    severity: Severity
    service: str  # the subject's name
    subject: Subject = Field(default_factory=lambda fields: subject_as_sent(fields["service"], fields["labels"]))
    values: dict[str, float] | None = None
    group_key: str = ""
    dashboard_url: str = Field("", alias="dashboardURL")
    panel_url: str = Field("", alias="panelURL")
    silence_url: str = Field("", alias="silenceURL")
    warnings: tuple[str, ...] = ()

    @property
    def alertname(self) -> str:
        """The alert's name, or the service where it has none."""
        return self.labels.get("alertname") or self.service

    def label(self, name: str) -> str | None:
        """Return a label's value, None where there is none; a dot in a name is the same as an underscore."""
        value = self.labels.get(name)
        if value is None:
            plain = name.replace(".", "_")
            value = next((text for other, text in self.labels.items() if other.replace(".", "_") == plain), None)
        return value

    def proves_recovery(self, *, no_data_recovers: bool) -> bool:
        """Whether this is a resolve that speaks of recovery, not of an edited or deleted rule, or of missing data.

        ``no_data_recovers``: the rules count without data as healthy (``SREOPS_CORRELATION__NO_DATA_RECOVERS``).
        """
        return self.status is AlertStatus.resolved and not self.ended_without_proof(no_data_recovers=no_data_recovers)

    def ended_without_proof(self, *, no_data_recovers: bool) -> frozenset[str]:
        """Return Grafana's reasons for this resolve that prove no recovery; none where it gives no such reason."""
        given = {part.strip() for part in self.annotations.get("grafana_state_reason", "").split(",")}
        healthy = RESOLVE_REASONS_OF_NO_DATA if no_data_recovers else frozenset()
        return RESOLVE_REASONS_WITHOUT_PROOF & given - healthy

    def age_s(self, now: datetime) -> float:
        """Seconds since the alert started to fire."""
        return (now - self.starts_at).total_seconds()


def utc(value: datetime) -> datetime:
    """Return an aware datetime in UTC; a naive one is a bug and raises ValueError."""
    if value.tzinfo is None:
        raise ValueError(f"naive datetime {value!r}: every time in sreops is aware UTC")
    return value.astimezone(UTC)
