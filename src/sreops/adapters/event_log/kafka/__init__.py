"""The event log on Kafka or Redpanda (aiokafka); see log.py."""

from sreops.adapters.event_log.kafka.log import KafkaEventLog

__all__ = ["KafkaEventLog"]
