"""The schema's version: a forward list of upgrades; a database from a newer sreops is refused.

An upgrade only adds, and what it adds may be NULL or has a default: during a rolling restart the replicas of the
version before go on working on the upgraded database. Its statements are written out, because ``tables.py`` is
always the latest version and an upgrade must do tomorrow what it did yesterday.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, inspect, select

from sreops.adapters.store.tables import metadata, schema_version
from sreops.errors import SettingsInvalid


def _to_2(connection: Connection) -> None:
    """Several replicas: ticket writes are claimed before they are sent; chores are done in turns."""
    connection.exec_driver_sql("ALTER TABLE tickets ADD COLUMN claimed_by TEXT")
    connection.exec_driver_sql("ALTER TABLE tickets ADD COLUMN claimed_until BIGINT")
    connection.exec_driver_sql(
        'CREATE TABLE turns (name TEXT NOT NULL, owner TEXT NOT NULL, "until" BIGINT NOT NULL, PRIMARY KEY (name))'
    )


def _to_3(connection: Connection) -> None:
    """The account of model calls; and policy asks for effects by their target too, not only by their service."""
    connection.exec_driver_sql("CREATE INDEX ix_effects_target ON effects (target, intent_at)")
    connection.exec_driver_sql(
        "CREATE TABLE model_calls (call_id TEXT NOT NULL, incident_id TEXT NOT NULL, model TEXT NOT NULL, "
        '"at" BIGINT NOT NULL, outcome TEXT, input BIGINT NOT NULL, cache_write BIGINT NOT NULL, '
        "cache_read BIGINT NOT NULL, output BIGINT NOT NULL, micro_usd BIGINT NOT NULL, took_us BIGINT, "
        "PRIMARY KEY (call_id))"
    )
    connection.exec_driver_sql("CREATE INDEX ix_model_calls_incident ON model_calls (incident_id)")
    connection.exec_driver_sql('CREATE INDEX ix_model_calls_at ON model_calls ("at")')


def _to_4(connection: Connection) -> None:
    """Claims walk the work that is ready in their own order, however long the backlog is."""
    no, is_ready, is_not = (
        ("0", "ready = 1", "ready = 0") if connection.dialect.name == "sqlite" else ("false", "ready", "NOT ready")
    )
    connection.exec_driver_sql(f"ALTER TABLE work ADD COLUMN ready BOOLEAN NOT NULL DEFAULT {no}")
    connection.exec_driver_sql(f"CREATE INDEX ix_work_ready ON work (rank, opened_at, incident_id) WHERE {is_ready}")
    connection.exec_driver_sql(f"CREATE INDEX ix_work_sleeping ON work (due_at) WHERE {is_not}")


def _to_5(connection: Connection) -> None:
    """People: what they are told and who has been, and what they said of an incident."""
    for column in ("cleared_at BIGINT", "acknowledged_by TEXT", "acknowledged_at BIGINT", *_SAID_BY_PEOPLE):
        connection.exec_driver_sql(f"ALTER TABLE incidents ADD COLUMN {column}")
    on_sqlite = connection.dialect.name == "sqlite"
    key = "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT" if on_sqlite else "BIGSERIAL PRIMARY KEY"
    connection.exec_driver_sql(
        f"CREATE TABLE notices (seq {key}, notice_id TEXT NOT NULL UNIQUE, "
        "incident_id TEXT NOT NULL REFERENCES incidents (id), episode INTEGER NOT NULL, kind TEXT NOT NULL, "
        'severity TEXT NOT NULL, "at" BIGINT NOT NULL, facts TEXT NOT NULL, planned_at BIGINT, message TEXT, '
        "quiet TEXT)"
    )
    connection.exec_driver_sql("CREATE INDEX ix_notices_unplanned ON notices (planned_at, seq)")
    connection.exec_driver_sql("CREATE INDEX ix_notices_incident ON notices (incident_id, seq)")
    of_notice = "INTEGER" if on_sqlite else "BIGINT"
    connection.exec_driver_sql(
        f"CREATE TABLE deliveries (seq {key}, notice_seq {of_notice} NOT NULL REFERENCES notices (seq), "
        "incident_id TEXT NOT NULL REFERENCES incidents (id), channel TEXT NOT NULL, digest BOOLEAN NOT NULL, "
        "due_at BIGINT NOT NULL, attempts INTEGER NOT NULL, attempt_id TEXT, claimed_by TEXT, claimed_until BIGINT, "
        "done_at BIGINT, outcome TEXT, error TEXT, UNIQUE (notice_seq, channel))"
    )
    connection.exec_driver_sql("CREATE INDEX ix_deliveries_undone ON deliveries (done_at, due_at)")
    connection.exec_driver_sql("CREATE INDEX ix_deliveries_incident ON deliveries (incident_id)")


_SAID_BY_PEOPLE = ("closed TEXT", "given_back TEXT", "feedback TEXT")


def _to_6(connection: Connection) -> None:
    """Effects are found by what their target is, whatever it was called."""
    connection.exec_driver_sql("ALTER TABLE effects ADD COLUMN standing TEXT NOT NULL DEFAULT ''")
    connection.exec_driver_sql("CREATE INDEX ix_effects_standing ON effects (standing, intent_at)")


def _to_7(connection: Connection) -> None:
    """Who is unwell, with what tells namesakes apart."""
    connection.exec_driver_sql("ALTER TABLE incidents ADD COLUMN subject TEXT")


def _to_8(connection: Connection) -> None:
    """Who has signed in: sessions of browsers, and API tokens."""
    connection.exec_driver_sql(
        "CREATE TABLE sessions (key TEXT NOT NULL, account TEXT NOT NULL, role TEXT NOT NULL, proven_by TEXT NOT NULL, "
        "made_with TEXT NOT NULL, began_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (key))"
    )
    connection.exec_driver_sql("CREATE INDEX ix_sessions_expires ON sessions (expires_at)")
    connection.exec_driver_sql("CREATE INDEX ix_sessions_account ON sessions (account)")
    connection.exec_driver_sql(
        "CREATE TABLE api_tokens (token_id TEXT NOT NULL, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL, "
        "account TEXT NOT NULL, role TEXT NOT NULL, created_by TEXT NOT NULL, created_at BIGINT NOT NULL, "
        "expires_at BIGINT NOT NULL, revoked_at BIGINT, PRIMARY KEY (token_id))"
    )


def _to_9(connection: Connection) -> None:
    """A run whose process died is counted: one that dies with it again and again goes to a person."""
    connection.exec_driver_sql("ALTER TABLE work ADD COLUMN starts INTEGER NOT NULL DEFAULT 0")
    connection.exec_driver_sql("ALTER TABLE work ADD COLUMN started_from TEXT")


def _to_10(connection: Connection) -> None:
    """Alerts that are recorded and not worked on."""
    connection.exec_driver_sql("ALTER TABLE inbox ADD COLUMN recorded TEXT")
    connection.exec_driver_sql("CREATE INDEX ix_inbox_recorded ON inbox (seq) WHERE recorded IS NOT NULL")


def _to_11(connection: Connection) -> None:
    """Who joins is heard; correlation is linear and takes turns; bursts are storms by name and by group."""
    for column in ("joins TEXT", "rejoin_at BIGINT", "group_key TEXT", "storm_id TEXT"):
        connection.exec_driver_sql(f"ALTER TABLE incidents ADD COLUMN {column}")
    for column in ("alertname TEXT", "rank INTEGER", "times INTEGER", "times_from BIGINT"):
        connection.exec_driver_sql(f"ALTER TABLE incident_alerts ADD COLUMN {column}")
    connection.exec_driver_sql("ALTER TABLE inbox ADD COLUMN service TEXT")
    for index in (
        "ix_incidents_alertname ON incidents (alertname, opened_at)",
        "ix_incidents_group ON incidents (group_key, opened_at)",
        "ix_incidents_rejoin ON incidents (rejoin_at) WHERE rejoin_at IS NOT NULL",
        "ix_incidents_storms ON incidents (opened_at) WHERE reason = 'storm' AND storm_id IS NULL",
        "ix_incidents_storm ON incidents (storm_id) WHERE storm_id IS NOT NULL",
        "ix_incident_alerts_name ON incident_alerts (incident_id, alertname)",
        "ix_incident_alerts_firing ON incident_alerts (incident_id, rank) WHERE ended_at IS NULL",
        "ix_inbox_turn ON inbox (correlated_at, service, seq) WHERE correlated_at IS NULL"
        if connection.dialect.name == "sqlite"
        else "ix_inbox_waiting ON inbox (service, seq) WHERE correlated_at IS NULL",
    ):
        connection.exec_driver_sql(f"CREATE INDEX {index}")


def _to_12(connection: Connection) -> None:
    """What each issue shows of its incident."""
    connection.exec_driver_sql("ALTER TABLE incidents ADD COLUMN shown_seq BIGINT NOT NULL DEFAULT 0")


def _to_13(connection: Connection) -> None:
    """What the engine says of an incident's target: names that mean it meet, and two of one target are one."""
    for column in ("target TEXT", "standing TEXT", "merged_into TEXT"):
        connection.exec_driver_sql(f"ALTER TABLE incidents ADD COLUMN {column}")
    connection.exec_driver_sql("CREATE INDEX ix_incidents_standing ON incidents (standing, opened_at)")
    connection.exec_driver_sql(
        "CREATE TABLE target_names (name TEXT NOT NULL, incident_id TEXT NOT NULL REFERENCES incidents (id), "
        "PRIMARY KEY (name, incident_id))"
    )
    connection.exec_driver_sql("CREATE INDEX ix_target_names_incident ON target_names (incident_id)")


