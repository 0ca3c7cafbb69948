"""Settings of who may come in: senders of alerts by their credentials, people by OpenID Connect."""

from typing import Self

from pydantic import BaseModel, Field, model_validator

from sreops.domain.records.person import Role
from sreops.setting_values import HttpUrl, OptionalSecret


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

    @model_validator(mode="after")
    def _both(self) -> Self:
        if bool(self.basic_user) != bool(self.basic_password) and not self.configured:  # it would guard nothing
            missing = "BASIC_PASSWORD" if self.basic_user else "BASIC_USER"
            raise ValueError(f"SREOPS_WEBHOOK__{missing}: missing; basic authentication needs user and password")
        return self

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
