"""Settings: the one reader of the environment (prefix ``SREOPS_``, nested by ``__``, ``.env`` read)."""

import json
import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from sreops.domain.alerts.alert import Severity, Tier
from sreops.domain.alerts.payload import ReadingRules
from sreops.domain.alerts.routing import WORK_ON, tier_of
from sreops.domain.alerts.severity import severity_of
from sreops.errors import SettingsInvalid
from sreops.setting_names import NamesRead, put_there_by_kubernetes, read_names
from sreops.setting_values import (
    HttpUrl,
    NamedFile,
    Names,
    OptionalFile,
    OptionalSecret,
    Severities,
)
from sreops.settings.access import OidcSettings, WebhookSettings
from sreops.settings.docker import DockerSettings
from sreops.settings.event_log import KafkaSettings
from sreops.settings.gitlab import GitLabActions, GitLabDeployments, GitLabSettings
from sreops.settings.model import LLMSettings, McpServer, McpSettings
from sreops.settings.notify import NotifyChannel, NotifySettings
from sreops.settings.observability import (
    AlertmanagerSettings,
    EvidenceSettings,
    GrafanaSettings,
    LokiSettings,
    PrometheusSettings,
)
from sreops.settings.remediation import ActionsSettings, PolicySettings, VerifySettings, Webhook
from sreops.settings.worker import CorrelationSettings, RetentionSettings, WorkerSettings

__all__ = [
    "ActionsSettings",
    "AlertmanagerSettings",
    "CorrelationSettings",
    "DockerSettings",
    "EvidenceSettings",
    "GitLabActions",
    "GitLabDeployments",
    "GitLabSettings",
    "GrafanaSettings",
    "KafkaSettings",
    "LLMSettings",
    "LokiSettings",
    "McpServer",
    "McpSettings",
    "NotifyChannel",
    "NotifySettings",
    "OidcSettings",
    "PolicySettings",
    "PrometheusSettings",
    "RetentionSettings",
    "Settings",
    "VerifySettings",
    "Webhook",
    "WebhookSettings",
    "WorkerSettings",
    "environment_of_children",
    "load_settings",
    "passed_over",
]

# LangGraph's tracer would send the graph's state, alert text and all, to a third party where these are inherited.
os.environ |= {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"}  # noqa: TID251  # written, not read


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
        for network in value:
            try:
                ip_network(network, strict=False)
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
        raise SettingsInvalid([*problems, _no_json(f"SREOPS_{group}", exc)]) from exc
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
    problems = tuple(problem for names in read for problem in names.problems)
    return NamesRead(problems, tuple(warning for names in read for warning in names.warnings))


def _no_json(group: str, exc: SettingsError) -> str:
    """Say which variable can't be read: the group as a whole, or the one of its parts that must be JSON."""
    cause = exc.__cause__
    if isinstance(cause, json.JSONDecodeError):
        read = {**dotenv_values(_ENV_FILE, encoding="utf-8"), **os.environ}  # noqa: TID251  # the one reader
        for name, value in sorted(read.items()):
            if value == cause.doc and name.upper().startswith(f"{group}__"):
                where = f"at character {cause.pos + 1}"
                return f"{name.upper()}: can't be read as JSON, {where}; docs/settings.md says what it holds"
    return f"{group}: can't be read as JSON; set its parts as {group}__NAME, or the whole as a JSON object"


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
