"""Settings of the event log: Kafka or Redpanda, else the embedded one."""

from typing import Literal

from pydantic import BaseModel, Field

from sreops.setting_values import Brokers, OptionalFile, OptionalSecret


class KafkaSettings(BaseModel):
    """The event log on Kafka or Redpanda; empty ``bootstrap_servers`` means the embedded log."""

    bootstrap_servers: Brokers = ""  # HOST:PORT, separated by commas; empty: the embedded log
    group_id: str = "sreops"  # the worker's consumer group
    client_id: str = "sreops"  # how it names itself to the brokers
    partitions: int = Field(6, ge=1)  # of topics that are made at start; those that exist are never altered
    replication_factor: int = Field(1, ge=1)  # of topics that are made at start
    retention_ms: int = Field(7 * 24 * 3600 * 1000, ge=1000)  # of topics that are made at start
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str = ""
    sasl_password: OptionalSecret = None
    ssl_cafile: OptionalFile = None  # a private CA
    ssl_certfile: OptionalFile = None  # a client certificate, with its key
    ssl_keyfile: OptionalFile = None
    request_timeout_s: float = Field(5.0, gt=0)  # of one request to a broker
