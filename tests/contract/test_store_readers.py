"""Reads of the SQLite store: several at once, and none is forgotten when those under way end together."""

import asyncio
import threading
import time
from pathlib import Path

from sqlalchemy import Connection, text

from sreops.adapters.store.database import Database


async def test_a_read_that_is_asked_for_while_all_readers_end_is_carried_out(tmp_path: Path) -> None:
    database = Database(tmp_path / "sreops.db")
    await database.open()
    begun = threading.Semaphore(0)
    go = threading.Event()

    def slow(connection: Connection) -> int:
        begun.release()
        go.wait(10)
        return int(connection.execute(text("SELECT 1")).scalar_one())

    def quick(connection: Connection) -> int:
        return int(connection.execute(text("SELECT 2")).scalar_one())

    async def twice(number: int) -> int:
        await database.read(slow)
        if number:
            return 0
        async with asyncio.timeout(2):
            return await database.read(quick)

    for _ in range(20):
        go.clear()
        reading = []
        for number in range(3):  # one after the other, so that each has a reader of its own
            reading.append(asyncio.create_task(twice(number)))
            assert await asyncio.to_thread(begun.acquire, timeout=5)
        go.set()
        time.sleep(0.02)  # noqa: ASYNC251  # the loop is busy, and finds all of them at their end at once
        assert await asyncio.gather(*reading) == [2, 0, 0]
    await database.close()
