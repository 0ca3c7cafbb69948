"""Settings of what is asked for evidence: Loki, Prometheus, Alertmanager, Grafana, and how far to look back."""

from pydantic import BaseModel, Field

from sreops.setting_values import HttpUrl, OptionalSecret


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


class EvidenceSettings(BaseModel):
    """How far to look back and how much to keep."""

    lookback_s: float = Field(900.0, gt=0)  # before the alert
    lookahead_s: float = Field(300.0, ge=0)  # after it, as far as it has come
    deadline_s: float = Field(20.0, gt=0)  # of one source
    excerpt_chars: int = Field(12_000, ge=500)  # of log lines in one piece of evidence
