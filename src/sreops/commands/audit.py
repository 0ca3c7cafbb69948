"""audit verify: the hash chain of every incident's actions."""

import asyncio

from sreops.app import open_store
from sreops.app.store import missing_file
from sreops.commands.terminal import Terminal
from sreops.commands.topic_heads import topic_heads
from sreops.domain.alerts.routing import ACTIONS
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.record import Record
from sreops.settings import load_settings

_PAGE = 500


def verify(incident_id: str | None, *, from_topic: bool) -> int:
    """Print every break in the chains; exit status 0 good, 1 found wrong, or nothing to look at where it was named.

    ``from_topic``: also compare with the copies on ``agent-actions``, which show what was cut off at the end.
    """
    return asyncio.run(_verify(incident_id, from_topic))


async def _verify(incident_id: str | None, from_topic: bool) -> int:
    settings = load_settings()
    key = settings.audit_key.get_secret_value().encode() if settings.audit_key else None
    terminal = Terminal()
    if (file := missing_file(settings)) is not None:  # in an empty one nothing is wrong
        terminal.say(f"{file}: there is no such database; set SREOPS_DATA_DIR to the folder that sreops writes to")
        return 1
    chains: dict[str, list[Record]] = {}
    async with open_store(settings) as store:
        after = 0
        while page := await store.records(after=after, incident_id=incident_id, kind="action", limit=_PAGE):
            for record in page:
                chains.setdefault(record.incident_id, []).append(record)
            after = page[-1].seq
        if incident_id is not None and not chains:
            await store.incident(incident_id)  # raises NotFound, which the command line tells
    heads = await topic_heads(settings) if from_topic else {}
    if incident_id is not None:
        heads = {owner: head for owner, head in heads.items() if owner == incident_id}
    broken = 0
    for owner in sorted({*chains, *heads}):
        known = {owner: heads[owner]} if owner in heads else None
        for problem in verify_chain(chains.get(owner, []), key, heads=known):
            broken += 1
            terminal.say(f"{owner}: {problem}")
    if from_topic:
        terminal.say(f"compared with the last copies of {len(heads)} chains on {ACTIONS}")
    total = sum(len(records) for records in chains.values())
    terminal.say(f"{total} action records in {len(chains)} chains: {broken or 'nothing'} wrong")
    return 1 if broken else 0
