"""The account of model calls and the ceilings on them: one writer at a time, so no two calls pass one together."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, func, insert, select, update

from sreops.adapters.store.compiled_statements import Prepared
from sreops.adapters.store.leases import SqlPart
from sreops.adapters.store.tables import model_calls
from sreops.domain.model.budget import ANSWERED, ModelCall, ModelLimits, ModelUsage, day_of, refuse_beyond
from sreops.domain.model.cost import TokenCount

_TOKENS = (model_calls.c.input, model_calls.c.cache_write, model_calls.c.cache_read, model_calls.c.output)
_USAGE = select(
    func.count().label("calls"),
    func.coalesce(func.sum(case((model_calls.c.outcome == ANSWERED, 0), else_=1)), 0).label("failed"),
    func.coalesce(func.sum(model_calls.c.micro_usd), 0).label("micro_usd"),
    func.coalesce(func.sum(model_calls.c.took_us), 0).label("took_us"),
    *(func.coalesce(func.sum(column), 0).label(column.name) for column in _TOKENS),
).select_from(model_calls)
_USAGE_OF_ONE = Prepared(_USAGE.where(model_calls.c.incident_id == bindparam("of_incident")))
_ALL_TOKENS = model_calls.c.input + model_calls.c.cache_write + model_calls.c.cache_read + model_calls.c.output


class ModelCalls(SqlPart):
    """Implements ``ports.ModelLedger``."""

    async def begin_model_call(self, call: ModelCall, limits: ModelLimits) -> None:
        """Write the call with what it reserves, or raise BudgetSpent."""

        def begin(connection: Connection) -> None:
            of_incident = _spent(connection, model_calls.c.incident_id == call.incident_id)
            refuse_beyond("INCIDENT", call, of_incident, limits)
            refuse_beyond("DAY", call, _spent(connection, _within_day(call.at)), limits)
            connection.execute(
                insert(model_calls).values(
                    call_id=call.call_id,
                    incident_id=call.incident_id,
                    model=call.model,
                    at=call.at,
                    micro_usd=call.reserved_micro_usd,
                    **call.reserved.model_dump(),
                )
            )

        await self._db.write(begin)

    async def end_model_call(
        self, call_id: str, *, outcome: str, tokens: TokenCount | None, micro_usd: int, seconds: float
    ) -> None:
        """Write what the call took; a second outcome changes nothing."""
        values: dict[str, Any] = {"outcome": outcome, "took_us": round(seconds * 1_000_000)}
        if tokens is not None:
            values |= {"micro_usd": micro_usd, **tokens.model_dump()}
        query = update(model_calls).where(model_calls.c.call_id == call_id, model_calls.c.outcome.is_(None))
        await self._db.write(lambda connection: connection.execute(query.values(**values)).close())

    async def model_usage(self, *, incident_id: str | None = None, day: datetime | None = None) -> ModelUsage:
        """Sum up."""
        conditions = [] if incident_id is None else [model_calls.c.incident_id == incident_id]
        conditions += [] if day is None else [_within_day(day)]

        def read(connection: Connection) -> dict[str, Any]:
            if incident_id is not None and day is None:
                [row] = _USAGE_OF_ONE.all(connection, of_incident=incident_id)
                return row._asdict()
            return connection.execute(_USAGE.where(*conditions)).one()._asdict()

        row = await self._db.read(read)
        return ModelUsage(
            calls=int(row["calls"]),
            failed=int(row["failed"]),
            tokens=TokenCount(**{column.name: int(row[column.name]) for column in _TOKENS}),
            micro_usd=int(row["micro_usd"]),
            seconds=int(row["took_us"]) / 1_000_000,
        )


def _within_day(at: datetime) -> ColumnElement[bool]:
    return (model_calls.c.at >= day_of(at)) & (model_calls.c.at < day_of(at) + timedelta(days=1))


def _spent(connection: Connection, condition: ColumnElement[bool]) -> tuple[int, int]:
    """Return tokens and micro-dollars so far."""
    query = select(func.coalesce(func.sum(_ALL_TOKENS), 0), func.coalesce(func.sum(model_calls.c.micro_usd), 0)).where(
        condition
    )
    tokens, micro_usd = connection.execute(query).one()
    return int(tokens), int(micro_usd)
