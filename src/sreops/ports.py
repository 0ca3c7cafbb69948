"""Protocols, in domain words, of everything outside the process. Adapters implement them; app wires them.

Every adapter raises only errors of ``errors.py`` and keeps the deadline it is given (``timeout_s``).
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from sreops.domain.alert import AlertEvent
from sreops.domain.analysis import Analysis, Brief
from sreops.domain.changes import NotedChange
from sreops.domain.correlation import Correlation, KnownIncident, Windows
from sreops.domain.evidence import (
    ContainerState,
    Evidence,
    LogLines,
    SeriesSet,
    ServiceState,
    Window,
)
from sreops.domain.incident import Effect, EffectOutcome, Incident, Issue
from sreops.domain.model_budget import ModelCall, ModelLimits, ModelUsage
from sreops.domain.model_cost import TokenCount
from sreops.domain.policy import PolicyFacts, PolicyLimits
from sreops.domain.record import Action, Record, Thought


class Clock(Protocol):
    """The one source of ``now``."""

    def now(self) -> datetime:
        """Return aware UTC."""
        ...


@dataclass(frozen=True)
class Health:
    """One check's state as ``/health`` and ``check`` show it; ``cure`` says what to do where it is not up."""

    status: Literal["up", "down", "not_configured"]
    detail: str = ""
    cure: str = ""


# --- the event log ----------------------------------------------------------------------------


MAX_RECORD_BYTES = 1_000_000
"""What key, value and headers of one record may have together: Kafka's default ``message.max.bytes``, less framing."""


@dataclass(frozen=True)
class LogRecord:
    """A record to append: ``key`` orders it within its topic; headers are ``(name, bytes)``."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def size_bytes(self) -> int:
        """Count the bytes of key, value and headers."""
        headers = sum(len(name) * 4 + len(value) for name, value in self.headers)
        return len(self.key) * 4 + len(self.value) + headers  # 4: the longest UTF-8 of a character


@dataclass(frozen=True)
class StoredRecord(LogRecord):
    """A record as read back; ``at`` is when the log took it."""

    partition: int = 0
    offset: int = 0
    at: datetime | None = None


class Subscription(Protocol):
    """A consumer group's reading of some topics. Unread or uncommitted records come again after a restart."""

    async def poll(self, *, max_records: int, timeout_s: float) -> Sequence[StoredRecord]:
        """Return the next records in order per key, or none after ``timeout_s``; never raises for a lost broker."""
        ...

    async def commit(self, records: Sequence[StoredRecord]) -> None:
        """Mark these and everything before them in their partitions as done.

        Raises EventLogUnavailable; losing a partition in between is not an error (they come again elsewhere).
        """
        ...

    def health(self) -> Health:
        """Say whether reading works, without I/O."""
        ...

    async def lag(self) -> int | None:
        """Return how many records wait unread, or None where that can't be known now."""
        ...


class EventLog(Protocol):
    """An ordered, durable log of topics. ``name`` is ``kafka`` or ``embedded``."""

    name: str

    async def start(self) -> None:
        """Begin to connect, in the background: an absent broker is no error, ``health`` says so."""
        ...

    async def stop(self) -> None:
        """Flush within a bound and close."""
        ...

    async def append(self, records: Sequence[LogRecord], *, timeout_s: float) -> None:
        """Append all; on return every record is durable (Kafka: acks=all; embedded: committed and synced).

        Raises EventLogUnavailable where that is not known within ``timeout_s``: some may be durable all the same.
        Raises EventLogRefused, and appends nothing, where a record is larger than MAX_RECORD_BYTES.
        """
        ...

    def subscribe(self, topics: Sequence[str], *, group: str) -> AbstractAsyncContextManager[Subscription]:
        """Read the topics as a member of ``group``, from the earliest record that it has not committed."""
        ...

    async def health(self) -> Health:
        """Say whether appending would work now (bounded, about two seconds)."""
        ...


@dataclass(frozen=True)
class SpoolState:
    """What waits in the spool: accepted by the bridge, not yet acknowledged by the event log.

    ``size_bytes`` counts keys, values and headers; ``oldest_at`` is None where nothing waits.
    """

    records: int = 0
    size_bytes: int = 0
    oldest_at: datetime | None = None

    def age_s(self, now: datetime) -> float:
        """Return for how many seconds the oldest record has waited."""
        return max(0.0, (now - self.oldest_at).total_seconds()) if self.oldest_at else 0.0


