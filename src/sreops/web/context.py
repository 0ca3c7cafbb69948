"""What the web side works with; built by app."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sreops.domain.incidents.incident import Incident
from sreops.domain.runbooks.runbook import Runbook
from sreops.ports import Answer, Clock, EventLog, Health, IncidentStore, SpoolState
from sreops.ports.identity import IdentityProvider
from sreops.settings import Settings
from sreops.web.last_webhook import LastWebhook


@dataclass(frozen=True)
class WebContext:
    """Dependencies of the routes.

    ``checks`` are the bounded checks behind ``/health``, by name; ``missing`` names what is not configured,
    with its cure. ``wake`` is set when a decision makes an incident due; ``stopping`` ends event streams;
    ``spool`` says, without I/O, what waits in the spool where there is one; ``ready`` says whether the process
    still takes alerts (false while it shuts down). ``identity`` is where people
    sign in, where one is configured. ``pause`` holds back answers to wrong credentials (seconds).
    """

    settings: Settings
    clock: Clock
    event_log: EventLog
    store: IncidentStore
    runbooks: Sequence[Runbook]
    checks: Mapping[str, Callable[[], Awaitable[Health]]]
    missing: Mapping[str, Health]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    last_webhook: LastWebhook = field(default_factory=LastWebhook)
    version: str = ""
    spool: Callable[[], SpoolState] | None = None
    identity: IdentityProvider | None = None
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    channels: Mapping[str, str] = field(default_factory=dict)  # where people are told: labels by name
    ask: Callable[[Incident, str], Awaitable[Answer]] | None = None  # answers a question about an incident

    def ready(self) -> bool:
        """Whether new alerts are taken."""
        return not self.stopping.is_set()
