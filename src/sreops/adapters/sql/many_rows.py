"""Many rows in one INSERT of SQLite.

Python's driver lets go of the interpreter's lock around each statement: between two of them the database's thread
waits for the loop, and the loop for it.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

_MOST_VALUES: Final = 900
"""Of one statement; SQLite before 3.32 takes 999."""


def insert_many(database: sqlite3.Connection, insert: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert all rows in their order; ``insert`` is the statement for one, and ends with its placeholders."""
    if not rows:
        return
    width = len(rows[0])
    another = f", ({', '.join('?' * width)})"
    at_once = max(1, _MOST_VALUES // width)
    for first in range(0, len(rows), at_once):
        some = rows[first : first + at_once]
        database.execute(insert + another * (len(some) - 1), [*chain.from_iterable(some)])
