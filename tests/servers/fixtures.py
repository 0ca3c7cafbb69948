"""Fixtures of the real servers; tests/conftest.py brings them to every test.

Started at first use, for the whole session: kafka, loki, postgres, dockerd. What a test did to one of
them (kill, pause, stop) is undone after it. Made per test, since each test wants its own configuration
and they start in a tenth of a second: prometheus_factory, alertmanager_factory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import ParamSpec, TypeVar

import pytest

from servers.alertmanager import Alertmanager
from servers.dockerd import Dockerd
from servers.installed import require
from servers.kafka import Kafka
from servers.loki import Loki
from servers.ports import free_port as a_free_port
from servers.postgres import Postgres
from servers.process import Server
from servers.prometheus import Prometheus

Given = ParamSpec("Given")
Made = TypeVar("Made", bound=Server)
_of_the_session: list[Server] = []


def _for_the_session(name: str, make: Callable[[], Made]) -> Iterator[Made]:
    require(name)
    server = make()
    with server:
        _of_the_session.append(server)
        try:
            yield server
        finally:
            _of_the_session.remove(server)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """Apache Kafka, one KRaft node; use topics and groups of your own, it is shared by the session."""
    yield from _for_the_session("kafka", Kafka)


@pytest.fixture(scope="session")
def loki() -> Iterator[Loki]:
    """Grafana Loki; use label values of your own, it is shared by the session."""
    yield from _for_the_session("loki", Loki)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL; `postgres.new_database("name")` gives a test one of its own."""
    yield from _for_the_session("postgres", Postgres)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """A Docker Engine of our own; containers that a test leaves are removed at the end of the session."""
    yield from _for_the_session("docker", Dockerd)


def _factory(name: str, server: Callable[Given, Made]) -> Iterator[Callable[Given, Made]]:
    require(name)
    with ExitStack() as started:

        def start(*args: Given.args, **kwargs: Given.kwargs) -> Made:
            made = server(*args, **kwargs)
            started.enter_context(made)
            return made

        yield start


@pytest.fixture
def prometheus_factory() -> Iterator[Callable[..., Prometheus]]:
    """Start a Prometheus: takes what the class takes, (targets, rules, alertmanagers)."""
    yield from _factory("prometheus", Prometheus)


@pytest.fixture
def alertmanager_factory() -> Iterator[Callable[..., Alertmanager]]:
    """Start an Alertmanager: takes what the class takes, (webhook_url, group_wait=..., ...)."""
    yield from _factory("alertmanager", Alertmanager)


@pytest.fixture(autouse=True)
def _servers_made_whole() -> Iterator[None]:
    """A test that fails between kill and restart must not take all later ones with it."""
    yield
    for server in list(_of_the_session):
        server.make_whole()


@pytest.fixture
def free_port() -> int:
    """A free port on 127.0.0.1; servers.ports.free_port() gives more."""
    return a_free_port()
