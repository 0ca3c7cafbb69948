"""One closed tree of errors.

    SreopsError
    ├── SettingsInvalid            a setting is wrong: names it and the cure
    ├── RunbooksInvalid            runbooks.yaml is wrong: file, line, field of every fault
    ├── PayloadRejected            a request body that is not a webhook (carries the HTTP status)
    ├── PlanRefused                a runbook can't be made concrete for this alert (reasons inside)
    ├── RecordUnreadable           a record on a topic that is not one of our events
    ├── Unavailable                (retryable) something we depend on did not answer
    │   ├── EventLogUnavailable
    │   ├── StoreUnavailable
    │   ├── LogsUnavailable
    │   ├── MetricsUnavailable
    │   ├── SilencesUnavailable
    │   ├── IssuesUnavailable
    │   ├── EngineUnavailable      the request never reached the container engine
    │   ├── WebhookUnavailable     the request of a runbook's webhook was not sent
    │   ├── ToolUnavailable
    │   ├── IdentityUnavailable    the OpenID Connect provider did not answer usably: nobody can sign in by it now
    │   └── AnalystUnavailable
    ├── Refused                    it answered, and said no: asking again the same way is useless
    │   ├── EventLogRefused        a record too large for the log: it would never be taken
    │   ├── QueryRefused
    │   ├── IssuesRefused
    │   │   └── IssueGone          a person has deleted the issue: another takes its place
    │   ├── SignInRefused          what a browser came back with proves nothing
    │   ├── EngineRefused
    │   │   └── TargetAmbiguous    several containers have this name: a person chooses
    │   └── AnalystRefused
    │       └── BudgetSpent        a ceiling on what the model may take would be passed: it was not asked
    ├── OutcomeUnknown             the engine got the request, its answer was lost
    ├── LeaseLost                  another worker owns this incident now; stop without a write
    ├── EffectBlocked              policy changed between plan and act (reasons inside)
    ├── DecisionConflict           approve or reject came too late, or for another plan
    ├── NotFound                   no such incident
    └── AlreadyRunning             the data directory or the database belongs to another process

Every class says with ``retryable`` whether the same call may succeed later.
Adapters translate foreign errors at the edge with ``raise … from exc``; none escapes.
"""

from collections.abc import Sequence


class SreopsError(Exception):
    """Root of every error that sreops raises on purpose."""

    retryable: bool = False
    cure: str = ""
    """What a person can do about it, where the cause is known."""


class SettingsInvalid(SreopsError):
    """A setting is missing or wrong; ``problems`` are sentences for the person who set it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class RunbooksInvalid(SreopsError):
    """The runbooks file is wrong; ``problems`` are ``file:line: field: what`` lines."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PayloadRejected(SreopsError):
    """A body that ``POST /alerts`` refuses; ``status`` is the HTTP status to answer with."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class PlanRefused(SreopsError):
    """A runbook can't be made concrete for this alert; ``problems`` name the step and the missing or unusable value."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class RecordUnreadable(SreopsError):
    """A record on a topic that does not parse as an event; it goes to the dead letter."""


class Unavailable(SreopsError):
    """Something that sreops depends on did not answer; the same call may succeed later.

    ``retry_after_s`` is the wait that the other side asked for, where it asked; ``cure`` what a person can do,
    where the cause is known.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None, cure: str = "") -> None:
        self.retry_after_s = retry_after_s
        self.cure = cure
        super().__init__(message)


class EventLogUnavailable(Unavailable):
    """The event log did not acknowledge."""


class StoreUnavailable(Unavailable):
    """The database did not answer or could not write."""


class LogsUnavailable(Unavailable):
    """Loki did not answer."""


class MetricsUnavailable(Unavailable):
    """Prometheus did not answer."""


class SilencesUnavailable(Unavailable):
    """Alertmanager did not answer usably: whether an alert is silenced is not known."""


class IssuesUnavailable(Unavailable):
    """GitLab did not answer; the write may or may not have happened there."""


class EngineUnavailable(Unavailable):
    """The container engine could not be reached: nothing was done."""


class WebhookUnavailable(Unavailable):
    """A webhook could not be reached: nothing was sent."""


class ToolUnavailable(Unavailable):
    """An MCP server did not answer."""


class IdentityUnavailable(Unavailable):
    """The OpenID Connect provider did not answer, or not usably."""


class AnalystUnavailable(Unavailable):
    """The model did not answer."""


class Refused(SreopsError):
    """It answered and said no; ``status`` is its HTTP status (0 where it has none)."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        self.status = status
        super().__init__(message)


class EventLogRefused(Refused):
    """The event log will never take this record (too large); none of the records of that append was sent."""


class QueryRefused(Refused):
    """Loki or Prometheus refused the query."""


class IssuesRefused(Refused):
    """GitLab refused the request."""


class IssueGone(IssuesRefused):
    """The issue is not there any more, and its project is."""


class SignInRefused(Refused):
    """The provider took no code, or what it answered can't be believed."""


class EngineRefused(Refused):
    """The container engine refused the request: nothing was done."""


class TargetAmbiguous(EngineRefused):
    """Several containers answer to this name; ``choice`` names them."""

    def __init__(self, message: str, choice: Sequence[str]) -> None:
        self.choice = tuple(choice)
        super().__init__(message)


class AnalystRefused(Refused):
    """The model refused, was cut off, or answered outside its schema."""


class BudgetSpent(AnalystRefused):
    """A call to the model would pass a ceiling in dollars or tokens, so it was not made."""


class OutcomeUnknown(SreopsError):
    """A disruptive request was sent and its answer lost: look before doing anything again."""


class LeaseLost(SreopsError):
    """The lease on this incident lapsed and another worker may hold it."""


class EffectBlocked(SreopsError):
    """Policy no longer allows the effect that was about to start; ``reasons`` say why."""

    def __init__(self, reasons: Sequence[str], *, wait: bool = False) -> None:
        self.reasons = tuple(reasons)
        self.wait = wait  # True: a slot is taken, the same effect may start later
        super().__init__("; ".join(self.reasons))


class DecisionConflict(SreopsError):
    """An approval or rejection that does not apply (not waiting, expired, plan changed)."""


class NotFound(SreopsError):
    """No incident has this id."""


class AlreadyRunning(SreopsError):
    """Another sreops process owns the data directory, or uses the database and one of the two has no Kafka."""
