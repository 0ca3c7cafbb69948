"""Where the event log is built: Kafka with its spool, or the embedded log."""

from collections.abc import Mapping

from sreops.adapters.event_log.embedded import EmbeddedEventLog
from sreops.adapters.event_log.spooled import SpooledEventLog
from sreops.app.assembly import Check
from sreops.domain.alerts.routing import ALL_TOPICS
from sreops.ports import EventLog
from sreops.settings import Settings


def build_event_log(settings: Settings) -> EventLog:
    """Return Kafka where it is configured, else the embedded log in the data directory."""
    if settings.kafka.bootstrap_servers:
        from sreops.adapters.event_log.kafka import KafkaEventLog  # noqa: PLC0415  # loaded only where it is configured

        return KafkaEventLog(settings.kafka, ALL_TOPICS, alone=not settings.database_url)
    return EmbeddedEventLog(settings.data_dir / "events.db")


def build_spool(settings: Settings, event_log: EventLog) -> SpooledEventLog | None:
    """Return Kafka with the spool before it; the embedded log needs none, but a spool that was left is forwarded."""
    path = settings.data_dir / "spool.db"
    if not settings.kafka.bootstrap_servers and not path.exists():
        return None
    return SpooledEventLog(event_log, EmbeddedEventLog(path), ALL_TOPICS, max_bytes=settings.max_spool_bytes)


def with_spool(checks: Mapping[str, Check], spooled: SpooledEventLog | None) -> Mapping[str, Check]:
    """Let ``event_log`` say whether alerts can be made durable; a log that is away then only degrades."""
    if spooled is None:
        return checks
    return {
        **checks,
        "event_log": spooled.health,
        spooled.name: checks["event_log"],
        "spool": spooled.spool_health,
    }
