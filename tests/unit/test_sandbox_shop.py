import asyncio
from dataclasses import dataclass, field

import pytest

from sreops.sandbox.clock import ManualClock
from sreops.sandbox.docker.engine import DockerEngine
from sreops.sandbox.loki.server import Loki
from sreops.sandbox.prometheus.server import Prometheus
from sreops.sandbox.promql.engine import Engine
from sreops.sandbox.promql.parser import parse
from sreops.sandbox.shop.shop import Shop

RATIO = (
    'sum(rate(http_requests_total{{service="{0}",status=~"5.."}}[1m]))'
    ' / sum(rate(http_requests_total{{service="{0}"}}[1m]))'
)


@dataclass
class Street:
    """A shop in a world without HTTP, whose time a test moves."""

    clock: ManualClock = field(default_factory=ManualClock)
    seed: int = 7

    def __post_init__(self) -> None:
        self.loki = Loki(self.clock)
        self.prometheus = Prometheus(self.clock, scrape_interval_s=5)
        self.engine = DockerEngine(self.clock)
        self.shop = Shop(self.clock, self.loki, self.prometheus, self.engine, seed=self.seed)

    def value(self, query: str) -> float:
        (point,) = Engine(self.prometheus.store).vector(parse(query), self.clock.time())
        return point.value

    def firing(self) -> set[tuple[str, str]]:
        return {
            (alert.labels["alertname"], alert.labels.get("service") or alert.labels["name"])
            for alert in self.prometheus.alerts()
            if alert.state == "firing"
        }

    def lines(self, service: str, text: str = "") -> list[str]:
        return [line for _, line in self._entries(service) if text in line]

    def stamps(self, service: str, text: str) -> list[int]:
        """When the lines with this text were written, ns since the epoch."""
        return [ts_ns for ts_ns, line in self._entries(service) if text in line]

    def _entries(self, service: str) -> list[tuple[int, str]]:
        streams = self.loki._streams("fake").series([], 0, self.clock.time_ns() + 1)
        return [entry for stream in streams if stream.labels["service"] == service for entry in stream.entries]

    def health(self, service: str) -> str:
        found = self.engine.find(service)
        assert found is not None
        return found.health_name

    def pass_time(self, seconds: int) -> None:
        for _ in range(0, seconds, 5):
            self.clock.advance(5)
            self.shop.step()

    async def restart(self, service: str) -> None:
        found = self.engine.find(service)
        assert found is not None
        restarting = asyncio.ensure_future(self.engine.restart(found, 10))
        while not restarting.done():
            await asyncio.sleep(0)
            self.clock.advance(0.2)
        await restarting


@pytest.fixture
def street() -> Street:
    return Street()


async def test_a_shop_that_is_well_has_a_past_and_nothing_firing(street: Street) -> None:
    street.shop.open()
    assert street.firing() == set()
    assert sum(len(street.lines(service)) for service in street.shop.services) > 5000
    for service in street.shop.services:
        assert street.health(service) == "healthy"
        assert street.value(RATIO.format(service) + " or vector(0)") < 0.05
    assert street.value('count(up{job!="cadvisor"} == 1)') == 6
    assert street.value("histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))") < 0.5


async def test_a_leak_shows_everywhere_and_a_restart_clears_it(street: Street) -> None:
    street.shop.leak("payments", full_in_s=-60)
    street.shop.open()
    share = 'container_memory_working_set_bytes{name="payments"} / container_spec_memory_limit_bytes{name="payments"}'
    assert street.value(share) > 0.95
    assert street.value(RATIO.format("payments")) > 0.2
    assert len(street.lines("payments", "java.lang.OutOfMemoryError: Java heap space")) == 1
    assert len(street.lines("payments", "Pause Full")) > 10
    assert len(street.lines("payments")) > 1500
    assert street.lines("checkout", "upstream payments answered 500")
    assert street.health("payments") == "unhealthy"
    assert street.firing() == {("HighErrorRate", "payments"), ("MemoryNearLimit", "payments")}
    await street.restart("payments")
    street.pass_time(120)
    assert street.value(share) < 0.5
    assert street.health("payments") == "healthy"
    assert street.firing() == set()


async def test_a_wedge_needs_a_restart_and_gets_well_by_it(street: Street) -> None:
    street.shop.open(60)
    street.shop.wedge("inventory")
    street.pass_time(120)
    assert street.health("inventory") == "unhealthy"
    assert street.value(RATIO.format("inventory")) > 0.8
    assert street.lines("inventory", "Found one Java-level deadlock")
    await street.restart("inventory")
    street.pass_time(120)
    assert street.health("inventory") == "healthy"
    assert street.firing() == set()


async def test_a_full_disk_outlives_a_restart_until_somebody_frees_it(street: Street) -> None:
    street.shop.open(60)
    street.shop.fill_disk()
    street.pass_time(120)
    assert street.firing() == {("HighErrorRate", "ledger-db"), ("DiskFull", "ledger-db")}
    assert street.lines("ledger-db", "No space left on device")
    await street.restart("ledger-db")
    street.pass_time(120)
    assert street.health("ledger-db") == "unhealthy"
    assert ("HighErrorRate", "ledger-db") in street.firing()
    street.shop.cure("ledger-db")
    street.pass_time(120)
    assert street.firing() == set()


async def test_a_blip_passes_by_itself(street: Street) -> None:
    street.shop.open(60)
    street.shop.blip("storefront", lasts_s=60)
    street.pass_time(45)
    assert street.firing() == {("HighErrorRate", "storefront")}
    street.pass_time(150)
    assert street.firing() == set()


@pytest.mark.parametrize("seed", range(20))
def test_no_line_of_a_trouble_is_older_than_the_trouble(seed: int) -> None:
    street = Street(seed=seed)
    street.shop.open(60)
    street.clock.advance(4)
    began_ns = street.clock.time_ns()
    street.shop.spoil("recommendations")
    street.clock.advance(1)
    street.pass_time(10)
    stamps = street.stamps("recommendations", "TypeError")
    assert stamps
    assert min(stamps) >= began_ns


async def test_one_service_is_not_for_sreops_to_touch(street: Street) -> None:
    street.shop.open(10)
    labels = {name: one.labels for name in street.shop.services if (one := street.engine.find(name)) is not None}
    assert [name for name, own in labels.items() if own.get("sreops.enable") != "true"] == ["recommendations"]
    assert labels["checkout"]["com.docker.compose.depends_on"] == (
        "payments:service_started:false,inventory:service_started:false"
    )


async def test_a_stopped_service_is_down_for_prometheus(street: Street) -> None:
    street.shop.open(60)
    found = street.engine.find("checkout")
    assert found is not None
    street.engine.crash(found, 1)
    assert found.running
    await street.engine.kill(found, 9)
    street.pass_time(10)
    assert street.value('up{job="checkout"}') == 0
    assert street.value('absent(container_last_seen{name="checkout"})') == 1


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = Street(), Street()
    for street in (first, second):
        street.shop.open(120)
    assert first.lines("payments") == second.lines("payments")
