"""How addresses are shown: without the credentials that somebody may have put into them."""

import re
from urllib.parse import urlsplit

_USERINFO = re.compile(r"(?<=://)[^/\s@]{1,1000}@")


def without_userinfo(url: str) -> str:
    """Return the URL without user, password, query and fragment: what may reach a log, a ticket or a model."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a URL that cannot be read)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def without_userinfo_in(text: str) -> str:
    """Return the text with user and password taken out of every URL in it: for what a library says of an address."""
    return _USERINFO.sub("", text)
