"""Protocols, in domain words, of everything outside the process; a room for each noun.

Adapters implement them; app wires them. Every adapter raises only errors of ``errors.py`` and keeps the deadline
it is given (``timeout_s``). Others import from here, not from the rooms.
"""

from sreops.ports.analyst import Analyst, AnalystAnswer, Answer
from sreops.ports.containers import Containers, Prober
from sreops.ports.deployments import Deployments, Pipelines
from sreops.ports.event_log import MAX_RECORD_BYTES, EventLog, LogRecord, StoredRecord, Subscription
from sreops.ports.health import Clock, Health
from sreops.ports.issues import ChangedIssue, IssueComment, IssuePicture, Issues, Role
from sreops.ports.logs import ChangeNotes, Logs
from sreops.ports.metrics import AlertStates, Metrics
from sreops.ports.notifier import Channel, Notifier, Sending, SendState
from sreops.ports.pause_file import PauseFile
from sreops.ports.silences import Silences
from sreops.ports.spool import Spool, SpoolState
from sreops.ports.store import IncidentStore
from sreops.ports.store.agent_writes import Changes
from sreops.ports.store.approvals import Approval
from sreops.ports.store.dispatch import AGEING_S, Backlog, Lease
from sreops.ports.store.intake import UnreadableEvent
from sreops.ports.store.model_ledger import ModelLedger
from sreops.ports.store.notices import Delivery, Overdue, Telling
from sreops.ports.store.reading import Recorded
from sreops.ports.store.retention import EndedIncident
from sreops.ports.store.tickets import TicketOp
from sreops.ports.tools import ExtraTools, Inquiry, ToolSpec
from sreops.ports.webhooks import WebhookAnswer, WebhookFacts, Webhooks

__all__ = [
    "AGEING_S",
    "MAX_RECORD_BYTES",
    "AlertStates",
    "Analyst",
    "AnalystAnswer",
    "Answer",
    "Approval",
    "Backlog",
    "ChangeNotes",
    "ChangedIssue",
    "Changes",
    "Channel",
    "Clock",
    "Containers",
    "Delivery",
    "Deployments",
    "EndedIncident",
    "EventLog",
    "ExtraTools",
    "Health",
    "IncidentStore",
    "Inquiry",
    "IssueComment",
    "IssuePicture",
    "Issues",
    "Lease",
    "LogRecord",
    "Logs",
    "Metrics",
    "ModelLedger",
    "Notifier",
    "Overdue",
    "PauseFile",
    "Pipelines",
    "Prober",
    "Recorded",
    "Role",
    "SendState",
    "Sending",
    "Silences",
    "Spool",
    "SpoolState",
    "StoredRecord",
    "Subscription",
    "Telling",
    "TicketOp",
    "ToolSpec",
    "UnreadableEvent",
    "WebhookAnswer",
    "WebhookFacts",
    "Webhooks",
]
