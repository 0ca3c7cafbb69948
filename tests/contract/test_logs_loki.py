"""A real Loki keeps the contract."""

import pytest

from contract.logs_suite import LogsContract


@pytest.mark.needs("loki")
class TestLoki(LogsContract):
    @pytest.fixture
    def url(self, loki):
        return loki.url

    @pytest.fixture
    def push(self, loki):
        return loki.push

    def stores(self, value):
        # its push parses labels with a lexer that takes a raw U+FFFD for broken UTF-8; queries may hold it escaped
        return "\ufffd" not in value
