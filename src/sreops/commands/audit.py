"""audit verify: the hash chain of every incident's actions."""

import asyncio

from rich.console import Console

from sreops.app import open_store
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.record import Record
from sreops.settings import load_settings

_PAGE = 500


def verify(incident_id: str | None) -> int:
    """Print every break in the chains; exit status 0 good, 1 found wrong."""
    return asyncio.run(_verify(incident_id))


async def _verify(incident_id: str | None) -> int:
    settings = load_settings()
    key = settings.audit_key.get_secret_value().encode() if settings.audit_key else None
    console = Console(highlight=False, soft_wrap=True)
    chains: dict[str, list[Record]] = {}
    async with open_store(settings) as store:
        after = 0
        while page := await store.records(after=after, incident_id=incident_id, kind="action", limit=_PAGE):
            for record in page:
                chains.setdefault(record.incident_id, []).append(record)
            after = page[-1].seq
    broken = 0
    for owner, records in sorted(chains.items()):
        for problem in verify_chain(records, key):
            broken += 1
            console.print(f"{owner}: {problem}", markup=False)
    total = sum(len(records) for records in chains.values())
    console.print(f"{total} action records in {len(chains)} chains: {broken or 'nothing'} wrong", markup=False)
    return 1 if broken else 0
