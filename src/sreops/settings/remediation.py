"""Settings of what automation may do, by which ways, and how long its work is looked after."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sreops.domain.alerts.alert import Tier
from sreops.domain.alerts.routing import tier_of
from sreops.domain.runbooks.windows import TimeWindow
from sreops.setting_values import HeaderName, HeaderValue, Names, OptionalSecret, WebhookName, WebhookUrl


class VerifySettings(BaseModel):
    """How long and how often to look after a remediation (seconds)."""

    settle_s: float = Field(30.0, ge=0)  # what must hold, holds for so long
    poll_s: float = Field(10.0, gt=0)  # between two looks
    timeout_s: float = Field(300.0, gt=0)  # after which the result is unknown


class PolicySettings(BaseModel):
    """What automation may do; ``targets`` are container name globs."""

    targets: Names = ()  # globs of container names that may be touched, besides the label sreops.enable=true
    approval_ttl_s: float = Field(4 * 3600.0, gt=0)  # how long a plan waits for a person
    attempts_per_hour: int = Field(3, ge=0)  # on one target
    host_acts_per_hour: int = Field(100, ge=0)  # on one engine, whatever its targets
    project_acts_per_hour: int = Field(50, ge=0)  # in one Compose or GitLab project
    max_concurrent_effects: int = Field(4, ge=1)  # remediations at once; more of them wait
    breaker_failures: int = Field(3, ge=1)  # in a row on a service or runbook, until a person resumes
    earned_fixes: int = Field(5, ge=1)  # verified in a row under approval, until `autonomy: earned` acts alone
    max_event_age_s: float = Field(900.0, gt=0)  # an older alert needs approval
    max_tier: Tier = Tier.autonomous  # the most that a sender's tier may allow; a target's label sreops.tier too
    slot_retry_s: float = Field(5.0, gt=0)  # between two tries to get one of the slots
    maintenance: tuple[TimeWindow, ...] = ()  # nothing is done to their subjects (JSON; docs/safety.md)
    freezes: tuple[TimeWindow, ...] = ()  # nothing is done at all: change freezes (JSON)

    @field_validator("max_tier", mode="before")
    @classmethod
    def _tier(cls, value: object) -> object:
        return (tier_of(value) or value) if isinstance(value, str) else value


class Webhook(BaseModel):
    """One webhook that runbooks may call by its name: POST of JSON, signed where it has a ``secret``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    name: WebhookName
    url: WebhookUrl  # secrets belong into headers
    headers: dict[HeaderName, HeaderValue] = {}  # sent besides our own
    secret: OptionalSecret = None  # X-Sreops-Signature: sha256=HEX, HMAC-SHA256 of the body
    idempotent: bool = False  # does a repeat with the same Idempotency-Key do nothing more?


class ActionsSettings(BaseModel):
    """What runbooks may do outside engine and GitLab."""

    webhooks: tuple[Webhook, ...] = ()  # JSON list of {"name", "url", "headers", "secret", "idempotent"}

    @field_validator("webhooks")
    @classmethod
    def _each_its_own(cls, value: tuple[Webhook, ...]) -> tuple[Webhook, ...]:
        names = [webhook.name for webhook in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)}: stands there twice; runbooks call a webhook by its name")
        return value
