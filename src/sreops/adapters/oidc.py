"""An OpenID Connect provider: Authorization Code with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

Requests go through ``adapters/http.py``, which bounds them; keys and claims are judged by joserfc and Authlib. What
Authlib leaves to its caller is done here: that the metadata is the issuer's own, that the audience is ours even where
``azp`` is, that only signatures by a public key count, and that userinfo speaks of the same subject.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from pydantic import SecretStr

from sreops.adapters.http import HttpAnswer, HttpRoom
from sreops.domain.alerts.fields import shorten
from sreops.domain.text.unicode import whole
from sreops.errors import IdentityUnavailable, SignInRefused
from sreops.ports import Health
from sreops.ports.identity import Departure, Identity
from sreops.settings import OidcSettings

METADATA_TTL: Final = timedelta(minutes=5)
LEEWAY_S: Final = 60
"""Of clocks that differ."""
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""By a public key only: with HS256 whoever knows the client secret could sign, and ``none`` is nobody's signature."""

_wall: Final = partial(datetime.now, UTC)
_MAX_BYTES = 1024 * 1024
_MAX_GROUPS = 1000
_USERNAMES = ("preferred_username", "email", "nickname", "name")


class OidcProvider:
    """Implements ``ports.identity.IdentityProvider``; ``now``, the system's clock, judges how long tokens are good."""

    def __init__(self, settings: OidcSettings, now: Callable[[], datetime] = _wall) -> None:
        assert settings.issuer is not None
        self._issuer = settings.issuer
        self._settings = settings
        self._now = now
        self._metadata: Mapping[str, Any] = {}
        self._read_at: datetime | None = None

    async def depart(self, redirect_uri: str) -> Departure:
        """Begin a sign-in; raises IdentityUnavailable."""
        metadata = await self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": self._scope(metadata),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint(metadata, "authorization_endpoint")
        joint = "&" if urlsplit(endpoint).query else "?"
        return Departure(f"{endpoint}{joint}{urlencode(query)}", state, nonce, verifier)

    async def arrive(self, *, code: str, redirect_uri: str, nonce: str, verifier: str, issuer: str | None) -> Identity:
        """Turn the code that a browser came back with into who it is; raises SignInRefused, IdentityUnavailable."""
        if issuer is not None and issuer != self._issuer:
            raise SignInRefused(f"the callback came from {_shown(issuer)}, not from {self._issuer}")
        try:
            metadata = await self._provider()
            token = await self._exchange(metadata, code, redirect_uri, verifier)
            claims = dict(await self._validated(metadata, token, nonce))
        except SignInRefused:
            self._read_at = None  # keys or endpoints may have changed: the next one asks anew
            raise
        wanted = self._settings.claim
        if wanted not in claims or not any(claims.get(name) for name in _USERNAMES):
            claims = {**await self._userinfo(metadata, token, claims["sub"]), **claims}
        return Identity(_account(claims), _texts(claims.get(wanted)))

    async def health(self) -> Health:
        """Ask for the provider's metadata."""
        try:
            self._read_at = None
            await self._provider()
        except IdentityUnavailable as exc:
            return Health("down", str(exc), "see SREOPS_OIDC__ISSUER; nobody can sign in by it until then")
        return Health("up", self._issuer)

    async def _provider(self) -> Mapping[str, Any]:
        """Return the provider's metadata, of which its issuer must be the one that is configured, whole."""
        now = self._now()
        if self._read_at is not None and now - self._read_at < METADATA_TTL:
            return self._metadata
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        found = self._object(await self._ask("GET", url), "the provider's metadata")
        if found.get("issuer") != self._issuer:
            raise IdentityUnavailable(
                f"oidc: {url} says that its issuer is {_shown(found.get('issuer'))}, not SREOPS_OIDC__ISSUER="
                f"{self._issuer}: set it exactly as the provider spells it, with or without the final slash"
            )
        self._metadata, self._read_at = found, now
        return found

    def _scope(self, metadata: Mapping[str, Any]) -> str:
        """Ask for what identifies people, and for ``groups`` where the provider knows such a scope (many do not)."""
        known = _texts(metadata.get("scopes_supported"))
        asked = [
            scope for scope in ("profile", "email", "groups") if scope in known or (not known and scope != "groups")
        ]
        return " ".join(["openid", *asked])

    async def _exchange(
        self, metadata: Mapping[str, Any], code: str, redirect_uri: str, verifier: str
    ) -> Mapping[str, Any]:
        secret = self._settings.client_secret
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        url = self._endpoint(metadata, "token_endpoint")
        methods = _texts(metadata.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",)
        basic = None
        assert secret is not None
        if "client_secret_basic" in methods:  # both parts form-encoded first (RFC 6749, 2.3.1)
            basic = (quote(self._settings.client_id, safe=""), SecretStr(quote(secret.get_secret_value(), safe="")))
        else:
            form |= {"client_id": self._settings.client_id, "client_secret": secret.get_secret_value()}
        answer = await self._ask("POST", url, form=form, basic=basic)
        if 400 <= answer.status < 500:
            raise SignInRefused(f"the provider did not take the code (status {answer.status}: {answer.shown})")
        return self._object(answer, "the provider's token answer")

    async def _validated(self, metadata: Mapping[str, Any], token: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        keys = self._object(await self._ask("GET", self._endpoint(metadata, "jwks_uri")), "the provider's keys")
        offered = _texts(metadata.get("id_token_signing_alg_values_supported")) or ("RS256",)
        allowed = [name for name in offered if name in ALGORITHMS]
        given = token.get("id_token")
        if not isinstance(given, str):
            raise SignInRefused("the provider's answer has no ID token")
        options = {
            "iss": {"essential": True, "values": [self._issuer]},
            "aud": {"essential": True, "values": [self._settings.client_id]},
            "sub": {"essential": True},
        }
        params = {"nonce": nonce, "client_id": self._settings.client_id, "access_token": token.get("access_token")}
        try:
            registry = JWSRegistry(algorithms=allowed, strict_check_header=False)
            decoded = jwt.decode(given, key=KeySet.import_key_set({"keys": keys["keys"]}), registry=registry)
            claims = CodeIDToken(decoded.claims, decoded.header, options, params)
            claims.validate(now=int(self._now().timestamp()), leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as exc:
            raise SignInRefused(f"the provider's ID token can't be believed: {type(exc).__name__}: {exc}") from exc
        if not isinstance(claims.get("sub"), str) or not claims["sub"].strip():
            raise SignInRefused("the provider's ID token names nobody")
        told: Mapping[str, Any] = claims
        return told

    async def _userinfo(self, metadata: Mapping[str, Any], token: Mapping[str, Any], sub: str) -> Mapping[str, Any]:
        """Return what userinfo says of the same subject, nothing where the provider has no userinfo."""
        if not metadata.get("userinfo_endpoint") or not isinstance(token.get("access_token"), str):
            return {}
        url = self._endpoint(metadata, "userinfo_endpoint")
        found = self._object(await self._ask("GET", url, token=SecretStr(token["access_token"])), "userinfo")
        if found.get("sub") != sub:  # OpenID Connect Core 5.3.2: else somebody's token was put into another's answer
            raise SignInRefused("userinfo speaks of somebody else than the ID token")
        return found

    def _endpoint(self, metadata: Mapping[str, Any], name: str) -> str:
        url = metadata.get(name)
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise IdentityUnavailable(f"oidc: the metadata of {self._issuer} has no usable {name}")
        if urlsplit(self._issuer).scheme == "https" and urlsplit(url).scheme != "https":
            raise IdentityUnavailable(f"oidc: the metadata of {self._issuer} has a {name} without TLS")
        return url

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        token: SecretStr | None = None,
        basic: tuple[str, SecretStr] | None = None,
    ) -> HttpAnswer:
        room = HttpRoom(
            "oidc",
            url,
            unavailable=IdentityUnavailable,
            token=token,
            username=basic[0] if basic else "",
            password=basic[1] if basic else None,
            headers={"Accept": "application/json"},
            max_response_bytes=_MAX_BYTES,
        )
        try:
            # a code serves once: asking again with it would end what the first one began
            return await room.request(method, "", timeout_s=self._settings.timeout_s, form=form, retry=form is None)
        finally:
            await room.aclose()

    def _object(self, answer: HttpAnswer, what: str) -> Mapping[str, Any]:
        try:
            found = answer.json() if answer.ok else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise IdentityUnavailable(f"oidc: {what} is no JSON object (status {answer.status}: {answer.shown})")
        return found


def _account(claims: Mapping[str, Any]) -> str:
    """Return the name that is shown, with the subject, which alone is unique and does not change."""
    sub = _line(claims["sub"], 128)  # with the name it fits into a decision's ``by``
    names = (_line(value, 60) for name in _USERNAMES if isinstance(value := claims.get(name), str))
    username = next((name for name in names if name), "")
    return sub if username in ("", sub) else f"{username} ({sub})"


def _line(text: str, chars: int) -> str:
    return shorten(" ".join("".join(c if c.isprintable() else " " for c in whole(text)).split()), chars)


def _texts(value: object) -> tuple[str, ...]:
    """Return the strings of a claim that may be a list or a single one; anything else is none."""
    if isinstance(value, str):
        return (value,)
    return tuple(text for text in value[:_MAX_GROUPS] if isinstance(text, str)) if isinstance(value, list) else ()


def _shown(value: object) -> str:
    return shorten(repr(value), 200)
