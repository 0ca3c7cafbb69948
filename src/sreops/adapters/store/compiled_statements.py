"""Statements that are compiled once: those of which every incident takes dozens.

SQLAlchemy builds, keys, looks up and binds a statement anew at each execution, which takes ten to thirty times as
long as SQLite needs for it. On SQLite a prepared statement goes to the driver's connection with its text and its
values, in the transaction that SQLAlchemy has begun; on PostgreSQL, where the network takes the time, it goes the
usual way. Values and rows pass through the columns' types on both.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, Delete, Insert, Row, Select, Update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from sreops.adapters.sql.many_rows import insert_many

_DIALECT = sqlite.dialect()
_Change = Callable[[Any], Any]


class _Slot(NamedTuple):
    """A value that SQLite is given: of this name, changed by its type; or, without a name, always this one."""

    name: str | None
    change: _Change | None
    always: Any


class _Text(NamedTuple):
    sql: str
    slots: Sequence[_Slot]

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """Return what is given in the order of the text."""
        return [
            always if name is None else given[name] if change is None else change(given[name])
            for name, change, always in self.slots
        ]


class Prepared:
    """A statement with named values: its ``bindparam``s, and for an insert or update the columns that are given.

    A ``bindparam`` must not have the name of a column, and an ``IN`` takes no list here.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]] | Insert | Update | Delete) -> None:
        self._statement = statement
        self._texts: dict[tuple[str, ...], _Text] = {}
        self._changes: list[tuple[int, _Change]] = []
        if isinstance(statement, Select):
            columns = statement.selected_columns
            self._row = _row_type(columns.keys())
            found = [_from_database(column.type) for column in columns]
            self._changes = [(index, change) for index, change in enumerate(found) if change is not None]

    def all(self, connection: Connection, **given: Any) -> Sequence[Row[Any]]:
        """Return all rows."""
        driver = direct(connection)
        if driver is None:
            return connection.execute(self._statement, given).all()
        return [self._read(values) for values in self._execute(driver, given).fetchall()]

    def first(self, connection: Connection, **given: Any) -> Row[Any] | None:
        """Return the first row, or None."""
        driver = direct(connection)
        if driver is None:
            return connection.execute(self._statement, given).first()
        cursor = self._execute(driver, given)
        values = cursor.fetchone()
        cursor.close()  # one that has more to give would keep its snapshot
        return None if values is None else self._read(values)

    def run(self, connection: Connection, **given: Any) -> int:
        """Insert, update or delete; return how many rows that touched."""
        driver = direct(connection)
        if driver is None:
            return connection.execute(self._statement, given).rowcount
        return self._execute(driver, given).rowcount

    def run_all(self, connection: Connection, many: Sequence[Mapping[str, Any]]) -> None:
        """Insert or update once for each of ``many``, which give the same names."""
        if not many:
            return
        driver = direct(connection)
        if driver is None:
            connection.execute(self._statement, list(many))
            return
        text = self._text(many[0])
        values = [text.values(given) for given in many]
        if isinstance(self._statement, Insert):
            insert_many(driver, text.sql, values)
        else:
            driver.executemany(text.sql, values)

    def _execute(self, driver: sqlite3.Connection, given: Mapping[str, Any]) -> sqlite3.Cursor:
        text = self._text(given)
        return driver.execute(text.sql, text.values(given))

    def _read(self, values: Iterable[Any]) -> Row[Any]:
        row = list(values)
        for index, change in self._changes:
            row[index] = change(row[index])
        return self._row(row)

    def _text(self, given: Mapping[str, Any]) -> _Text:
        names = tuple(given)
        text = self._texts.get(names)
        if text is None:
            text = self._texts[names] = self._compiled(names)
        return text

    def _compiled(self, names: Sequence[str]) -> _Text:
        columns = None if isinstance(self._statement, Select | Delete) else list(names)
        compiled = self._statement.compile(dialect=_DIALECT, column_keys=columns)
        assert isinstance(compiled, SQLCompiler)
        if compiled.prefetch or compiled.post_compile_params or compiled.literal_execute_params:
            raise TypeError(f"not to be prepared, it needs more than its values: {compiled}")
        return _Text(str(compiled), [_slot(compiled, name, names) for name in compiled.positiontup or ()])


def _slot(compiled: SQLCompiler, name: str, given: Sequence[str]) -> _Slot:
    parameter = compiled.binds[name]
    change = parameter.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    if name in given:
        return _Slot(name, change, None)
    if parameter.required:
        raise TypeError(f"no value is given for {name!r} of {compiled}")
    always = parameter.effective_value
    return _Slot(None, None, always if change is None else change(always))


def _row_type(names: Sequence[str]) -> Callable[[Iterable[Any]], Row[Any]]:
    """Return what makes a row that reads as SQLAlchemy's: by name, in order, and as a dict."""
    kind = namedtuple("Row", names)  # type: ignore[misc]  # the statement has the names
    return cast("Callable[[Iterable[Any]], Row[Any]]", kind._make)


def _from_database(kind: TypeEngine[Any]) -> _Change | None:
    return kind.dialect_impl(_DIALECT).result_processor(_DIALECT, None)


def direct(connection: Connection) -> sqlite3.Connection | None:
    """Return the driver's connection where statements may go to it straight away."""
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, sqlite3.Connection) else None
