"""Settings: the one reader of the environment (prefix ``SREOPS_``, nested by ``__``, ``.env`` read)."""

import json
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from sreops.domain.alerts.alert import Severity, Tier
from sreops.domain.alerts.routing import WORK_ON, tier_of
from sreops.domain.alerts.severity import severity_of
from sreops.domain.alerts.webhook import ReadingRules
from sreops.domain.model.cost import PRICES, Price
from sreops.domain.records.channel import ChannelRule
from sreops.domain.records.person import Role
from sreops.domain.runbooks.windows import TimeWindow
from sreops.errors import SettingsInvalid
from sreops.setting_names import NamesRead, put_there_by_kubernetes, read_names
from sreops.setting_values import (
    Brokers,
    EngineAddress,
    EngineName,
    GitLabProject,
    HeaderName,
    HeaderValue,
    HttpUrl,
    NamedFile,
    Names,
    OptionalFile,
    OptionalSecret,
    Severities,
    WebhookName,
    WebhookUrl,
)

# LangGraph's tracer would send the graph's state, alert text and all, to a third party where these are inherited.
os.environ |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}  # noqa: TID251  # written, not read


class KafkaSettings(BaseModel):
    """The event log on Kafka or Redpanda; empty ``bootstrap_servers`` means the embedded log."""

    bootstrap_servers: Brokers = ""  # HOST:PORT, separated by commas; empty: the embedded log
    group_id: str = "sreops"  # the worker's consumer group
    client_id: str = "sreops"  # how it names itself to the brokers
    partitions: int = Field(6, ge=1)  # of topics that are made at start; those that exist are never altered
    replication_factor: int = Field(1, ge=1)  # of topics that are made at start
    retention_ms: int = Field(7 * 24 * 3600 * 1000, ge=1000)  # of topics that are made at start
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str = ""
    sasl_password: OptionalSecret = None
    ssl_cafile: OptionalFile = None  # a private CA
    ssl_certfile: OptionalFile = None  # a client certificate, with its key
    ssl_keyfile: OptionalFile = None
    request_timeout_s: float = Field(5.0, gt=0)  # of one request to a broker


class LokiSettings(BaseModel):
    """Loki, direct; ``tenant`` is sent as X-Scope-OrgID."""

    url: HttpUrl = None  # http://loki:3100; empty: through Grafana, where that is set
    tenant: str = ""  # sent as X-Scope-OrgID
    username: str = ""  # basic authentication
    password: OptionalSecret = None
    token: OptionalSecret = None  # bearer
    timeout_s: float = Field(10.0, gt=0)  # of one query
    max_lines: int = Field(5000, ge=1, le=5000)  # of one query
    max_response_bytes: int = Field(8 * 1024 * 1024, ge=1024)  # the rest is not read, and the answer counts as partial


class PrometheusSettings(BaseModel):
    """Prometheus (Mimir, Thanos, VictoriaMetrics), direct; ``tenant`` is sent as X-Scope-OrgID."""

    url: HttpUrl = None  # http://prometheus:9090; empty: through Grafana, where that is set
    tenant: str = ""  # Mimir's, sent as X-Scope-OrgID
    username: str = ""  # basic authentication
    password: OptionalSecret = None
    token: OptionalSecret = None  # bearer
    timeout_s: float = Field(10.0, gt=0)  # of one query
    max_response_bytes: int = Field(8 * 1024 * 1024, ge=1024)  # a longer answer is refused


class AlertmanagerSettings(BaseModel):
    """Alertmanager, whose silences are respected; ``tenant`` is sent as X-Scope-OrgID (Mimir)."""

    url: HttpUrl = None  # http://alertmanager:9093, with its route prefix
    tenant: str = ""  # Mimir's, sent as X-Scope-OrgID
    username: str = ""  # basic authentication
    password: OptionalSecret = None
    token: OptionalSecret = None  # bearer
    timeout_s: float = Field(5.0, gt=0)  # of one request


class GrafanaSettings(BaseModel):
    """Grafana: data source proxy where no direct URL is set, and its alertmanager for the alert's state."""

    url: HttpUrl = None  # http://grafana:3000
    token: OptionalSecret = None  # of a service account with role Viewer
    loki_uid: str = ""  # the data source; empty: the default one of its type
    prometheus_uid: str = ""  # the data source; empty: the default one of its type
    timeout_s: float = Field(10.0, gt=0)  # of one request


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