class Spool(Protocol):
    """The outbox in front of an event log: its records leave it in order per topic, once the log has them."""

    topics: Sequence[str]

    async def waiting(
        self, topic: str, *, max_records: int, max_bytes: int, timeout_s: float
    ) -> Sequence[StoredRecord]:
        """Return the oldest records of a topic (at least one, whatever its size), or none after ``timeout_s``.

        Raises EventLogUnavailable where the spool can't be read.
        """
        ...

    async def forwarded(self, records: Sequence[StoredRecord]) -> None:
        """Remove records that the event log has acknowledged: all that ``waiting`` returned, of one topic."""
        ...

    def not_forwarded(self, topic: str) -> None:
        """Take note that the event log does not take this topic's records now."""
        ...

    def state(self) -> SpoolState:
        """Say what waits, without I/O."""
        ...


# --- the incident store -------------------------------------------------------------------------


@dataclass(frozen=True)
class Lease:
    """The right to work on one incident; writes under a lapsed lease raise LeaseLost.

    ``token`` grows with every claim (a fencing token). ``attempts`` counts failures in a row.
    ``woken_by`` is ``start``, ``timer``, ``resolved``, ``decision`` or ``takeover`` (the last owner vanished).
    """

    incident_id: str
    episode: int
    service: str
    token: int
    attempts: int
    woken_by: str


@dataclass(frozen=True)
class TicketOp:
    """One write to the ticket, done in order per incident; ``op_id`` is the marker that keeps it single.

    ``kind`` is ``create``, ``note``, ``list`` (a note that has gathered lines), ``labels``, ``close``, ``reopen`` or
    ``escalate``; ``body`` its arguments.
    """

    op_id: str
    incident_id: str
    kind: str
    body: Mapping[str, Any]
    attempts: int = 0


@dataclass(frozen=True)
class Approval:
    """A request for approval and its decision (``approved``, ``rejected``, ``expired`` or None)."""

    incident_id: str
    episode: int
    plan_hash: str
    requested_at: datetime
    expires_at: datetime
    decision: str | None = None
    by: str = ""
    reason: str = ""
    decided_at: datetime | None = None


@dataclass(frozen=True)
class Backlog:
    """Work that waits, as counts; ages in seconds of the oldest.

    ``inbox``: events not yet correlated; ``outbox`` and ``tickets``: records and ticket writes not yet copied out.
    """

    inbox: int = 0
    ready: int = 0
    running: int = 0
    waiting: int = 0
    open_incidents: int = 0
    oldest_ready_s: float = 0.0
    oldest_open_s: float = 0.0
    outbox: int = 0
    tickets: int = 0


@dataclass(frozen=True)
class EndedIncident:
    """What retention needs to know of an ended incident; its threads are those of episodes 1 to ``episode``."""

    id: str
    episode: int
    ended_at: datetime


@dataclass(frozen=True)
class Changes:
    """What one step of the agent writes, in one transaction: incident fields, what is told, what is queued."""

    incident: Mapping[str, Any] = field(default_factory=dict)
    thoughts: Sequence[Thought] = ()
    actions: Sequence[Action] = ()
    tickets: Sequence[TicketOp] = ()
    evidence: Sequence[Evidence] = ()


class ModelLedger(Protocol):
    """The account of model calls: each is written before it is made, so that none is lost and no ceiling passed."""

    async def begin_model_call(self, call: ModelCall, limits: ModelLimits) -> None:
        """Write the call with what it reserves. Raises BudgetSpent, and writes nothing, where that passes a ceiling."""
        ...

    async def end_model_call(
        self, call_id: str, *, outcome: str, tokens: TokenCount | None, micro_usd: int, seconds: float
    ) -> None:
        """Write what the call took, once; ``tokens`` None: its answer was lost, and what it reserved stands."""
        ...

    async def model_usage(self, *, incident_id: str | None = None, day: datetime | None = None) -> ModelUsage:
        """Sum up the calls of an incident, of the UTC day that holds ``day``, or of both."""
        ...


AGEING_S = 600.0
"""For so long critical incidents go before a warning that was opened earlier (seconds); twice that before an info."""


