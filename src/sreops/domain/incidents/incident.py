"""Incidents: one episode of one service being unwell, from opening to its end."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sreops.domain.alerts.alert import AlertEvent, Severity, Tier
from sreops.domain.alerts.subject import Subject
from sreops.domain.incidents.joins import Flapping, Joins
from sreops.domain.incidents.needs import need_of
from sreops.domain.incidents.target import KnownTarget

_TIMES = "\N{MULTIPLICATION SIGN}"
INCIDENT_NAMESPACE = uuid.UUID("6f1f6c1e-0c6e-5d39-9a55-6f5d0c1c0a11")


class IncidentStatus(StrEnum):
    """Where an incident stands; ``resolved`` and ``escalated`` are ends."""

    investigating = "investigating"
    awaiting_approval = "awaiting_approval"
    remediating = "remediating"
    verifying = "verifying"
    resolved = "resolved"
    escalated = "escalated"

    @property
    def ended(self) -> bool:
        """Whether this is an end."""
        return self in (IncidentStatus.resolved, IncidentStatus.escalated)


class Resolution(StrEnum):
    """How a resolved incident was resolved."""

    fixed = "fixed"
    recovered = "recovered"
    false_alarm = "false_alarm"
    closed = "closed"  # by a person


class Reason(StrEnum):
    """Why an incident was handed to a person: the one enumeration of escalations."""

    low_confidence = "low_confidence"
    no_runbook_matched = "no_runbook_matched"
    unknown_runbook = "unknown_runbook"
    action_not_remediation = "action_not_remediation"
    observe_only = "observe_only"
    policy_denied = "policy_denied"
    approval_rejected = "approval_rejected"
    approval_expired = "approval_expired"
    step_failed = "step_failed"
    outcome_unknown = "outcome_unknown"
    remediation_ineffective = "remediation_ineffective"
    verification_unknown = "verification_unknown"
    analysis_failed = "analysis_failed"
    already_healthy = "already_healthy"
    resolved_without_proof = "resolved_without_proof"
    refired = "refired"
    storm = "storm"
    merged = "merged"
    timed_out = "timed_out"
    internal_error = "internal_error"


class VerificationResult(StrEnum):
    """What the check after a remediation said."""

    fixed = "fixed"
    not_fixed = "not_fixed"
    unknown = "unknown"


class EffectOutcome(StrEnum):
    """How an effect ended."""

    succeeded = "succeeded"
    failed = "failed"
    unknown = "unknown"


class Issue(BaseModel):
    """The incident's ticket; ``iid`` 0 is a record kept locally because GitLab is not configured."""

    model_config = ConfigDict(frozen=True)
    iid: int
    url: str


class Effect(BaseModel):
    """One disruptive step on one target, as the ledger holds it.

    ``snapshot`` is the target before the step: container id, StartedAt, RestartCount, state, replicas.
    ``standing`` is the target's standing identity; empty where 0.1 wrote the row.
    """

    model_config = ConfigDict(frozen=True)
    effect_id: str
    incident_id: str
    episode: int
    step: int
    action: str
    target: str
    service: str
    runbook_id: str | None = None
    snapshot: dict[str, Any]
    intent_at: AwareDatetime
    outcome: EffectOutcome | None = None
    outcome_at: AwareDatetime | None = None
    detail: str = ""
    standing: str = ""


class IncidentAlert(BaseModel):
    """An alert of an incident: its latest firing; ``severity`` is None where an older sreops took it in."""

    model_config = ConfigDict(frozen=True)
    alertname: str
    severity: Severity | None
    starts_at: AwareDatetime
    ended_at: AwareDatetime | None


class StormKind(StrEnum):
    """What too many openings have in common: the alert's name, the sender's group, or only the time."""

    name = "name"
    group = "group"
    time = "time"


class Storm(BaseModel):
    """What a storm incident remembers: the labels that all its alerts share, what makes it one, its last member's time.

    ``key`` is the alert's name or the group's key; empty where only the time is shared, as in storms of 0.1.
    """

    model_config = ConfigDict(frozen=True)
    shared: dict[str, str]
    kind: StormKind = StormKind.time
    key: str = ""
    last_at: AwareDatetime | None = None

    def name(self, members: int) -> str:
        """Return its name: how many of what, and the labels that all share."""
        shared = dict(self.shared)
        alertname = shared.pop("alertname", None) or (self.key if self.kind is StormKind.name else None)
        what = f"{members} {_TIMES} {alertname}" if alertname else f"{members} alerts"
        return ", ".join([what, *(f"{name}={value}" for name, value in sorted(shared.items()))])


