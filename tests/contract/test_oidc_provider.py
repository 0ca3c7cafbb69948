"""What the OpenID Connect adapter believes, against a provider over HTTP that lies in one thing at a time."""

import asyncio
import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sreops.adapters.oidc import OidcProvider
from sreops.errors import IdentityUnavailable, SignInRefused
from sreops.ports.identity import Identity
from sreops.settings import OidcSettings
from web.web_scene import serving

KEY = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
SECRET = "a s e+cret of more than a hundred and twelve bits"
BACK = "https://sreops.example/sign-in/callback"


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class Liar:
    """A provider that is right in everything that a test does not change."""

    def __init__(self) -> None:
        self.issuer = ""
        self.metadata: dict[str, Any] = {}
        self.claims: dict[str, Any] = {"groups": ["sre"], "preferred_username": "ada"}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.key: Any = KEY
        self.published = [KEY]
        self.userinfo: Any = {"sub": "42", "groups": ["from-userinfo"]}
        self.answer: Callable[[str], Any] = lambda id_token: {"access_token": "at", "id_token": id_token}
        self.nonce = ""
        self.seen: list[Request] = []
        self.form: dict[str, str] = {}
        routes = [
            Route("/.well-known/openid-configuration", self._metadata),
            Route("/jwks", self._jwks),
            Route("/token", self._token, methods=["POST"]),
            Route("/userinfo", self._userinfo),
        ]
        self.app = Starlette(routes=routes)

    async def _metadata(self, _: Request) -> Response:
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth?tenant=x",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "scopes_supported": ["openid", "profile", "groups"],
        }
        return JSONResponse(told | self.metadata)

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(KeySet(self.published).as_dict(private=False))

    async def _token(self, request: Request) -> Response:
        self.seen.append(request)
        self.form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        now = int(time.time())
        right = {"iss": self.issuer, "aud": "sreops", "sub": "42", "nonce": self.nonce, "iat": now, "exp": now + 300}
        claims = {name: value for name, value in (right | self.claims).items() if value is not None}
        given = self.answer(self._signed(claims))
        return given if isinstance(given, Response) else JSONResponse(given)

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.header["alg"] == "RS256":
            return jwt.encode(self.header, claims, self.key)
        # by hand: the library rightly makes neither an unsigned token nor a public key a secret
        body = f"{encoded(self.header)}.{encoded(claims)}"
        if self.header["alg"] == "none":
            return f"{body}."
        mac = hmac.digest(self.key, body.encode(), "sha256")
        return f"{body}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    async def _userinfo(self, request: Request) -> Response:
        self.seen.append(request)
        return self.userinfo if isinstance(self.userinfo, Response) else JSONResponse(self.userinfo)


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:

    it = Liar()
    async with serving(it.app, asyncio.Event()) as url:
        it.issuer = url
        yield it


def provider(liar: Liar, **settings: Any) -> OidcProvider:
    told = {"client_id": "sreops", "client_secret": SECRET, "roles": {"sre": "operator"}, "issuer": liar.issuer}
    return OidcProvider(OidcSettings(**{**told, "timeout_s": 5, **settings}), lambda: datetime.now(UTC))


async def arrive(liar: Liar, issuer: str | None = None, **settings: Any) -> Identity:
    it = provider(liar, **settings)
    departure = await it.depart(BACK)
    liar.nonce = departure.nonce
    return await it.arrive(
        code="c", redirect_uri=BACK, nonce=departure.nonce, verifier=departure.verifier, issuer=issuer
    )


async def test_a_sign_in_is_begun_with_state_nonce_and_a_challenge_and_ended_with_the_verifier(liar: Liar):
    it = provider(liar)
    departure = await it.depart(BACK)
    asked = parse_qs(urlsplit(departure.url).query)
    assert asked["tenant"] == ["x"]
    assert asked["scope"] == ["openid profile groups"]  # of what the provider says that it knows
    assert (asked["state"], asked["nonce"]) == ([departure.state], [departure.nonce])
    digest = hashlib.sha256(departure.verifier.encode()).digest()
    assert asked["code_challenge"] == [urlsafe_b64encode(digest).rstrip(b"=").decode()]
    assert asked["code_challenge_method"] == ["S256"]
    liar.nonce = departure.nonce
    found = await it.arrive(
        code="c", redirect_uri=BACK, nonce=departure.nonce, verifier=departure.verifier, issuer=liar.issuer
    )
    assert found == Identity("ada (42)", ("sre",))
    assert liar.form == {
        "grant_type": "authorization_code", "code": "c", "redirect_uri": BACK, "code_verifier": departure.verifier,
    }  # fmt: skip
    assert liar.seen[0].headers["authorization"].startswith("Basic ")


def lie(**claims: Any) -> Callable[[Liar], None]:
    return lambda liar: liar.claims.update(claims)


def header(alg: str, key: Any = None) -> Callable[[Liar], None]:
    def change(liar: Liar) -> None:
        liar.header = {"alg": alg, "kid": "one"}
        liar.key = key or liar.key

    return change


def change(**fields: Any) -> Callable[[Liar], None]:
    def apply(liar: Liar) -> None:
        for name, value in fields.items():
            setattr(liar, name, value)

    return apply


