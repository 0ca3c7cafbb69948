"""What a setting's value may be: addresses, files that must be there, lists with commas, secrets.

No message holds the value itself: it may be a secret that was put into the wrong variable.
"""

import difflib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, StringConstraints
from pydantic_settings import NoDecode

from sreops.domain.alerts.alert import Severity
from sreops.domain.alerts.severity import severity_of


def _commas(value: object) -> object:
    """Read ``a,b`` as a list; JSON arrays and Python sequences pass through."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.strip("[] ").replace('"', "").split(",") if part.strip())
    return value


def _severities(value: object) -> object:
    """Read ``critical,warning`` as severities, in any of their spellings."""
    words = _commas(value)
    if not isinstance(words, tuple | list):
        return words
    if not words:
        raise ValueError("name at least one of critical, warning, info, separated by commas")
    return [severity_of(str(word)) or word for word in words]


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _http_url(value: str | None) -> str | None:
    if value is None:
        return None
    _check_address(value, ("http", "https"), "http://HOST:PORT or https://HOST")
    return value


def _engine_address(value: str | None) -> str | None:
    if value is None:
        return None
    forms = "unix:///var/run/docker.sock, tcp://HOST:PORT or https://HOST:PORT"
    if value.startswith("unix:"):
        parts = urlsplit(value)
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"a socket is named by its whole path; write {forms}")
        return value
    _check_address(value, ("tcp", "http", "https"), forms)
    return value


def _check_address(value: str, schemes: tuple[str, ...], forms: str) -> None:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port  # reading the port finds one that is no number
    except ValueError as exc:
        raise ValueError(f"its host or port can't be read; write {forms}") from exc
    if parts.scheme not in schemes:
        raise ValueError(f"it begins with none of {', '.join(f'{scheme}://' for scheme in schemes)}; write {forms}")
    if not host:
        raise ValueError(f"it names no host; write {forms}")
    if not value.isprintable() or " " in value:
        raise ValueError(f"it holds blanks or characters that no address has; write {forms}")
    if parts.query or parts.fragment:
        raise ValueError(f"it holds a query or a fragment, which is lost when a path is added; write {forms}")


def _brokers(value: str) -> str:
    for part in filter(None, (broker.strip() for broker in value.split(","))):
        try:
            parts = urlsplit(f"//{part}")
            right = parts.hostname and (parts.port or 1) > 0 and parts.netloc == part and " " not in part
        except ValueError:
            right = False
        if not right or "@" in part:
            raise ValueError("brokers are HOST:PORT, separated by commas, without a scheme before them")
    return value


def _file_that_is_there(value: Path | None) -> Path | None:
    if value is None or (value.exists() and not value.is_dir()):
        return value
    if value.is_dir():
        raise ValueError(f"{value} is a folder, and a file is wanted")
    raise ValueError(f"there is no file {value}{_near(value)}")


def _near(path: Path) -> str:
    """Say which file beside it was probably meant, or that the folder itself is missing."""
    if not path.parent.is_dir():
        return f": there is no folder {path.parent} either"
    beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    meant = difflib.get_close_matches(path.name, beside, n=1)
    return f"; did you mean {path.parent / meant[0]}?" if meant else ""


_OUR_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding", "user-agent",
     "idempotency-key", "x-sreops-signature"}
)  # fmt: skip


def _webhook_url(value: str) -> str:
    form = "https://HOST/PATH"
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError(f"its host or port can't be read; write {form}") from exc
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"it is no address; write {form}")
    if "@" in parts.netloc:
        raise ValueError("it holds credentials; give them in `headers`, as Authorization")
    if not value.isascii() or not value.isprintable() or " " in value or parts.fragment:
        raise ValueError(f"it holds blanks, a fragment or characters that no address has; write {form}")
    return value


def _own_header(value: str) -> str:
    if value.lower() in _OUR_HEADERS:
        raise ValueError(f"the header {value} is set by sreops itself")
    return value


def _header_value(value: SecretStr) -> SecretStr:
    told = value.get_secret_value()
    if not told.isascii() or not told.isprintable() or told != told.strip():
        raise ValueError("a header's value is visible ASCII on one line")
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_commas)]
"""Words, separated by commas."""

HttpUrl = Annotated[str | None, BeforeValidator(_empty_is_none), AfterValidator(_http_url)]
"""``http://`` or ``https://`` with a host, else None."""

EngineAddress = Annotated[str | None, BeforeValidator(_empty_is_none), AfterValidator(_engine_address)]
"""A container engine's socket or address, else None."""

Brokers = Annotated[str, AfterValidator(_brokers)]
"""Kafka's bootstrap servers; empty: none."""

NamedFile = Annotated[Path, AfterValidator(_file_that_is_there)]
"""A file that must be there where somebody names it; a default need not be."""

OptionalFile = Annotated[Path | None, BeforeValidator(_empty_is_none), AfterValidator(_file_that_is_there)]
"""A file that must be there where one is named."""

OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_empty_is_none)]
"""A secret; empty: none."""
EngineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""What an engine is called in ``SREOPS_DOCKER__HOSTS``: the name of its host, as alerts say it."""

Severities = Annotated[tuple[Severity, ...], NoDecode, BeforeValidator(_severities)]
"""Severities, separated by commas; at least one."""

WebhookName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""What runbooks call a webhook by."""

WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]
"""``http://`` or ``https://``, whole as it is called; credentials go into headers."""

HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"), AfterValidator(_own_header)
]
"""A header of HTTP (RFC 9110, token) that is not one of those that we set."""

HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
"""A header's value: visible ASCII and blanks, so that it can't begin another header."""

_SEGMENT = r"[A-Za-z0-9_.][A-Za-z0-9_.-]*"
GitLabProject = Annotated[str, StringConstraints(pattern=rf"^{_SEGMENT}(/{_SEGMENT})+$")]
"""A project's path, group/name."""
