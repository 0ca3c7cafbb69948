"""Credentials of ``POST /alerts``: bearer, basic, and the HMAC that Grafana signs; any that is configured will do."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from pydantic import SecretStr

from sreops.settings import WebhookSettings


def _secret(value: SecretStr | None) -> bytes:
    return value.get_secret_value().encode() if value else b""


def _same(given: bytes, expected: bytes) -> bool:
    """Compare in constant time; what is not configured equals nothing."""
    return hmac.compare_digest(given, expected) and bool(expected)


class WebhookCredentials:
    """What a sender must show; made from the settings once."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._token = _secret(settings.token)
        password = _secret(settings.basic_password)
        self._basic = settings.basic_user.encode() + b":" + password if settings.basic_user and password else b""
        self._hmac_secret = _secret(settings.hmac_secret)
        self._signature_header = settings.hmac_header
        self._timestamp_header = settings.hmac_timestamp_header
        self._tolerance_s = settings.hmac_tolerance_s

    @property
    def required(self) -> bool:
        """Whether any credential is configured."""
        return bool(self._token or self._basic or self._hmac_secret)

    @property
    def challenge(self) -> str:
        """Return the WWW-Authenticate header: the schemes that would be accepted."""
        schemes = (
            (self._token, 'Bearer realm="sreops"'),
            (self._basic, 'Basic realm="sreops", charset="UTF-8"'),
            (self._hmac_secret, 'HMAC-SHA256 realm="sreops"'),
        )
        return ", ".join(challenge for configured, challenge in schemes if configured)

    @property
    def cure(self) -> str:
        """Say what a sender has to show: the settings' names and how they are sent, none of their values."""
        ways = (
            (self._token, "SREOPS_WEBHOOK__TOKEN as `Authorization: Bearer …`"),
            (self._basic, "SREOPS_WEBHOOK__BASIC_USER and __BASIC_PASSWORD as basic authentication"),
            (self._hmac_secret, f"a signature made with SREOPS_WEBHOOK__HMAC_SECRET in {self._signature_header}"),
        )
        return ", or ".join(way for configured, way in ways if configured)

    def accept_authorization(self, headers: Mapping[str, str]) -> bool:
        """Say whether the Authorization header alone is enough; it needs no body."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        shown = given.strip().encode("latin-1", "replace")  # header text is latin-1 by ASGI: back to the sender's bytes
        if scheme.lower() == "bearer":
            return _same(shown, self._token)
        if scheme.lower() == "basic":
            try:
                return _same(base64.b64decode(shown, validate=True), self._basic)
            except binascii.Error:
                return False
        return False

    def shown(self, headers: Mapping[str, str]) -> bool:
        """Say whether anything was shown at all: a guess, where it is wrong."""
        return "authorization" in headers or self.may_sign(headers)

    def may_sign(self, headers: Mapping[str, str]) -> bool:
        """Say whether reading the body can still bring a valid signature."""
        return bool(self._hmac_secret) and self._signature_header in headers

    def accept_signature(self, headers: Mapping[str, str], body: bytes, *clocks: datetime) -> bool:
        """Verify Grafana's signature over the raw body (grafana/alerting ``http/hmac.go``).

        HMAC-SHA256 as bare hex; with a timestamp header over ``<unix seconds>:<body>``, at most the tolerance away
        from one of our ``clocks``: where they differ, nobody knows which one the sender's agrees with.
        """
        if not self.may_sign(headers):
            return False
        mac = hmac.new(self._hmac_secret, digestmod=hashlib.sha256)
        if self._timestamp_header:
            stamp = headers.get(self._timestamp_header, "")
            if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
                return False
            if all(abs(now.timestamp() - int(stamp)) > self._tolerance_s for now in clocks):
                return False
            mac.update(stamp.encode() + b":")
        mac.update(body)
        given = headers[self._signature_header].strip().lower().encode("latin-1", "replace")
        return _same(given, mac.hexdigest().encode())