ApproverRole = Annotated[Literal["developer", "maintainer", "owner"] | None, BeforeValidator(_empty_is_none)]


class GitLabActions(BaseModel):
    """What runbooks may do in one project; globs, and where a list is empty nothing."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    project: GitLabProject  # group/name
    token: OptionalSecret = None  # of this project: role Developer, scope api; empty: SREOPS_GITLAB__TOKEN
    actions: tuple[Literal["rollback_deployment", "play_job", "run_pipeline"], ...] = ()
    refs: tuple[str, ...] = ()  # branches and tags that pipelines may be started on, and jobs played of
    environments: tuple[str, ...] = ()  # that may be rolled back
    jobs: tuple[str, ...] = ()  # that may be played


class GitLabDeployments(BaseModel):
    """Which services one project deploys, where the images' labels do not tell."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    project: GitLabProject  # group/name
    environment: str = ""  # empty: the alert's own, else any
    services: tuple[str, ...] = ()  # globs of subjects' names; empty: those called like the project
    token: OptionalSecret = None  # that may read it (read_api); empty: SREOPS_GITLAB__TOKEN


class GitLabSettings(BaseModel):
    """GitLab, where incidents are kept as issues."""

    url: HttpUrl = None  # https://gitlab.example.com; url, token and project, or incidents are kept locally
    token: OptionalSecret = None  # a project access token: role Developer, scope api
    project: str = ""  # group/name, or its number
    oncall_user: str = "platform-oncall"  # whom a handed-over incident is assigned to
    timeout_s: float = Field(10.0, gt=0)  # of one request
    labels: Names = ("sreops",)  # on every issue
    confidential: bool = False  # are issues made so that only members of the project see them?
    approvers: ApproverRole = None  # who may decide by a comment: developer, maintainer or owner; empty: nobody
    hear_every_s: float = Field(10.0, ge=0.2)  # between looks at what people did there
    deployments: tuple[GitLabDeployments, ...] = ()  # JSON list of {"project", "environment", "services", "token"}
    actions: tuple[GitLabActions, ...] = ()
    """JSON list of ``{"project", "token", "actions", "refs", "environments", "jobs"}``: what runbooks may do there."""


class DockerSettings(BaseModel):
    """The container engines that sreops may act on; none is discovered.

    ``hosts`` gives each a name, and the host of an alert picks one; ``host`` is the nameless one.
    """

    host: EngineAddress = None  # unix:///var/run/docker.sock, tcp://proxy:2375; none is ever discovered
    hosts: dict[EngineName, EngineAddress] = {}  # several engines: JSON of host name and address
    timeout_s: float = Field(30.0, gt=0)  # of one request that only looks
    stop_timeout_s: int = Field(10, ge=0)  # for containers that do not say their own
    settle_margin_s: float = Field(15.0, ge=0)  # how long a lost answer may still come true
    peer_labels: tuple[str, ...] = ("app.kubernetes.io/part-of",)  # containers with the same value are peers

    @field_validator("hosts")
    @classmethod
    def _each_its_own(cls, value: dict[str, str | None], given: ValidationInfo) -> dict[str, str | None]:
        """Refuse two names for one engine: what is counted by target would be counted twice."""
        if nowhere := sorted(name for name, address in value.items() if not address):
            raise ValueError(f"{', '.join(nowhere)}: give an address, as in unix:///var/run/docker.sock")
        addresses = [address.rstrip("/") for address in (*value.values(), given.data.get("host")) if address]
        if len(set(addresses)) < len(addresses):
            raise ValueError("two names, or SREOPS_DOCKER__HOST and a name, have one address: name each engine once")
        return value

    @property
    def engines(self) -> tuple[str, ...]:
        """The names of the engines that are configured; the nameless one is empty, and comes first."""
        return (*([""] if self.host else []), *self.hosts)