LIES: dict[str, Callable[[Liar], None]] = {
    "another issuer": lie(iss="https://evil.example"),
    "no issuer": lie(iss=None),
    "another audience": lie(aud="other"),
    "another audience, and we the authorized party": lie(aud="other", azp="sreops"),
    "we and another authorized party": lie(aud=["sreops", "other"], azp="other"),
    "no audience": lie(aud=None),
    "expired": lie(exp=int(time.time()) - 120),
    "no expiry": lie(exp=None),
    "expiry in words": lie(exp="tomorrow"),
    "made in the future": lie(iat=int(time.time()) + 3600, nbf=int(time.time()) + 3600),
    "another nonce": lie(nonce="replayed"),
    "no nonce": lie(nonce=None),
    "nobody": lie(sub=None),
    "an empty subject": lie(sub=" "),
    "a subject that is no text": lie(sub=["42"]),
    "another access token's hash": lie(at_hash="x" * 22),
    "unsigned": header("none"),
    "signed with the client's secret": header("HS256", SECRET.encode()),
    "signed with the public key as a secret": header("HS256", KEY.as_pem(private=False)),
    "signed by a stranger": change(key=OTHER),
    "no keys": change(published=[]),
    "no ID token": change(answer=lambda _: {"access_token": "at"}),
    "an ID token that is none": change(answer=lambda _: {"access_token": "at", "id_token": "x.y"}),
    "an ID token that is no text": change(answer=lambda _: {"access_token": "at", "id_token": {"sub": "42"}}),
    "refused": change(answer=lambda _: JSONResponse({"error": "invalid_grant"}, 400)),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_token_that_lies_in_one_thing_is_not_believed(liar: Liar, name: str):
    LIES[name](liar)
    with pytest.raises(SignInRefused) as caught:
        await arrive(liar)
    assert SECRET not in str(caught.value)


async def test_a_callback_of_another_issuer_is_not_answered(liar: Liar):
    with pytest.raises(SignInRefused, match="evil"):
        await arrive(liar, issuer="https://evil.example")
    assert liar.seen == []


async def test_userinfo_fills_in_what_the_id_token_lacks_and_must_be_of_the_same_subject(liar: Liar):
    liar.claims["groups"] = None
    assert (await arrive(liar)).groups == ("from-userinfo",)
    assert liar.seen[-1].headers["authorization"] == "Bearer at"
    liar.userinfo = {"sub": "43", "groups": ["sre"]}
    with pytest.raises(SignInRefused, match="somebody else"):
        await arrive(liar)


@pytest.mark.parametrize(
    ("claim", "groups"),
    [("sre", ("sre",)), (["a", 1, None, "b"], ("a", "b")), ({"sre": True}, ()), (7, ()), ([], ()), ([["sre"]], ())],
)
async def test_groups_are_strings_or_nothing(liar: Liar, claim: Any, groups: tuple[str, ...]):
    liar.claims["groups"] = claim
    assert (await arrive(liar)).groups == groups


async def test_another_claim_may_hold_the_groups(liar: Liar):
    liar.claims["https://gitlab.org/claims/groups/owner"] = ["platform"]
    assert (await arrive(liar, claim="https://gitlab.org/claims/groups/owner")).groups == ("platform",)


@pytest.mark.parametrize(
    ("claims", "account"),
    [
        ({"sub": "ada"}, "ada"),
        ({"preferred_username": "root\x1b[31m\n\u202etoor", "sub": "7"}, "root [31m toor (7)"),
        ({"preferred_username": "x" * 500, "sub": "y" * 255}, f"{'x' * 59}… ({'y' * 127}…)"),
        ({"preferred_username": None, "email": "ada@shop.example"}, "ada@shop.example (42)"),
        ({"preferred_username": ["ada"], "name": "Ada L."}, "Ada L. (42)"),
    ],
)
async def test_an_account_is_one_printable_line_with_the_subject_that_nobody_chooses(
    liar: Liar, claims: dict[str, Any], account: str
):
    liar.claims |= claims
    found = await arrive(liar)
    assert found.account == account
    assert len(found.account) <= 200


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": ["https://x"]},
    ],
)
async def test_metadata_that_is_not_the_issuers_own_is_not_used(liar: Liar, metadata: dict[str, Any]):
    liar.metadata = metadata
    with pytest.raises(IdentityUnavailable):
        await provider(liar).depart(BACK)


async def test_an_issuer_is_compared_whole_and_the_cure_is_said(liar: Liar):
    with pytest.raises(IdentityUnavailable, match="final slash"):
        await provider(liar, issuer=f"{liar.issuer}/").depart(BACK)
    assert (await provider(liar).health()).status == "up"
    assert (await provider(liar, issuer=f"{liar.issuer}/").health()).status == "down"


@pytest.mark.parametrize("answer", ["[]", "null", "<html>", "x" * 2_000_000], ids=lambda text: text[:6])
async def test_a_provider_that_answers_anything_else_is_unavailable(liar: Liar, answer: str):
    liar.answer = lambda _: PlainTextResponse(answer)
    with pytest.raises(IdentityUnavailable):
        await arrive(liar)


async def test_a_new_key_of_the_provider_is_taken_at_once(liar: Liar):
    it = provider(liar)
    for key in (KEY, OTHER):
        liar.published, liar.key = [key], key
        departure = await it.depart(BACK)
        liar.nonce = departure.nonce
        told = {"redirect_uri": BACK, "nonce": departure.nonce, "verifier": departure.verifier, "issuer": None}
        assert (await it.arrive(code="c", **told)).account == "ada (42)"
