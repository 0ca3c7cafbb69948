"""Which addresses in the settings sreops itself stands on."""

import pytest

from sreops.adapters.docker.own_place import OwnPlace, is_of_this_machine, look_up, own_ids
from sreops.app.own_addresses import own_addresses
from sreops.domain.remediation.protection import OwnAddress
from sreops.settings import load_settings


def addresses(**settings: object) -> list[tuple[str, int]]:
    return [(one.host, one.port) for one in own_addresses(load_settings(**settings))]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://me:pw@db:5433/sreops", [("db", 5433)]),
        ("postgres://db/sreops", [("db", 5432)]),
        ("postgresql://me@[fd00::5]/sreops", [("fd00::5", 5432)]),
        ("postgresql://me@/sreops?host=a:5433,b", [("a", 5433), ("b", 5432)]),
        ("postgresql://me@/sreops?host=/var/run/postgresql", []),
        ("", []),
    ],
)
def test_the_databases(url: str, found: list[tuple[str, int]]) -> None:
    assert addresses(database_url=url) == found


def test_the_brokers_and_the_proxy_of_the_socket() -> None:
    kafka = {"bootstrap_servers": "redpanda:9092, [::1]:19092,kafka"}
    assert addresses(kafka=kafka) == [("redpanda", 9092), ("::1", 19092), ("kafka", 9092)]
    assert addresses(docker={"host": "tcp://socket-proxy:2376"}) == [("socket-proxy", 2376)]
    assert addresses(docker={"host": "http://socket-proxy"}) == [("socket-proxy", 2375)]
    assert addresses(docker={"host": "unix:///run/docker.sock"}) == []


def test_the_container_that_a_process_runs_in_is_read_from_its_mounts() -> None:
    own = "ab" * 32
    mounts = (
        f"735 720 254:1 /var/lib/docker/containers/{own}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw\n"
        f"736 720 254:1 /mnt/data/containers/{'cd' * 32}/json.log /logs/one rw - ext4 /dev/vda1 rw\n"
    )
    assert own_ids(mounts) == {own}
    assert own_ids("25 30 0:23 / /sys rw,nosuid - sysfs sysfs rw\n") == frozenset()


async def test_names_are_looked_up_once_a_minute_and_what_failed_at_once_again() -> None:
    asked: list[str] = []

    async def resolve(host: str) -> frozenset[str]:
        asked.append(host)
        return frozenset({"10.0.0.5"}) if host == "db" else frozenset()

    database = OwnAddress(what="the database", setting="SREOPS_DATABASE_URL", host="db", port=5432)
    place = OwnPlace((database,), resolve=resolve)
    for _ in range(2):
        [address] = await place.resolved()
        assert address.ips == {"10.0.0.5"}
        assert await place.ips_of("gone") == frozenset()
    assert asked == ["db", "gone", "gone"]


async def test_an_address_needs_no_looking_up_and_a_name_without_one_is_none() -> None:
    assert await look_up("10.0.0.5") == {"10.0.0.5"}
    assert await look_up("no-such-host.invalid") == frozenset()
    assert await look_up("\udcff") == frozenset()


def test_which_addresses_are_this_machines() -> None:
    assert is_of_this_machine("127.0.0.1")
    assert not is_of_this_machine("8.8.4.4")
