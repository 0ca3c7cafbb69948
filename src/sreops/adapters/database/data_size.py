"""What the databases in the data directory take: their used pages, since SQLite keeps freed ones for itself."""

import sqlite3
from pathlib import Path

from sreops.errors import StoreUnavailable

_TIMEOUT_S = 2.0


def used_bytes(directory: Path) -> int:
    """Return the bytes in use in all SQLite files of a directory, with what their logs hold; blocks.

    Raises StoreUnavailable where one can't be read.
    """
    return sum(_used(path) for path in sorted(directory.glob("*.db")))


def _used(path: Path) -> int:
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)
        try:
            pages, free, size = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
        finally:
            connection.close()
        log = path.with_name(f"{path.name}-wal")
        return (pages - free) * size + (log.stat().st_size if log.exists() else 0)
    except (sqlite3.Error, OSError) as exc:
        raise StoreUnavailable(f"the size of {path} can't be measured: {exc}") from exc
