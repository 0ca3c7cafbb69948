"""Chores that one replica at a time does for all of them."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.tables import turns


class SqlChores(SqlPart):
    """Taking a turn, and giving it up."""

    async def take_turn(self, name: str, owner: str, *, now: datetime, lease_s: float) -> bool:
        """Take or keep the turn for ``lease_s``; False while another owner has it."""

        def take(connection: Connection) -> bool:
            row = connection.execute(select(turns).where(turns.c.name == name)).one_or_none()
            if row is not None and row.owner != owner and row.until >= now:
                return False
            values = {"owner": owner, "until": now + timedelta(seconds=lease_s)}
            if row is None:
                connection.execute(insert(turns).values(name=name, **values))
            else:
                connection.execute(update(turns).where(turns.c.name == name).values(**values))
            return True

        return await self._db.write(take)

    async def end_turn(self, name: str, owner: str) -> None:
        """Give the turn up, so that another need not wait for it to lapse; a no-op where it is not ours."""
        mine = delete(turns).where(turns.c.name == name, turns.c.owner == owner)

        def end(connection: Connection) -> None:
            connection.execute(mine)

        await self._db.write(end)
