"""An HTTP client that keeps nothing from one request to the next, for addresses that runbooks and settings name."""

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from sreops.adapters.answers import ENCODING_ASKED
from sreops.adapters.trust import DIRECT


def forgetful_client(trust: ssl.SSLContext | None, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    """Return a client that follows no redirect, keeps no cookie and no connection, and asks for no encoding."""
    return httpx.AsyncClient(
        headers={"User-Agent": "sreops", "Accept-Encoding": ENCODING_ASKED, "Connection": "close"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        verify=trust or True,
        transport=transport,
        mounts=dict.fromkeys(DIRECT),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=0),
    )