class LLMSettings(BaseModel):
    """The model; without a key the rule analyst answers."""

    api_key: OptionalSecret = None  # also ANTHROPIC_API_KEY
    base_url: HttpUrl = None  # a gateway, instead of Anthropic's own address
    model: str = "claude-sonnet-5-5"
    timeout_s: float = Field(60.0, gt=0)  # of silence: an answer that keeps coming has time until the deadline
    deadline_s: float = Field(150.0, gt=0)  # of one incident's analysis, its questions and retries included
    max_tokens: int = Field(8192, ge=256, le=21_000)  # of one answer, thinking included
    max_retries: int = Field(2, ge=0, le=10)  # of one question
    max_retry_wait_s: float = Field(30.0, ge=0)  # the server may ask for more: then the rules answer
    max_steps: int = Field(6, ge=0, le=50)  # turns in which the model may ask; 0: it gets no tools
    max_tool_calls: int = Field(12, ge=0, le=200)  # of one incident
    max_result_chars: int = Field(8_000, ge=200)  # of one tool's answer
    max_usd_per_incident: float = Field(1.0, ge=0, allow_inf_nan=False)  # a ceiling: above it the rules answer
    max_usd_per_day: float = Field(20.0, ge=0, allow_inf_nan=False)  # a ceiling over all incidents and replicas
    max_tokens_per_incident: int = Field(400_000, ge=0)  # a ceiling
    max_tokens_per_day: int = Field(20_000_000, ge=0)  # a ceiling
    breaker_failures: int = Field(3, ge=1)  # in a row, until the model is left alone
    breaker_open_s: float = Field(30.0, gt=0)  # for so long
    prices: dict[str, Price] = Field({}, validate_default=True)  # US dollars per million tokens, by model id

    @field_validator("prices")
    @classmethod
    def _added_to_the_published(cls, value: dict[str, Price]) -> dict[str, Price]:
        return {**PRICES, **value}


class McpServer(BaseModel):
    """One MCP server: ``command`` (stdio) or ``url`` (streamable HTTP, with ``token`` as bearer).

    ``tools`` is the allowlist. A glob lets through what the server annotates as read-only; a tool without that
    annotation must be named in full.
    """

    command: tuple[str, ...] = ()
    env: dict[str, SecretStr] = {}
    url: HttpUrl = None
    token: OptionalSecret = None
    tools: tuple[str, ...] = ()
    timeout_s: float = Field(20.0, gt=0)

    @model_validator(mode="after")
    def _one_transport(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("give either `command` (a list: stdio) or `url` (streamable HTTP)")
        if not self.tools:
            raise ValueError("give `tools`: which of its tools may be used")
        return self


class McpSettings(BaseModel):
    """MCP servers whose read-only tools the model may use besides its own; JSON by name."""

    servers: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")], McpServer] = {}


class WebhookSettings(BaseModel):
    """Credentials for ``POST /alerts``; any that is configured is accepted."""

    token: OptionalSecret = None  # bearer
    basic_user: str = ""  # basic authentication, with its password
    basic_password: OptionalSecret = None
    hmac_secret: OptionalSecret = None  # HMAC, as Grafana signs
    hmac_header: str = "X-Grafana-Alerting-Signature"  # where the signature stands
    hmac_timestamp_header: str = ""  # as set in Grafana; empty: the body alone is signed
    hmac_tolerance_s: float = Field(300.0, gt=0)  # how old a signed time may be
    max_body_bytes: int = Field(5 * 1024 * 1024, ge=1024)  # of one webhook; a larger one is answered with 413
    max_in_flight: int = Field(64, ge=1)  # requests at once; more are answered with 503
    retry_after_s: int = Field(5, ge=1)  # told with a 503
    take_test_alerts: bool = False  # Grafana's test button opens an incident
    anonymous_autonomous: bool = False  # without credentials, may an alert's tier be autonomous?

    @property
    def configured(self) -> bool:
        """Whether any credential is set."""
        return bool(self.token or self.hmac_secret or (self.basic_user and self.basic_password))


class OidcSettings(BaseModel):
    """People sign in by OpenID Connect; ``roles`` gives a group's members a role, nobody without one gets in."""

    issuer: HttpUrl = None
    client_id: str = ""
    client_secret: OptionalSecret = None
    claim: str = "groups"
    roles: dict[str, Role] = {}
    session_s: float = Field(8 * 3600.0, gt=0)  # groups are read at sign-in: a change shows after so long at most
    timeout_s: float = Field(10.0, gt=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = {
            "ISSUER": self.issuer,
            "CLIENT_ID": self.client_id,
            "CLIENT_SECRET": self.client_secret,
            "ROLES": self.roles,
        }
        missing = [f"SREOPS_OIDC__{name}" for name, value in given.items() if not value]
        if missing and len(missing) < len(given):
            raise ValueError(f"{', '.join(missing)}: missing; sign-in by OpenID Connect needs all four")
        return self


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
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)}: stands there twice; runbooks call a webhook by its name")
        return value


