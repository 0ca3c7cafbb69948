"""A real Prometheus keeps the contract."""

import asyncio
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from contract.metrics_suite import MetricsContract
from servers.prometheus import Prometheus
from servers.waiting import poll

EXPOSED = """\
lively{service="shop",part="a"} %(n)d
lively{service="shop",part="b"} %(n)d
odd{service="shop",kind="nan"} NaN
odd{service="shop",kind="inf"} +Inf
odd{service="shop",kind="ninf"} -Inf
jobs_total{service="shop"} %(n)d
"""
RULES = [
    {"alert": "Firing", "expr": 'lively{part="a"} > 0', "labels": {"severity": "critical"}},
    {"alert": "Quiet", "expr": "lively < 0"},
    {"alert": "Broken", "expr": "lively * on (service) group_left lively"},
]


class _Target(BaseHTTPRequestHandler):
    scrapes = 0

    def do_GET(self) -> None:
        type(self).scrapes += 1
        body = (EXPOSED % {"n": self.scrapes}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def prometheus():
    target = ThreadingHTTPServer(("127.0.0.1", 0), _Target)
    thread = threading.Thread(target=target.serve_forever, daemon=True)
    thread.start()
    with Prometheus({"shop": [f"127.0.0.1:{target.server_address[1]}"]}, RULES) as server:
        poll(lambda: server.value('ALERTS{alertname="Firing",alertstate="firing"}'), 30, what="the alert to fire")
        poll(lambda: (server.value("jobs_total") or 0) >= 5, 30, what="five scrapes")
        poll(lambda: server.value("prometheus_rule_evaluation_failures_total") != 0, 1, what="rules to be evaluated")
        yield server
    target.shutdown()
    thread.join()


@pytest.mark.needs("prometheus")
class TestPrometheus(MetricsContract):
    @pytest.fixture
    def url(self, prometheus):
        return prometheus.url

    @pytest.fixture
    def now(self):
        return datetime.now(UTC)

    @pytest.fixture(autouse=True)
    async def _let_the_loop_start(self):
        await asyncio.sleep(0)