class IncidentStore(ModelLedger, Protocol):
    """Incidents, inbox, leases, effects ledger, approvals, records and ticket writes: all durable.

    Every method is one transaction. All raise StoreUnavailable; those that take a lease raise LeaseLost.
    """

    # intake and correlation
    async def take_in(self, records: Sequence[tuple[AlertEvent, StoredRecord]], *, now: datetime) -> int:
        """Write events to the inbox, once each by ``event_id``; return how many were new.

        A record with the header ``requeued`` counts as new though its event is known: it is correlated again,
        and once only for each such record, however often it is delivered.
        """
        ...

    async def set_aside(self, event_id: str, *, now: datetime) -> None:
        """Take an event that can't be correlated out of the way of the others: it is in the dead letter."""
        ...

    async def uncorrelated(self, limit: int) -> Sequence[AlertEvent]:
        """Return inbox events not yet correlated, in the order they were taken in."""
        ...

    async def correlate(
        self,
        event: AlertEvent,
        decide: Callable[[AlertEvent, Sequence[KnownIncident]], Correlation],
        *,
        now: datetime,
        windows: Windows | None = None,
    ) -> Correlation:
        """Correlate one inbox event and apply the decision, atomically and once per ``event_id``.

        With ``windows``, an ``open`` too many within ``storm_window_s`` is gathered (``domain/storms.py``).

        ``decide`` gets the incidents that hold the event's fingerprint and those of its service (open, or
        ended within the longest window), newest first. Applying: ``open`` inserts the incident with its
        alert and a work row that wakes now; ``attach`` adds the alert; ``repeat`` counts; ``refire``
        begins a new episode (status investigating, end cleared) with its alert and a work row; ``resolve``
        ends the alert and, with ``all_resolved``, sets ``all_resolved_at``/``resolve_proven`` and wakes
        the incident (``woken_by="resolved"``) where it has not ended; ``stale`` only counts. Each leaves a
        thought on its incident; attach, and resolve of an escalated one, also a ticket note.
        A decision that repeats for an ``event_id`` already correlated returns the first one.
        """
        ...

    # dispatch
    async def claim(
        self, owner: str, *, now: datetime, lease_s: float, limit: int, ageing_s: float = AGEING_S
    ) -> Sequence[Lease]:
        """Lease up to ``limit`` incidents that are due and free, or whose lease lapsed.

        Critical before warning before info, oldest first, never two of one service at a time over all replicas.
        One that has been open for ``ageing_s`` longer goes before one of the next higher severity.
        """
        ...

    async def renew(self, leases: Sequence[Lease], *, now: datetime, lease_s: float) -> Sequence[Lease]:
        """Renew; return those that are still ours."""
        ...

    async def park(self, lease: Lease, *, wake_at: datetime, timer: str) -> None:
        """End the lease and sleep until ``wake_at`` (a timer row of that kind), or until woken.

        Where the incident was woken (resolve, decision) after the lease was claimed, it is due at once instead.
        """
        ...

    async def retry(self, lease: Lease, *, wake_at: datetime, error: str) -> int:
        """End the lease after a failure; count the attempt, wake at ``wake_at``; return attempts so far."""
        ...

    async def release(self, lease: Lease) -> None:
        """End the lease with nothing done (shutdown): due again at once, attempts unchanged."""
        ...

    async def finish(self, lease: Lease) -> None:
        """End the lease and the work: the incident has ended."""
        ...

    async def next_wake(self) -> datetime | None:
        """Return when the next sleeping incident is due, or None."""
        ...

    async def overdue(self, *, now: datetime, max_incident_s: float) -> Sequence[str]:
        """Return ids of incidents open longer than that, time awaiting approval not counted."""
        ...

    async def wake(self, incident_id: str, *, woken_by: str) -> None:
        """Make a sleeping incident due now; a no-op for one that has ended."""
        ...

    # the agent's writes
    async def write(self, lease: Lease, changes: Changes, *, now: datetime) -> None:
        """Apply ``changes`` in one transaction; action records are chained (``domain/audit.py``).

        ``changes.incident`` keys are fields of Incident (status, resolution, reason, ended_at, …, decision).
        Evidence replaces that of the same id. Ticket ops are inserted once per ``op_id``.
        """
        ...

    async def policy_facts(
        self, incident_id: str, service: str, runbook_id: str, *, now: datetime, targets: Sequence[str] = ()
    ) -> PolicyFacts:
        """Return recent automation facts; effects of this incident's running episode are not counted.

        Those of the service and of ``targets``, whoever's incident it was.
        """
        ...

    async def begin_effect(self, lease: Lease, effect: Effect, limits: PolicyLimits, *, now: datetime) -> Effect:
        """Write the intent with its snapshot, and its audited action; return it as stored.

        The same (incident, episode, step) a second time returns the first one unchanged. In the same
        transaction: automation paused, alerts all resolved meanwhile, another incident of the service
        remediating → EffectBlocked; too many remediations at once → EffectBlocked(wait=True).
        """
        ...

    async def end_effect(
        self, lease: Lease, effect_id: str, outcome: EffectOutcome, detail: str, *, now: datetime
    ) -> Effect:
        """Write the outcome once, and its audited action; a second outcome changes nothing."""
        ...

    async def effects(self, incident_id: str, episode: int) -> Sequence[Effect]:
        """Return the ledger of an episode, in order."""
        ...

    # approvals
    async def request_approval(self, lease: Lease, *, plan_hash: str, now: datetime, expires_at: datetime) -> Approval:
        """Ask once per episode and plan; a second call returns what is there, decided or not."""
        ...

    async def approval(self, incident_id: str, episode: int) -> Approval | None:
        """Return the latest request of the episode."""
        ...

    async def decide(
        self, incident_id: str, *, approve: bool, by: str, reason: str, plan_hash: str, now: datetime
    ) -> Approval:
        """Decide by compare-and-set, audit it, wake the incident.

        Raises NotFound, or DecisionConflict where nothing waits, it expired, or the plan is another.
        """
        ...

    # automation
    async def set_paused(self, paused: bool, *, by: str, reason: str, now: datetime) -> None:
        """Close or open the kill switch, audited."""
        ...

    async def pause_state(self) -> Mapping[str, Any]:
        """Return ``{"paused": bool, "by", "reason", "at"}``."""
        ...

    # tickets
    async def due_tickets(self, *, now: datetime, incident_id: str | None = None) -> Sequence[TicketOp]:
        """Return undone writes that are due and unclaimed, at most the first undone one of each incident."""
        ...

    async def claim_ticket(self, op_id: str, owner: str, *, now: datetime, lease_s: float) -> bool:
        """Claim an undone write for ``lease_s``, or keep it; False where it is done, not due, or another's."""
        ...

    async def ticket_done(self, op_id: str, *, issue: Issue | None, now: datetime) -> None:
        """Mark done; ``issue`` is set on the incident where it is given."""
        ...

    async def ticket_failed(self, op_id: str, *, error: str, retry_at: datetime | None, now: datetime) -> None:
        """Try again at ``retry_at``; None: GitLab refuses it for good, go on with the next one."""
        ...

    # reading
    async def incident(self, incident_id: str) -> Incident:
        """Return the incident with its effects (all episodes); raises NotFound."""
        ...

    async def incidents(
        self,
        *,
        status: str | None = None,
        service: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[Sequence[Incident], str | None]:
        """Return a page, newest first, and the next cursor. ``status`` is one status, or ``open``."""
        ...

    async def events(self, incident_id: str) -> Sequence[tuple[AlertEvent, str]]:
        """Return the incident's events with their dispositions, oldest first."""
        ...

    async def evidence(self, incident_id: str) -> Sequence[Evidence]:
        """Return the evidence, by id."""
        ...

    async def history(self, service: str, *, before: datetime, limit: int) -> Sequence[Incident]:
        """Return earlier ended incidents of a service, newest first."""
        ...

    async def records(
        self,
        *,
        after: int = 0,
        incident_id: str | None = None,
        kind: str | None = None,
        limit: int = 500,
        newest: bool = False,
    ) -> Sequence[Record]:
        """Return records by sequence; ``newest`` gives the last ``limit`` of them, still ascending."""
        ...

    async def unpublished(self, limit: int) -> Sequence[Record]:
        """Return records whose copy on the topics is still due, in order."""
        ...

    async def published(self, seqs: Sequence[int]) -> None:
        """Mark copies as made."""
        ...

    # chores that one replica at a time does for all
    async def take_turn(self, name: str, owner: str, *, now: datetime, lease_s: float) -> bool:
        """Take or keep the turn at a chore for ``lease_s``; False while another owner has it."""
        ...

    async def end_turn(self, name: str, owner: str) -> None:
        """Give the turn up; a no-op where it is not ours."""
        ...

    async def backlog(self, *, now: datetime) -> Backlog:
        """Count what waits."""
        ...

    async def ended_counts(self) -> Mapping[tuple[str, str], int]:
        """Count ended incidents by (status, resolution or reason)."""
        ...

    # retention
    async def ended(
        self, *, after: tuple[datetime, str] | None, until: datetime, limit: int
    ) -> Sequence[EndedIncident]:
        """Return incidents that ended by ``until``, in order of their end and id, from behind ``after`` on."""
        ...

    async def prunable(self, *, before: datetime, now: datetime, limit: int) -> Sequence[EndedIncident]:
        """Return incidents that ended before then and may be forgotten, oldest first.

        Not those that something is still owed to (a copy, a ticket write, a worker), that still hear of their
        alert, or that hold a breaker open: that is for a person to reset.
        """
        ...

    async def forget(self, incident_ids: Sequence[str], *, before: datetime, now: datetime) -> int:
        """Delete these incidents with all that belongs to them, unless one began anew meanwhile; return how many."""
        ...

    async def prune_inbox(self, *, before: datetime, limit: int) -> int:
        """Delete events that are of no incident, or only repeat what an ended one knows; return how many."""
        ...

    async def inbox_bytes(self) -> int:
        """Return the size of the events that wait: not correlated, or of an incident that has not ended."""
        ...

    async def health(self) -> Health:
        """Write and read something small (bounded)."""
        ...


# --- the world ----------------------------------------------------------------------------------


class Logs(Protocol):
    """Where logs are queried (Loki)."""

    async def lines(
        self,
        labels: Mapping[str, str],
        window: Window,
        *,
        limit: int,
        timeout_s: float,
        contains: Sequence[str] = (),
        excludes: Sequence[str] = (),
    ) -> LogLines:
        """Return lines of the streams that match, oldest first, the newest ``limit`` of the window.

        ``contains`` and ``excludes`` are plain texts, of any content: all of the first, none of the second.
        """
        ...

    async def label_names(self, window: Window, *, timeout_s: float) -> frozenset[str]:
        """Return the stream labels that exist, so that selectors use real ones."""
        ...

    async def health(self) -> Health:
        """Say whether it answers."""
        ...


class Metrics(Protocol):
    """Where metrics are queried (Prometheus). ``promql`` comes from runbooks or from our quoting functions."""

    async def instant(self, promql: str, *, at: datetime | None, timeout_s: float) -> SeriesSet:
        """Evaluate at one instant (None: now); each series has one point. A scalar is a series without labels."""
        ...

    async def range(self, promql: str, window: Window, *, step_s: float, timeout_s: float) -> SeriesSet:
        """Evaluate over a window."""
        ...

    async def names(self, matchers: Mapping[str, str], window: Window, *, timeout_s: float) -> Sequence[str]:
        """Return the metric names that have series with these labels, sorted."""
        ...

    async def health(self) -> Health:
        """Say whether it answers."""
        ...


class AlertStates(Protocol):
    """Where the alert's own state is asked: Prometheus' ALERTS, Grafana's alertmanager."""

    async def firing(self, event: AlertEvent, *, timeout_s: float) -> bool | None:
        """Say whether this very alert fires now; None where nobody who answers knows it."""
        ...


class ChangeNotes(Protocol):
    """Where people and pipelines note what they changed (Grafana's annotations)."""

    async def noted(self, window: Window, *, timeout_s: float) -> Sequence[NotedChange]:
        """Return the notes of the window, newest first; not only those of changes."""
        ...


class Issues(Protocol):
    """Where incidents are kept for people (GitLab). All text is neutralised by the adapter.

    ``marker`` is a unique string that the adapter puts where it can find it again.
    """

    async def find(self, marker: str, *, timeout_s: float) -> Issue | None:
        """Return the issue that carries the marker label."""
        ...

    async def create(
        self,
        marker: str,
        *,
        title: str,
        description: str,
        labels: Sequence[str],
        severity: str,
        timeout_s: float,
    ) -> Issue:
        """Create an incident, after looking for the marker: two tries make one issue."""
        ...

    async def note(self, issue: Issue, marker: str, body: str, *, timeout_s: float) -> None:
        """Add a note, unless one with this marker is there."""
        ...

    async def update(
        self,
        issue: Issue,
        *,
        add_labels: Sequence[str] = (),
        remove_labels: Sequence[str] = (),
        assignee: str | None = None,
        state: Literal["close", "reopen"] | None = None,
        timeout_s: float,
    ) -> None:
        """Change labels, assignee (a username; an unknown one is no error, it is told in a note) or state."""
        ...

    async def health(self) -> Health:
        """Say whether it answers, the token is good, and what it may do."""
        ...


class Containers(Protocol):
    """The container engine (Docker). Names are exact; a prefix of an id never matches."""

    async def find(self, name: str, *, timeout_s: float) -> ContainerState | None:
        """Return the container of exactly this name, else the only one of this Compose service; else None."""
        ...

    async def inspect(self, container_id: str, *, timeout_s: float) -> ContainerState | None:
        """Return it by its full id; None where it is gone."""
        ...

    async def neighbours(self, container: ContainerState, *, timeout_s: float) -> Sequence[ContainerState]:
        """Return the containers of its Compose project that it depends on or that depend on it, by name."""
        ...

    async def logs(self, container_id: str, *, since: datetime, limit: int, timeout_s: float) -> LogLines:
        """Return its own last lines (for where there is no Loki)."""
        ...

    async def restart(self, container_id: str, *, stop_timeout_s: int, timeout_s: float) -> None:
        """Restart. EngineUnavailable, EngineRefused: nothing was done. OutcomeUnknown: look first."""
        ...

    async def start(self, container_id: str, *, timeout_s: float) -> None:
        """Start; a running one is no error."""
        ...

    async def service(self, name: str, *, timeout_s: float) -> ServiceState | None:
        """Return the Swarm service of exactly this name; None where there is none or no Swarm."""
        ...

    async def scale(self, service_id: str, *, replicas: int, timeout_s: float) -> None:
        """Set the replicas of a replicated Swarm service."""
        ...

    async def health(self) -> Health:
        """Say whether the engine answers."""
        ...


@dataclass(frozen=True)
class ToolSpec:
    """A question that an analyst may ask: ``schema`` is JSON Schema of its arguments, the same for every incident.

    ``strict``: the schema is of the subset that the model's API can enforce.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    strict: bool = True


class ExtraTools(Protocol):
    """Read-only tools from elsewhere (MCP servers that the settings name)."""

    async def specs(self) -> Sequence[ToolSpec]:
        """Return those that are allowed; a server that does not answer has none."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any], *, timeout_s: float) -> str:
        """Return what the tool says. Raises QueryRefused (it says no) or ToolUnavailable."""
        ...


class Inquiry(Protocol):
    """Read-only questions about one incident; each answer is evidence with an id of its own."""

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """Return the tools that have something to answer from."""
        ...

    def scope(self) -> str:
        """Say what the questions may name; the text holds what others wrote."""
        ...

    def redact(self, text: str) -> str:
        """Mask secrets as the incident's evidence does: the same value has the same placeholder."""
        ...

    async def ask(self, name: str, arguments: object, *, timeout_s: float) -> Evidence:
        """Answer; a source that fails gives a ``gap``. Raises QueryRefused for what may not be asked, or was before."""
        ...


class Analyst(Protocol):
    """Who draws the conclusion. ``name`` is ``claude`` or ``rules``."""

    name: str

    async def analyze(self, brief: Brief, *, timeout_s: float, inquiry: Inquiry | None = None) -> "AnalystAnswer":
        """Conclude from the brief, and from what ``inquiry`` answers. Raises AnalystUnavailable or AnalystRefused."""
        ...

    async def health(self) -> Health:
        """Say whether it could answer."""
        ...


@dataclass(frozen=True)
class AnalystAnswer:
    """An analysis and what it took; ``notes`` say what went otherwise than planned (a limit, a second try)."""

    analysis: Analysis
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    notes: Sequence[str] = ()


class Prober(Protocol):
    """HTTP checks that runbooks name."""

    async def status(self, url: str, *, timeout_s: float) -> int | None:
        """GET without following redirects; the status, or None where nothing answered."""
        ...


RecordStream = AsyncIterator[Record]