class CorrelationSettings(BaseModel):
    """Windows of correlation (seconds), and what counts as a storm."""

    clear_grace_s: float = Field(600.0, ge=0)  # after closing, in which a repeat is only counted
    refire_window_s: float = Field(3600.0, ge=0)  # in which a refire reopens the incident
    escalated_window_s: float = Field(24 * 3600.0, ge=0)  # how long a handed-over incident gathers its alerts
    storm_incidents: int = Field(50, ge=1)  # opened within storm_window_s; further ones are gathered
    burst_incidents: int = Field(8, ge=1)  # the same, of one alert's name or of one group of the sender
    storm_window_s: float = Field(60.0, gt=0)


class EvidenceSettings(BaseModel):
    """How far to look back and how much to keep."""

    lookback_s: float = Field(900.0, gt=0)  # before the alert
    lookahead_s: float = Field(300.0, ge=0)  # after it, as far as it has come
    deadline_s: float = Field(20.0, gt=0)  # of one source
    excerpt_chars: int = Field(12_000, ge=500)  # of log lines in one piece of evidence


def _channels(value: object) -> object:
    """Read Apprise URLs that are separated by spaces, or a JSON list of ``{"url", "severity", "needs"}``."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("[", "{")):
        return tuple({"url": url} for url in value.split())
    try:
        read = json.loads(value)
    except ValueError as exc:
        raise ValueError(f"is no JSON list of channels: {exc.__class__.__name__} at {exc}") from None
    return tuple({"url": one} if isinstance(one, str) else one for one in (read if isinstance(read, list) else [read]))


class NotifyChannel(BaseModel):
    """Where people are told; ``severity`` and ``needs`` narrow what (``domain/records/channel.py``)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    url: SecretStr
    severity: str | tuple[str, ...] | None = None
    needs: str | tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _ = self.rule
        return self

    @property
    def rule(self) -> ChannelRule:
        """What it takes."""
        return ChannelRule.read(self.severity, self.needs)


class NotifySettings(BaseModel):
    """How people are told."""

    urls: Annotated[tuple[NotifyChannel, ...], NoDecode, BeforeValidator(_channels)] = ()
    """Apprise URLs, separated by spaces, or a JSON list of ``{"url", "severity", "needs"}``."""
    grace_s: float = Field(0.0, ge=0)  # quiet for what heals within
    digest_s: float = Field(3600.0, ge=1)  # what is not told at once
    timeout_s: float = Field(20.0, gt=0)  # of one sending
    memory_mb: int = Field(512, ge=128)  # of one sending's process
    give_up_s: float = Field(24 * 3600.0, gt=0)  # a receiver that takes nothing for so long is not tried again


class WorkerSettings(BaseModel):
    """Leases, retries and limits of the worker (seconds)."""

    lease_s: float = Field(30.0, gt=1)  # how long a silent worker keeps its incidents
    retry_s: float = Field(2.0, gt=0)  # before the second try; it doubles
    max_attempts: int = Field(3, ge=1)  # of one node, then the incident is handed over
    ageing_s: float = Field(600.0, gt=0)  # open for so much longer, an incident goes before a worse one
    max_incident_s: float = Field(3600.0, gt=0)  # then the watchdog hands it over; waits for people not counted
    max_run_s: float = Field(300.0, gt=0)  # of a graph between two waits
    max_inbox_bytes: int = Field(1024 * 1024 * 1024, ge=1)  # events not yet taken up; above it reading pauses
    idle_poll_s: float = Field(0.5, gt=0)  # between two looks for work


