"""What a database's failure means for people: one translation, with a cure where there is one."""

import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError

from sreops.errors import StoreUnavailable

_CURES = (  # a part of the message, what it means, what to do, whether the same call may succeed later
    ("fatal:  password", "PostgreSQL refuses the password", "correct it in SREOPS_DATABASE_URL", False),
    ("fatal:  role", "PostgreSQL refuses the user", "correct it in SREOPS_DATABASE_URL, or create it", False),
    ("fatal:  no pg_hba.conf entry", "PostgreSQL refuses this host or user", "allow it in pg_hba.conf", False),
    ('fatal:  database "', "there is no such database", "create it, or correct SREOPS_DATABASE_URL", False),
    ("permission denied for", "PostgreSQL refuses the user", "grant it CREATE on the database's schema", False),
    ("disk is full", "the disk is full", "free space on the disk of the data directory", True),
    ("no space left", "the disk is full", "free space on the disk of the database", True),
    ("disk i/o error", "the disk fails", "look at the disk of the data directory (dmesg) and its free space", True),
    ("locked", "another process holds the database", "end the other process that writes to it", True),
    ("readonly", "the database can't be written", "give this user write access to the data directory", True),
    ("read-only", "the database can't be written", "give this user write access to it", True),
    ("unable to open", "the database can't be opened", "see that the data directory exists and is ours", True),
    ("malformed", "the database is damaged", "restore it from a backup, or move it away to begin anew", False),
    ("not a database", "the file is no database", "move it away, or point SREOPS_DATA_DIR elsewhere", False),
    ("queuepool limit", "all of its connections are busy", "see whether the database is slow", True),
    ("name or service", "its host is unknown", "see that the host in SREOPS_DATABASE_URL is right", True),
    ("connection", "PostgreSQL does not answer", "see that it runs and that SREOPS_DATABASE_URL is right", True),
    ("lock timeout", "another replica holds the write lock", "see whether a replica hangs", True),
)


def unavailable(place: str, exc: Exception) -> StoreUnavailable:
    """Return what to raise for a foreign exception; ``place`` names the database without its password."""
    message = str(getattr(exc, "orig", None) or exc).strip()
    for part, meaning, cure, retryable in _CURES:
        if part in message.lower():
            failure = StoreUnavailable(f"incident store {place}: {meaning} ({message}); {cure}")
            failure.retryable = retryable
            return failure
    return StoreUnavailable(f"incident store {place}: {type(exc).__name__}: {message}")


def own_fault(exc: Exception) -> BaseException | None:
    """Return the error of our own that SQLAlchemy wrapped (a naive datetime in a statement), if it is one."""
    if isinstance(exc, StatementError) and not isinstance(exc, DBAPIError):
        return exc.orig
    return None


FOREIGN = (SQLAlchemyError, sqlite3.Error, OSError)
"""What a driver may raise; psycopg's errors come wrapped in SQLAlchemy's."""
