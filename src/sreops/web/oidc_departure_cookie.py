"""What a browser takes along to the provider and must bring back: in a signed cookie, not in the store.

Anybody may set out, so whatever we kept for each could be filled up by one who never comes back.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

DEPARTURE_COOKIE: Final = "sreops_sign_in"
DEPARTURE_TTL: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Journey:
    """A sign-in under way: ``target`` is where the browser wanted to go."""

    state: str
    nonce: str
    verifier: str
    target: str


class DepartureCookies:
    """Signs journeys with a key made of the client's secret, which all replicas have."""

    def __init__(self, client_secret: bytes) -> None:
        self._key = hmac.new(client_secret, b"sreops sign-in 1", hashlib.sha256).digest()

    def pack(self, journey: Journey, now: datetime) -> str:
        """Return the cookie."""
        until = int((now + DEPARTURE_TTL).timestamp())
        fields = [until, journey.state, journey.nonce, journey.verifier, journey.target]
        text = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
        return f"{text}.{self._sign(text)}"

    def unpack(self, cookie: str, state: str, now: datetime) -> Journey | None:
        """Return the journey that this cookie holds where it is ours, not over, and of this ``state``."""
        text, _, mac = cookie.rpartition(".")
        if not cookie.isascii() or not hmac.compare_digest(mac, self._sign(text)):
            return None
        try:
            until, *rest = json.loads(base64.urlsafe_b64decode(text))
        except (ValueError, binascii.Error):
            return None
        journey = Journey(*rest)
        same = hmac.compare_digest(journey.state.encode(), state.encode("utf-8", "replace"))
        return journey if same and until > now.timestamp() else None

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