class RetentionSettings(BaseModel):
    """How long what is over is kept; what is open is never pruned.

    ``max_data_bytes`` bounds the SQLite files in the data directory (0: no bound): above it the oldest of what is
    closed goes earlier. Nothing goes before correlation is done with it, whatever is set here.
    """

    incidents_days: float = Field(90.0, gt=0)  # after their end
    inbox_days: float = Field(7.0, gt=0)  # events
    log_days: float = Field(7.0, gt=0)  # of the embedded log
    checkpoints_hours: float = Field(24.0, gt=0)  # after an episode's end
    max_data_bytes: int = Field(8 * 1024 * 1024 * 1024, ge=0)  # of the SQLite files; 0: no bound
    every_s: float = Field(60.0, gt=0)  # between two rounds
    batch: int = Field(100, ge=1, le=10_000)  # rows at once


_ENV_FILE = ".env"
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(?:\.[0-9]{1,6})?|inf|nan")


class _Environment(EnvSettingsSource):
    """The environment, without what Kubernetes puts there for a Service of our name (``SREOPS_PORT=tcp://…``)."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return a setting's value as pydantic-settings does, or none where the variable is not meant as one."""
        value, key, is_complex = super().get_field_value(field, field_name)
        injected = isinstance(value, str) and put_there_by_kubernetes(f"SREOPS_{field_name}", value)
        return (None if injected else value), key, is_complex


