"""Kafka keeps the same contract as the embedded log."""

import uuid
from contextlib import asynccontextmanager

import pytest

from contract.event_log_suite import EventLogContract, started
from sreops.adapters.event_log.kafka import KafkaEventLog
from sreops.settings import KafkaSettings


def topics_of_this_test():
    suffix = uuid.uuid4().hex[:8]
    return tuple(f"{name}-{suffix}" for name in EventLogContract.topics)


@pytest.mark.needs("kafka")
class TestKafkaEventLog(EventLogContract):
    @pytest.fixture
    def names(self):
        return self.own_names

    @pytest.fixture
    async def log(self, kafka):
        self.settings = KafkaSettings(bootstrap_servers=kafka.bootstrap, partitions=3)
        self.own_names = topics_of_this_test()
        async with started(KafkaEventLog(self.settings, self.own_names)) as opened:
            yield opened

    @asynccontextmanager
    async def reopened(self, log):
        await log.stop()
        async with started(KafkaEventLog(self.settings, self.own_names)) as again:
            yield again
