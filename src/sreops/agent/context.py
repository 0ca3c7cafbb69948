"""What nodes work with: dependencies and the lease, through LangGraph's ``context_schema``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from langgraph.runtime import RunControl

from sreops.agent.tickets import TicketDesk
from sreops.domain.incidents.incident import Incident
from sreops.domain.runbooks.in_force import RunbooksInForce
from sreops.domain.text.redaction import Redactors
from sreops.errors import EngineUnavailable
from sreops.ports import (
    AlertStates,
    Analyst,
    ChangeNotes,
    Clock,
    Containers,
    Deployments,
    ExtraTools,
    Health,
    IncidentStore,
    Lease,
    Logs,
    Metrics,
    PauseFile,
    Pipelines,
    Prober,
    Silences,
    Webhooks,
)
from sreops.settings import Settings

NO_ENGINE = "no container engine is configured (SREOPS_DOCKER__HOST)"


@dataclass(frozen=True)
class Tools:
    """Everything outside the process that the agent may use; None: not configured."""

    store: IncidentStore
    clock: Clock
    settings: Settings
    runbooks: RunbooksInForce
    analysts: Sequence[Analyst]  # tried in order; the last one is the rules
    tickets: TicketDesk
    prober: Prober
    logs: Logs | None = None
    metrics: Metrics | None = None
    alert_states: AlertStates | None = None
    containers: Containers | None = None
    changes: ChangeNotes | None = None
    pause_file: PauseFile | None = None
    silences: Sequence[Silences] = ()  # every system in which alerts may be silenced
    webhooks: Webhooks | None = None
    deployments: Deployments | None = None
    pipelines: Pipelines | None = None
    missing: Mapping[str, Health] | None = None  # what is not configured, for the hand-over
    extra: ExtraTools | None = None  # what the model may ask besides, from MCP servers
    redactors: Redactors = field(default_factory=Redactors)

    @property
    def engine(self) -> Containers:
        """The container engine; raises EngineUnavailable where none is configured."""
        if self.containers is None:
            raise EngineUnavailable(NO_ENGINE)
        return self.containers

    async def paused_by_file(self) -> str | None:
        """Return why automation is paused by a file of this process's data folder; None where none is there."""
        return await self.pause_file.reason() if self.pause_file is not None else None


@dataclass
class AgentContext:
    """The tools, the lease under which this run may write, and whether it is asked to stop.

    ``handed_on`` is the incident as the node before has written it.
    """

    tools: Tools
    lease: Lease
    control: RunControl = field(default_factory=RunControl)
    handed_on: Incident | None = None
