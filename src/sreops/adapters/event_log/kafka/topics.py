"""The topics: created at start where they are missing, never altered where they exist."""

from collections.abc import Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sreops.settings import KafkaSettings
from sreops.telemetry import log

TOPICS_CREATED: Final = "event_log.topics_created"
_ALREADY_EXISTS: Final = 36


async def create_missing_topics(settings: KafkaSettings, options: dict[str, Any], topics: Sequence[str]) -> str:
    """Create the topics that are missing, alter none; return why some could not be created ('' if none)."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        missing = sorted(set(topics) - set(await admin.list_topics()))
        if not missing:
            return ""
        response = await admin.create_topics(
            [
                NewTopic(
                    name,
                    settings.partitions,
                    settings.replication_factor,
                    topic_configs={"retention.ms": str(settings.retention_ms), "cleanup.policy": "delete"},
                )
                for name in missing
            ]
        )
    finally:
        await admin.close()
    problems = []
    for topic, code, *message in response.topic_errors:  # the library doesn't raise what the broker refuses
        if code not in (0, _ALREADY_EXISTS):
            problems.append(f"topic {topic} is missing and the broker refused to create it: code {code} {message}")
    if not problems:
        log.info(TOPICS_CREATED, topics=missing)
    return "; ".join(problems)
