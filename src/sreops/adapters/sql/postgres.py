"""How sreops connects to PostgreSQL: one place for URL, timeouts and how a lost peer is noticed.

Needs the extra ``postgres``; nothing here imports the driver before it is used.
"""

from typing import Any, Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from sreops.errors import SettingsInvalid

CONNECT_TIMEOUT_S: Final = 5
IDLE_IN_TRANSACTION_MS: Final = 10_000  # a replica that hangs in a transaction (paused) lets the write lock go
LOCK_TIMEOUT_MS: Final = 15_000  # longer than that, so that those who wait for it outlive it
STATEMENT_TIMEOUT_MS: Final = 30_000

NOT_UNDERSTOOD: Final = (
    "SREOPS_DATABASE_URL is not understood: use postgresql://user:password@host/database, or leave it empty"
)
NEEDS_EXTRA: Final = "SREOPS_DATABASE_URL needs the PostgreSQL driver: pip install 'sreops[postgres]'"

_LOST_PEER_S: Final = 20
OPTIONS: Final = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "lock_timeout": LOCK_TIMEOUT_MS,
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
        "timezone": "UTC",
        # the server, of us: a replica's machine that vanished must not keep its locks for two hours
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 2,
        "tcp_user_timeout": _LOST_PEER_S * 1000,
    }.items()
)
CONNECT_ARGS: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "options": OPTIONS,
    # we, of the server: a failover that sends no FIN is noticed
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": _LOST_PEER_S * 1000,
}


def is_postgres(url: str) -> bool:
    """Say whether a database URL names PostgreSQL; raises SettingsInvalid for one that is not understood."""
    return bool(url) and read_url(url).get_backend_name() == "postgresql"


def read_url(given: str) -> URL:
    """Return a PostgreSQL or SQLite URL; raises SettingsInvalid, whose text holds nothing of the URL (a password)."""
    try:
        if given.startswith("postgres://"):
            given = given.replace("postgres://", "postgresql://", 1)  # what hosting providers hand out
        url = make_url(given)
        if url.get_backend_name() in ("postgresql", "sqlite") and url.database:
            return url
    except (ArgumentError, NoSuchModuleError, ValueError):
        pass
    raise SettingsInvalid([NOT_UNDERSTOOD])


def conninfo(url: str) -> str:
    """Return what libpq takes."""
    return read_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def place(url: str) -> str:
    """Return the URL without its password, for people."""
    return read_url(url).render_as_string(hide_password=True)