def _to_14(connection: Connection) -> None:
    """Incidents are looked for by severity."""
    connection.exec_driver_sql("CREATE INDEX ix_incidents_severity ON incidents (severity, opened_at, id)")


def _to_15(connection: Connection) -> None:
    """Effects of the last hour are counted by host and by project."""
    connection.exec_driver_sql("CREATE INDEX ix_effects_at ON effects (intent_at)")


def _to_16(connection: Connection) -> None:
    """A runbook's newest effects are found without looking at all that it ever did."""
    connection.exec_driver_sql("CREATE INDEX ix_effects_runbook_at ON effects (runbook_id, intent_at)")
    connection.exec_driver_sql("DROP INDEX ix_effects_runbook")  # the new one serves what it served


UPGRADES: tuple[Callable[[Connection], None], ...] = (
    _to_2, _to_3, _to_4, _to_5, _to_6, _to_7, _to_8, _to_9, _to_10, _to_11, _to_12, _to_13, _to_14,
    _to_15, _to_16,
)  # fmt: skip
"""Upgrade n brings a database from version n + 1 to n + 2. Add to the end; never change what has been released."""


def latest() -> int:
    """Return the version that ``tables.py`` describes."""
    return 1 + len(UPGRADES)


def bring_up_to_date(connection: Connection) -> None:
    """Create or upgrade the tables in the caller's transaction; raises SettingsInvalid for a newer schema."""
    found = 0
    if inspect(connection).has_table(schema_version.name):
        found = max(connection.execute(select(schema_version.c.version)).scalars().all(), default=0)
    if found > latest():
        raise SettingsInvalid(
            [
                f"the incident store has schema version {found}, this sreops knows up to {latest()}: "
                "it was written by a newer sreops; run that one, or use another SREOPS_DATA_DIR or SREOPS_DATABASE_URL"
            ]
        )
    if found == latest():
        return
    if found == 0:
        metadata.create_all(connection)
    for upgrade in UPGRADES[found - 1 :] if found else ():
        upgrade(connection)
    # the time is for people only
    connection.execute(insert(schema_version).values(version=latest(), applied_at=datetime.now(UTC)))
