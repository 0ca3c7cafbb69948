"""What is exposed beyond this machine, and whether what guards it would hold."""

from collections.abc import Mapping

from pydantic import SecretStr

from sreops.settings import Settings

MIN_CHARS = 16
MIN_DIFFERENT = 8
"""Of its characters; ``aaaaaaaaaaaaaaaa`` is long too."""
MAKE_ONE = "make one with `openssl rand -hex 32`"


def beyond_loopback(settings: Settings) -> bool:
    """Whether others than this machine can reach it."""
    host = settings.host
    return not (host in ("::1", "localhost") or host.startswith("127."))


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