class Settings(BaseSettings):
    """Every setting of sreops."""

    model_config = SettingsConfigDict(
        env_prefix="SREOPS_",
        env_nested_delimiter="__",
        env_file=_ENV_FILE,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"  # beyond loopback, credentials are required
    port: int = Field(8080, ge=0, le=65535)  # of the webhook, the API and the page
    public_url: HttpUrl = None  # where people reach it: for links, and a name by which it answers
    data_dir: Path = Path("data")  # store, checkpoints, embedded log, spool
    ca_file: OptionalFile = None  # a private CA, trusted by every client beside the public ones (PEM)
    runbooks: NamedFile = Field(Path("runbooks.yaml"), validate_default=False)  # absent and not named: the packaged
    database_url: str = ""  # postgresql://user:password@host/db; empty: SQLite in the data folder
    trusted_proxies: Names = ()  # addresses and networks: their X-Forwarded-For and -Proto are believed
    roles: Names = ("bridge", "worker")  # what this process does
    concurrency: int = Field(8, ge=1)  # incidents worked on at once
    default_tier: Tier = Tier.supervised  # of an alert that says none: autonomous, supervised, human_only or unknown
    default_severity: Severity = Severity.warning  # of an alert that says none, or none that is understood
    work_on: Severities = WORK_ON  # the rest is recorded
    service_labels: Names = ()  # which labels may name the subject, instead of our own order
    dry_run: bool = False  # decide everything, touch nothing
    allow_anonymous: bool = False  # beyond loopback without credentials
    api_token: OptionalSecret = None  # for the API and the page
    audit_key: OptionalSecret = None  # makes the audit's hash chains unforgeable
    topology: dict[str, tuple[str, ...]] = {}  # a service, and the services it calls (JSON)
    ack_timeout_s: float = Field(5.0, gt=0)  # after which what the broker did not take is spooled
    max_spool_bytes: int = Field(256 * 1024 * 1024, ge=0)  # of what waits for the broker; above it: 503
    shutdown_grace_s: float = Field(10.0, ge=0)  # for running incidents to come to a node's end
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"  # auto: text at a terminal, else JSON

    kafka: KafkaSettings = KafkaSettings()
    loki: LokiSettings = LokiSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    grafana: GrafanaSettings = GrafanaSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    gitlab: GitLabSettings = GitLabSettings()
    docker: DockerSettings = DockerSettings()
    llm: LLMSettings = LLMSettings()
    mcp: McpSettings = McpSettings()
    webhook: WebhookSettings = WebhookSettings()
    oidc: OidcSettings = OidcSettings()
    verify: VerifySettings = VerifySettings()
    policy: PolicySettings = PolicySettings()
    actions: ActionsSettings = ActionsSettings()
    correlation: CorrelationSettings = CorrelationSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    worker: WorkerSettings = WorkerSettings()
    retention: RetentionSettings = RetentionSettings()
    notify: NotifySettings = NotifySettings()
    anthropic_api_key: OptionalSecret = Field(None, validation_alias=AliasChoices("ANTHROPIC_API_KEY"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment as pydantic-settings does, but for what others put there."""
        return init_settings, _Environment(settings_cls), dotenv_settings, file_secret_settings

    @field_validator("default_tier", mode="before")
    @classmethod
    def _tier(cls, value: object) -> object:
        return (tier_of(value) or value) if isinstance(value, str) else value

    @field_validator("default_severity", mode="before")
    @classmethod
    def _severity(cls, value: object) -> object:
        return (severity_of(value) or value) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            try:
                ip_network(one, strict=False)
            except ValueError as exc:
                raise ValueError("one of them is no address and no network such as 10.0.0.0/8") from exc
        return value

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - {"bridge", "worker"}:
            raise ValueError("roles are 'bridge' and 'worker', one or both, separated by a comma")
        return value

    def reading_rules(self, *, take_test_alerts: bool | None = None, may_be_autonomous: bool = True) -> ReadingRules:
        """Return how webhooks are read."""
        return ReadingRules(
            default_tier=self.default_tier,
            default_severity=self.default_severity,
            service_labels=self.service_labels,
            work_on=self.work_on,
            take_test_alerts=self.webhook.take_test_alerts if take_test_alerts is None else take_test_alerts,
            may_be_autonomous=may_be_autonomous,
        )

    @property
    def llm_api_key(self) -> SecretStr | None:
        """The model's key: ``SREOPS_LLM__API_KEY``, else ``ANTHROPIC_API_KEY``."""
        return self.llm.api_key or self.anthropic_api_key


def load_settings(**overrides: object) -> Settings:
    """Read the environment and ``.env``; raise SettingsInvalid that names every wrong variable and its cure.

    A variable with our prefix that is no setting is wrong too: what somebody meant to set would stay unset. No value
    is told, since it may be a secret in the wrong place, but numbers.
    """
    problems: list[str] = []
    try:
        problems += _names(with_env_file=overrides.get("_env_file", _ENV_FILE) is not None).problems
        settings = Settings(**overrides)  # type: ignore[arg-type]  # overrides are validated by pydantic itself
    except ValidationError as exc:
        raise SettingsInvalid([*problems, *(_told(error) for error in exc.errors(include_url=False))]) from exc
    except SettingsError as exc:  # a group that is set as a whole must be JSON; the value may hold a secret
        group = [*str(exc).split('"'), "?"][1].upper()
        cure = f"set its parts as SREOPS_{group}__NAME, or the whole as a JSON object"
        raise SettingsInvalid([*problems, f"SREOPS_{group}: can't be read as JSON; {cure}"]) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid([f".env: can't be read: {exc}; write it as UTF-8 text, NAME=value a line"]) from exc
    if problems:
        raise SettingsInvalid(problems)
    return settings


def passed_over() -> tuple[str, ...]:
    """Return a sentence for each variable that begins like a setting and was passed over on purpose."""
    return _names(with_env_file=True).warnings


def _names(*, with_env_file: bool) -> NamesRead:
    read = [read_names(os.environ, Settings)]  # noqa: TID251  # the one reader of the environment
    if with_env_file and Path(_ENV_FILE).is_file():
        read.append(read_names(dotenv_values(_ENV_FILE, encoding="utf-8"), Settings, origin=_ENV_FILE))
    problems = tuple(problem for one in read for problem in one.problems)
    return NamesRead(problems, tuple(warning for one in read for warning in one.warnings))


def _told(error: Mapping[str, Any]) -> str:
    place = "__".join(str(part) for part in error["loc"]).upper()
    name = place if place.startswith("ANTHROPIC") else f"SREOPS_{place}"
    given = str(error["input"])
    shown = f"={given}" if _NUMBER.fullmatch(given) else ""
    return f"{name}{shown}: {error['msg'].removeprefix('Value error, ')}"


_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def environment_of_children(ca_file: Path | None = None) -> dict[str, str]:
    """Return the environment of a process that we start: none of our settings, but how to reach the world."""
    names = (*_PASSED_ON, *_PROXIES, *(name.upper() for name in _PROXIES))
    found = {name: os.environ[name] for name in names if name in os.environ}  # noqa: TID251  # this is the one reader
    if ca_file is not None:
        found |= {"SSL_CERT_FILE": str(ca_file), "REQUESTS_CA_BUNDLE": str(ca_file)}
    if "SSL_CERT_FILE" in found:  # requests knows only its own name for it
        found.setdefault("REQUESTS_CA_BUNDLE", found["SSL_CERT_FILE"])
    return found
