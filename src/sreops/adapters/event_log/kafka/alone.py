"""A process whose incidents are in SQLite reads its consumer group alone.

A second member would get some of the partitions, and open incidents of its own for what the first one works on: two
stores, two restarts. So such a process looks who is in the group before it joins, and once more when it has joined.
"""

from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from sreops.errors import EventLogUnavailable

ALONE_CURE: Final = (
    "end the other one, or give both of them PostgreSQL (SREOPS_DATABASE_URL=postgresql://…); one that was killed "
    "leaves the group after some seconds"
)
_NO_SUCH_GROUP: Final = 69


class OthersRead(EventLogUnavailable):
    """Somebody else is in the group of a process that must be alone in it."""


async def refuse_others(options: dict[str, Any], group: str, *, most: int) -> None:
    """Raise OthersRead where the group has more than ``most`` members; the library's errors as they are."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        [response] = await admin.describe_consumer_groups([group])
    finally:
        await admin.close()
    [told] = response.to_object()["groups"]
    if told["error_code"] not in (0, _NO_SUCH_GROUP):
        raise for_code(told["error_code"])(f"group {group} can't be described")
    members = told["members"]
    if len(members) > most:
        shown = ", ".join(sorted({f"{one['client_id']} at {one['client_host'].lstrip('/')}" for one in members}))
        raise OthersRead(
            f"group {group} is read by another process already ({shown}), and this one keeps its incidents in SQLite, "
            "which belongs to one process"
        )
