"""The tables of the incident store, as ``schema.py``'s latest version has them, with the indices that are always used.

A change here needs an upgrade there: a test compares an upgraded database with one that is made anew.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    UniqueConstraint,
    false,
    text,
)

from sreops.adapters.store.columns import Json, Moment, PlainText, Sequence64

metadata = MetaData()

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_at", Moment, nullable=False),
)

heartbeat = Table(
    "heartbeat",  # one row, written by health checks only
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("beats", BigInteger, nullable=False),
)

automation = Table(
    "automation",  # one row once somebody has paused or resumed
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("paused", Boolean, nullable=False),
    Column("by", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("at", Moment, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("episode", Integer, nullable=False),
    Column("status", PlainText, nullable=False),
    Column("resolution", PlainText),
    Column("reason", PlainText),
    Column("service", PlainText, nullable=False),
    Column("alertname", PlainText, nullable=False),
    Column("severity", PlainText, nullable=False),
    Column("tier", PlainText, nullable=False),
    Column("event_count", Integer, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("episode_at", Moment, nullable=False),
    Column("ended_at", Moment),  # NULL exactly while the incident is open
    Column("analyst", PlainText),
    Column("analyst_why", PlainText),
    Column("root_cause", PlainText),
    Column("category", PlainText),
    Column("confidence", Float),
    Column("runbook_id", PlainText),
    Column("plan_hash", PlainText),
    Column("verification", PlainText),
    Column("issue", Json),
    Column("all_resolved_at", Moment),
    Column("resolve_proven", Boolean, nullable=False),
    Column("decision", Json),
    Column("waited_us", BigInteger, nullable=False, default=0),  # awaiting approval, waits that are over
    Column("waiting_since", Moment),  # the running wait
    Column("cleared_at", Moment),  # when its last alert was resolved, whatever became of the incident
    Column("acknowledged_by", PlainText),
    Column("acknowledged_at", Moment),
    Column("closed", Json),  # {by, was, cause, reason, at}: a person closed it, and ``resolution`` is what 0.1 reads
    Column("given_back", Json),  # {by, reason, at, episode}: a person has given it back to automation
    Column("shown_seq", BigInteger, nullable=False, server_default=text("0")),  # what its issue shows
    Column("feedback", Json),  # {by, right, cause, component, at}: the latest
    Column("subject", Json),  # NULL: opened by a version that knew services only
    Column("joins", Json),  # what is remembered of those who joined (domain/incidents/joins.py)
    Column("rejoin_at", Moment),  # when it is due to be analysed again because of them
    Column("group_key", PlainText),  # the sender's group that opened it; NULL: none that says anything
    Column("storm_id", PlainText),  # the storm that it is a member of
    Column("target", Json),  # NULL: the engine was not asked yet, or knows none
    Column("standing", PlainText),  # of the target
    Column("merged_into", PlainText),  # the older incident of the same target
    Index("ix_incidents_newest", "opened_at", "id"),
    Index("ix_incidents_service", "service", "ended_at"),
    Index("ix_incidents_status", "status", "opened_at"),
    Index("ix_incidents_ended", "ended_at"),
    Index("ix_incidents_alertname", "alertname", "opened_at"),
    Index("ix_incidents_group", "group_key", "opened_at"),
    Index("ix_incidents_severity", "severity", "opened_at", "id"),
)
Index(
    "ix_incidents_rejoin",
    incidents.c.rejoin_at,
    sqlite_where=text("rejoin_at IS NOT NULL"),
    postgresql_where=text("rejoin_at IS NOT NULL"),
)
Index(
    "ix_incidents_storms",  # the storms themselves
    incidents.c.opened_at,
    sqlite_where=text("reason = 'storm' AND storm_id IS NULL"),
    postgresql_where=text("reason = 'storm' AND storm_id IS NULL"),
)
Index(
    "ix_incidents_storm",
    incidents.c.storm_id,
    sqlite_where=text("storm_id IS NOT NULL"),
    postgresql_where=text("storm_id IS NOT NULL"),
)

incident_alerts = Table(
    "incident_alerts",  # one row per fingerprint: its latest firing
    metadata,
    Column("position", Sequence64, primary_key=True, autoincrement=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("fingerprint", PlainText, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("proven", Boolean, nullable=False),  # False: ended only because its rule was edited or deleted
    Column("last_event_id", PlainText, nullable=False),
    Column("alertname", PlainText),  # NULL in rows of 0.1, as the next three
    Column("rank", Integer),  # how bad: 0 critical, 1 warning, 2 info
    Column("times", Integer),  # how often it began to fire since times_from
    Column("times_from", Moment),
    UniqueConstraint("incident_id", "fingerprint"),
    Index("ix_incident_alerts_fingerprint", "fingerprint"),
    Index("ix_incident_alerts_name", "incident_id", "alertname"),
)
Index(
    "ix_incident_alerts_firing",
    incident_alerts.c.incident_id,
    incident_alerts.c.rank,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)

target_names = Table(
    "target_names",  # every name that means an incident's target, so that alerts under any of them meet
    metadata,
    Column("name", PlainText, primary_key=True),
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Index("ix_target_names_incident", "incident_id"),
)
Index("ix_incidents_standing", incidents.c.standing, incidents.c.opened_at)

endings = Table(
    "endings",  # how each episode ended; a refire clears the incident's end but not this
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Column("episode", Integer, primary_key=True, autoincrement=False),
    Column("service", PlainText, nullable=False),
    Column("status", PlainText, nullable=False),
    Column("resolution", PlainText),
    Column("reason", PlainText),
    Column("verification", PlainText),
    Column("ended_at", Moment, nullable=False),
    Index("ix_endings_service", "service", "ended_at"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("event_id", PlainText, nullable=False, unique=True),
    Column("payload", Json, nullable=False),
    Column("topic", PlainText),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Column("taken_at", Moment, nullable=False),
    Column("correlated_at", Moment),
    Column("correlation", Json),  # the decision, so that a repeated one is the first one
    Column("disposition", PlainText),
    Column("incident_id", ForeignKey("incidents.id")),
    Column("recorded", PlainText),  # why it is not worked on; such a row is never correlated
    Column("service", PlainText),  # whose turn it is to be correlated; NULL in rows of 0.1
    Index("ix_inbox_uncorrelated", "correlated_at", "seq"),
    Index("ix_inbox_incident", "incident_id", "seq"),
    sqlite_autoincrement=True,
)
# Whose turn it is. PostgreSQL steps along the services by themselves; SQLite takes the index only where the condition
# is a part of it, and PostgreSQL would not see that it is ordered then.
Index(
    "ix_inbox_turn", inbox.c.correlated_at, inbox.c.service, inbox.c.seq, sqlite_where=text("correlated_at IS NULL")
).ddl_if(dialect="sqlite")
Index("ix_inbox_waiting", inbox.c.service, inbox.c.seq, postgresql_where=text("correlated_at IS NULL")).ddl_if(
    dialect="postgresql"
)

Index(
    "ix_inbox_recorded",
    inbox.c.seq,
    sqlite_where=text("recorded IS NOT NULL"),
    postgresql_where=text("recorded IS NOT NULL"),
)

work = Table(
    "work",  # one row per incident, for good: its token must go on growing through refires
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Column("episode", Integer, nullable=False),
    Column("service", PlainText, nullable=False),
    Column("rank", Integer, nullable=False),  # 0 critical, 1 warning, 2 info
    Column("opened_at", Moment, nullable=False),
    Column("due_at", Moment),  # NULL: finished
    Column("timer", PlainText),
    Column("woken_by", PlainText, nullable=False),
    Column("wakes", Integer, nullable=False),
    Column("wakes_seen", Integer, nullable=False),  # ``wakes`` at the last claim: less means woken since
    Column("seen_at", Moment, nullable=False),  # the latest ``now`` that this row was told
    Column("lease_owner", PlainText),
    Column("lease_until", Moment),
    Column("token", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", PlainText),
    # of a run that was begun after one that ended without a word: how often from that checkpoint; 0 otherwise
    Column("starts", Integer, nullable=False, default=0, server_default=text("0")),
    Column("started_from", PlainText),
    # True: a claim has found it due, so that those which are can be walked in their order. A claim that comes first
    # sets it; whatever makes the work due later, or never, clears it. Only a hint: claims read due_at as well.
    Column("ready", Boolean, nullable=False, default=False, server_default=false()),
    Index("ix_work_due", "due_at"),
    Index("ix_work_leased", "lease_until"),
)
Index(
    "ix_work_ready",
    work.c.rank,
    work.c.opened_at,
    work.c.incident_id,
    sqlite_where=text("ready = 1"),  # word by word as queries have it, or SQLite does not see that they fit
    postgresql_where=text("ready"),
)
Index("ix_work_sleeping", work.c.due_at, sqlite_where=text("ready = 0"), postgresql_where=text("NOT ready"))

effects = Table(
    "effects",
    metadata,
    Column("effect_id", PlainText, primary_key=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("episode", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("action", PlainText, nullable=False),
    Column("target", PlainText, nullable=False),
    Column("service", PlainText, nullable=False),
    Column("runbook_id", PlainText),
    Column("snapshot", Json, nullable=False),
    Column("intent_at", Moment, nullable=False),
    Column("outcome", PlainText),
    Column("outcome_at", Moment),
    Column("detail", PlainText, nullable=False),
    Column("standing", PlainText, nullable=False, default="", server_default=""),  # empty: 0.1 wrote it
    UniqueConstraint("incident_id", "episode", "step"),
    Index("ix_effects_service", "service", "intent_at"),
    Index("ix_effects_target", "target", "intent_at"),
    Index("ix_effects_standing", "standing", "intent_at"),
    Index("ix_effects_runbook_at", "runbook_id", "intent_at"),
    Index("ix_effects_at", "intent_at"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Sequence64, primary_key=True, autoincrement=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("episode", Integer, nullable=False),
    Column("plan_hash", PlainText, nullable=False),
    Column("requested_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("decision", PlainText),
    Column("by", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("decided_at", Moment),
    UniqueConstraint("incident_id", "episode", "plan_hash"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), primary_key=True),
    Column("id", PlainText, primary_key=True),
    Column("body", Json, nullable=False),
)

tickets = Table(
    "tickets",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("op_id", PlainText, nullable=False, unique=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("kind", PlainText, nullable=False),
    Column("body", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("done_at", Moment),
    Column("refused", Boolean, nullable=False),
    Column("error", PlainText),
    Column("claimed_by", PlainText),  # the replica that is sending it, until claimed_until
    Column("claimed_until", Moment),
    Index("ix_tickets_undone", "done_at", "incident_id", "seq"),
    Index("ix_tickets_incident", "incident_id", "kind"),
    sqlite_autoincrement=True,
)

records = Table(
    "records",
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("incident_id", PlainText, nullable=False),  # an incident, or ``automation``: the kill switch's own chain
    Column("kind", PlainText, nullable=False),
    Column("at", Moment, nullable=False),
    Column("body", Json, nullable=False),
    Column("prev_hash", PlainText),
    Column("hash", PlainText),
    Column("published", Boolean, nullable=False),
    Index("ix_records_incident", "incident_id", "kind", "seq"),
    Index("ix_records_unpublished", "published", "seq"),
    sqlite_autoincrement=True,  # a sequence number is an SSE id: it must never come twice
)

notices = Table(
    "notices",  # what people are to be told: written with the state that it tells, once for each state
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("notice_id", PlainText, nullable=False, unique=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("episode", Integer, nullable=False),
    Column("kind", PlainText, nullable=False),
    Column("severity", PlainText, nullable=False),
    Column("at", Moment, nullable=False),
    Column("facts", Json, nullable=False),
    Column("planned_at", Moment),  # when it was worded and given to its channels
    Column("message", Json),  # as it was worded then
    Column("quiet", PlainText),  # why nobody is told
    Index("ix_notices_unplanned", "planned_at", "seq"),
    Index("ix_notices_incident", "incident_id", "seq"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",  # a notice on its way to one channel
    metadata,
    Column("seq", Sequence64, primary_key=True, autoincrement=True),
    Column("notice_seq", ForeignKey("notices.seq"), nullable=False),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("channel", PlainText, nullable=False),
    Column("digest", Boolean, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("attempt_id", PlainText),  # the sending that it is, or was last, a part of
    Column("claimed_by", PlainText),  # the replica that is sending it, until claimed_until
    Column("claimed_until", Moment),
    Column("done_at", Moment),
    Column("outcome", PlainText),  # sent, given_up, dropped
    Column("error", PlainText),
    UniqueConstraint("notice_seq", "channel"),
    Index("ix_deliveries_undone", "done_at", "due_at"),
    Index("ix_deliveries_incident", "incident_id"),
    sqlite_autoincrement=True,
)

turns = Table(
    "turns",  # chores that one replica at a time does, for all
    metadata,
    Column("name", PlainText, primary_key=True),
    Column("owner", PlainText, nullable=False),
    Column("until", Moment, nullable=False),
)

model_calls = Table(
    "model_calls",  # requests to the model: written before they are made, with what they may take at most
    metadata,
    Column("call_id", PlainText, primary_key=True),
    Column("incident_id", PlainText, nullable=False),
    Column("model", PlainText, nullable=False),
    Column("at", Moment, nullable=False),
    Column("outcome", PlainText),  # NULL: under way, or lost with its process
    Column("input", BigInteger, nullable=False),
    Column("cache_write", BigInteger, nullable=False),
    Column("cache_read", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("micro_usd", BigInteger, nullable=False),
    Column("took_us", BigInteger),
    Index("ix_model_calls_incident", "incident_id"),
    Index("ix_model_calls_at", "at"),
)

sessions = Table(
    "sessions",  # browsers that have signed in; signing out deletes the row
    metadata,
    Column("key", PlainText, primary_key=True),  # SHA-256 of the cookie
    Column("account", PlainText, nullable=False),
    Column("role", PlainText, nullable=False),
    Column("proven_by", PlainText, nullable=False),
    Column("made_with", PlainText, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("ix_sessions_expires", "expires_at"),
    Index("ix_sessions_account", "account"),
)

api_tokens = Table(
    "api_tokens",  # of persons and services; revoked ones stay, for the account of who did what
    metadata,
    Column("token_id", PlainText, primary_key=True),
    Column("key", PlainText, nullable=False, unique=True),  # SHA-256 of the token
    Column("name", PlainText, nullable=False),
    Column("account", PlainText, nullable=False),
    Column("role", PlainText, nullable=False),
    Column("created_by", PlainText, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)