class Incident(BaseModel):
    """An incident as the store holds it."""

    model_config = ConfigDict(frozen=True)
    id: str
    episode: int = 1
    status: IncidentStatus
    resolution: Resolution | None = None
    reason: Reason | None = None
    service: str
    # as its first alert was read, with the scope of all its alerts; what an older sreops opened has a name only
    subject: Subject = Field(default_factory=lambda fields: Subject(name=fields["service"]))
    alertname: str
    severity: Severity
    tier: Tier
    fingerprints: tuple[str, ...]
    event_count: int = 1
    opened_at: AwareDatetime
    episode_at: AwareDatetime  # when the running episode began; equals opened_at before any refire
    ended_at: AwareDatetime | None = None
    analyst: str | None = None
    analyst_why: str | None = None
    root_cause: str | None = None
    category: str | None = None
    confidence: float | None = None
    runbook_id: str | None = None
    plan_hash: str | None = None
    verification: VerificationResult | None = None
    issue: Issue | None = None
    all_resolved_at: AwareDatetime | None = None  # when the last firing alert was genuinely resolved
    resolve_proven: bool = True  # False: Grafana gave a reason for the resolve that proves nothing
    decision: dict[str, Any] | None = None  # analysis, plan, policy verdict and hand-over, for people
    effects: tuple[Effect, ...] = ()
    cleared_at: AwareDatetime | None = None  # when its last alert was resolved, whatever became of the incident
    acknowledged_by: str | None = None
    acknowledged_at: AwareDatetime | None = None
    closed: dict[str, Any] | None = None  # a person closed it: {by, was, cause, reason, at}
    given_back: dict[str, Any] | None = None  # a person gave it back to automation: {by, reason, at, episode}
    joins: Joins | None = None  # what is remembered of those who joined
    rejoin_at: AwareDatetime | None = None  # when it is due to be analysed again because of them
    storm_id: str | None = None  # the storm that it is a member of
    target: KnownTarget | None = None  # what the engine said at the first look
    merged_into: str | None = None  # the older incident of the same target, which it has joined
    members: int = 0  # of a storm: its alerts, and the incidents that it has absorbed
    feedback: dict[str, Any] | None = None  # what a person says of the cause: {by, right, cause, component, at}

    @property
    def known_cause(self) -> str | None:
        """The cause, where one was found; an analysis that found none says so in ``root_cause``."""
        return None if self.category == "unknown" else self.root_cause

    @property
    def absorbed_by(self) -> str | None:
        """The storm, or the older incident of its target, that has absorbed this one: it is told and counted there."""
        return self.storm_id or self.merged_into

    @property
    def rerun_by(self) -> str | None:
        """Who has begun the running episode by giving the incident back to automation."""
        back = self.given_back or {}
        return str(back["by"]) if back.get("episode") == self.episode else None

    @property
    def thread_id(self) -> str:
        """The LangGraph thread of the running episode."""
        return f"{self.id}:{self.episode}"

    @property
    def storm_name(self) -> str | None:
        """The name of the storm that it is; None: it is none."""
        storm = None if self.storm_id is not None else storm_of(self.decision)
        return None if storm is None else storm.name(self.members)

    @property
    def flapping(self) -> Flapping | None:
        """The alert of it that flaps."""
        return self.joins.flapping if self.joins else None

    def _public_storm(self) -> dict[str, Any] | None:
        if self.storm_id is not None:
            return {"id": self.storm_id}
        storm = storm_of(self.decision)
        if storm is None:
            return None
        return {"labels": storm.shared, "members": self.members, "name": storm.name(self.members)}

    def public(self, now: datetime) -> dict[str, Any]:
        """Return the incident as the API shows it at ``now``."""
        data = self.model_dump(
            mode="json",
            include={
                "id", "status", "resolution", "reason", "service", "subject", "alertname", "severity", "tier",
                "fingerprints", "event_count", "opened_at", "ended_at", "analyst", "analyst_why",
                "root_cause", "category", "confidence", "runbook_id", "plan_hash", "verification", "issue", "episode",
                "cleared_at", "acknowledged_by", "acknowledged_at", "closed", "feedback", "merged_into",
            },
        )  # fmt: skip
        if not self.status.ended:
            data["reason"] = None  # a storm incident has it from its beginning
        data["storm"] = self._public_storm()
        data["flapping"] = self.flapping.model_dump(mode="json") if self.flapping else None
        need = need_of(self, now)
        data["needs"] = need.value if need else None
        data["effects"] = [
            effect.model_dump(
                mode="json",
                include={"step", "action", "target", "intent_at", "outcome", "outcome_at", "detail"},
            )
            for effect in self.effects
        ]
        # what the model has taken for this incident; null where it was not asked
        data["model_usage"] = (self.decision or {}).get("model_usage")
        return data


def storm_of(decision: Mapping[str, Any] | None) -> Storm | None:
    """Return the storm that an incident is, from what is kept on it, or None where it is none."""
    storm = (decision or {}).get("storm")
    return Storm.model_validate(storm) if storm and "shared" in storm else None


def incident_id_of(event: AlertEvent) -> str:
    """Return the id of the incident that this alert opens: UUIDv5 of fingerprint and startsAt.

    The same alert redelivered, from whatever replica, gives the same id.
    """
    return _uuid_of(f"{event.fingerprint}\n{event.starts_at.isoformat()}")


@lru_cache(maxsize=4096)  # a firing alert is repeated for as long as it fires
def _uuid_of(name: str) -> str:
    return str(uuid.uuid5(INCIDENT_NAMESPACE, name))
