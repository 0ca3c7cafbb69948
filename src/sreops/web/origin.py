"""Where a request comes from: by which name we were asked, and whether a page of another site asks."""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.requests import Request


def asked_name(request: Request) -> str:
    """Return the Host header's name in lower case, without port and final dot; "" where there is none."""
    return name_in(request.headers.get("host", ""))


@lru_cache(maxsize=256)  # senders ask by the same name each time
def name_in(netloc: str) -> str:
    """Return the name in ``name:port``; "?", which is nobody's name, where it can't be read."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    except ValueError:
        return "?"


def name_of_url(url: str) -> str:
    """Return the name in a URL, "" where it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Say whether a name means this machine alone."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def asked_by_own_page(request: Request) -> bool | None:
    """Say whether a page of ours asks; None where nothing says so, as of what is no browser.

    Browsers send Sec-Fetch-Site (only over TLS and to loopback) or at least Origin with every POST. (Fetch standard,
    "Sec-Fetch-Site header"; ``none`` is the reader's own address bar.)
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    if origin is not None:
        try:
            return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
        except ValueError:
            return False
    return None
