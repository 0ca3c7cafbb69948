"""The addresses in the settings that sreops itself stands on: database, broker, the proxy of the engine's socket."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from sreops.adapters.sql.postgres import is_postgres, read_url
from sreops.domain.remediation.protection import OwnAddress
from sreops.settings import Settings

_POSTGRES_PORT, _KAFKA_PORT, _DOCKER_PORT = 5432, 9092, 2375


def own_addresses(settings: Settings) -> tuple[OwnAddress, ...]:
    """Return them, each with the setting that names it; what is reached through a socket's file has none."""
    return (*_database(settings), *_broker(settings), *_engine(settings))


def _database(settings: Settings) -> Iterator[OwnAddress]:
    if not is_postgres(settings.database_url):
        return
    url = read_url(settings.database_url)
    named = url.query.get("host", ())  # how several hosts of one database are written
    hosts = [*([f"{_bracketed(url.host)}:{url.port or _POSTGRES_PORT}"] if url.host else [])]
    hosts += (named if isinstance(named, str) else ",".join(named)).split(",")
    for host in hosts:
        if host and not host.startswith("/"):
            yield _address("the database", "SREOPS_DATABASE_URL", host, url.port or _POSTGRES_PORT)


def _broker(settings: Settings) -> Iterator[OwnAddress]:
    for server in settings.kafka.bootstrap_servers.split(","):
        if server.strip():
            yield _address("the broker", "SREOPS_KAFKA__BOOTSTRAP_SERVERS", server.strip(), _KAFKA_PORT)


def _engine(settings: Settings) -> Iterator[OwnAddress]:
    named = {"SREOPS_DOCKER__HOST": settings.docker.host}
    named |= {f"SREOPS_DOCKER__HOSTS, {name}": address for name, address in settings.docker.hosts.items()}
    for setting, address in named.items():
        parts = urlsplit(address or "")
        if parts.hostname:
            yield _address("the proxy of the engine's socket", setting, parts.netloc, _DOCKER_PORT)


def _address(what: str, setting: str, host: str, port: int) -> OwnAddress:
    try:
        parts = urlsplit(f"//{host}")
        found, given = parts.hostname or "", parts.port
    except ValueError:  # what it should be instead is for whoever connects to it to say
        found, given = host, None
    return OwnAddress(what=what, setting=setting, host=found, port=given or port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
