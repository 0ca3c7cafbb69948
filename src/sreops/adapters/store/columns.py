"""Column types that mean the same in SQLite and PostgreSQL, and that hostile text can't break."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import from_json
from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator

from sreops.domain.alerts.alert import utc

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encoded = json.JSONEncoder(separators=(",", ":")).encode  # dumps makes an encoder for each call
_MICROSECOND = timedelta(microseconds=1)


def micros(value: datetime) -> int:
    """Return microseconds since 1970 in UTC; exact, where a float would round."""
    return (utc(value) - EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """Return the aware UTC datetime of :func:`micros`."""
    return EPOCH + value * _MICROSECOND


def plain(text: str) -> str:
    """Return text that every database takes: PostgreSQL refuses NUL, and SQLite's driver lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as microseconds since 1970: it compares as a number in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuse naive datetimes (ValueError)."""
        return None if value is None else micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Come back aware."""
        return None if value is None else moment(value)


class PlainText(TypeDecorator[str]):
    """Text from anywhere: what a database can't hold is replaced, in what is written and in what is asked for."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL and lone surrogates."""
        return None if value is None else plain(value)


class Json(TypeDecorator[Any]):
    """JSON as ASCII text: escapes keep NUL and surrogates, and NaN (a metric's value may be one) survives.

    Text and not ``jsonb``, which reorders keys and rejects both; nothing is queried inside.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """None is NULL."""
        return None if value is None else _encoded(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read it back."""
        if value is None:
            return None
        with contextlib.suppress(ValueError):
            return from_json(value, cache_strings="keys")
        return json.loads(value)  # three times as slow, and takes a lone surrogate's escape


Sequence64 = BigInteger().with_variant(Integer, "sqlite")
"""A growing key: SQLite numbers only columns that are called INTEGER."""


class octet_length(GenericFunction[int]):  # noqa: N801 - the SQL function's name
    """The bytes of a text, where ``length`` counts characters."""

    type = BigInteger()
    inherit_cache = True


@compiles(octet_length, "sqlite")
def _octet_length_on_sqlite(function: octet_length, compiler: SQLCompiler, **how: Any) -> str:
    return f"length(CAST({compiler.process(function.clauses, **how)} AS BLOB))"  # its own came with 3.43
