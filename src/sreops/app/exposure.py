"""What is exposed beyond this machine, and whether what guards it would hold."""

from collections.abc import Mapping

from pydantic import SecretStr

from sreops.errors import SettingsInvalid
from sreops.settings import Settings

MIN_CHARS = 16
MIN_DIFFERENT = 8
"""Of its characters; ``aaaaaaaaaaaaaaaa`` is long too."""
MAKE_ONE = "make one with `openssl rand -hex 32`"


def beyond_loopback(settings: Settings) -> bool:
    """Whether others than this machine can reach it."""
    host = settings.host
    return not (host in ("::1", "localhost") or host.startswith("127."))


def guard_exposure(settings: Settings) -> None:
    """Refuse to listen beyond loopback without credentials; raises SettingsInvalid with the cure."""
    if not beyond_loopback(settings) or settings.allow_anonymous:
        return
    problems = []
    if not settings.webhook.configured and "bridge" in settings.roles:  # without that role it is not there
        problems.append(
            f"SREOPS_HOST={settings.host} is not loopback and POST /alerts has no credentials: set "
            "SREOPS_WEBHOOK__TOKEN (or __BASIC_USER and __BASIC_PASSWORD, or __HMAC_SECRET), "
            "or SREOPS_ALLOW_ANONYMOUS=true"
        )
    if settings.api_token is None and settings.oidc.issuer is None:
        problems.append(
            f"SREOPS_HOST={settings.host} is not loopback and approvals need no token: set SREOPS_API_TOKEN "
            "(or SREOPS_OIDC__ISSUER and what goes with it), or SREOPS_ALLOW_ANONYMOUS=true"
        )
    if problems:
        raise SettingsInvalid(problems)


def weak_credentials(settings: Settings) -> list[str]:
    """Return a sentence for each credential that could be guessed, or that opens two doors; none on loopback."""
    if not beyond_loopback(settings):
        return []
    webhook = settings.webhook
    given: Mapping[str, SecretStr | None] = {
        "SREOPS_API_TOKEN": settings.api_token,
        "SREOPS_WEBHOOK__TOKEN": webhook.token,
        "SREOPS_WEBHOOK__BASIC_PASSWORD": webhook.basic_password,
        "SREOPS_WEBHOOK__HMAC_SECRET": webhook.hmac_secret,
    }
    values = {name: secret.get_secret_value() for name, secret in given.items() if secret}
    told = [
        f"{name} can be guessed ({len(value)} characters, {len(set(value))} different ones): {MAKE_ONE}"
        for name, value in values.items()
        if len(value) < MIN_CHARS or len(set(value)) < MIN_DIFFERENT
    ]
    api_token = values.pop("SREOPS_API_TOKEN", None)
    same = [name for name, value in values.items() if value == api_token]
    if same:
        told.append(f"SREOPS_API_TOKEN is also {', '.join(same)}: who may send alerts may approve what they lead to")
    return told
