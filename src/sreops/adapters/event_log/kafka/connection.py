"""What every Kafka client of ours needs: connection options, and the reason where it can't connect."""

import asyncio
import ssl
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.helpers import create_ssl_context

from sreops.errors import EventLogUnavailable, SettingsInvalid
from sreops.settings import KafkaSettings

# aiokafka's assertions and None attributes are how it meets a cluster without brokers or controller
FOREIGN_ERRORS = (KafkaError, ConsumerStoppedError, OSError, TimeoutError, AssertionError, AttributeError)

CURE = (
    "Check SREOPS_KAFKA__BOOTSTRAP_SERVERS, that the broker runs and advertises an address reachable from here, "
    "and __SECURITY_PROTOCOL, __SASL_* and __SSL_*."
)


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options that producer, consumer and admin client share; raises SettingsInvalid."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "client_id": settings.client_id,
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": round(settings.request_timeout_s * 1000),
    }
    if settings.security_protocol.endswith("SSL"):
        try:
            options["ssl_context"] = create_ssl_context(
                cafile=settings.ssl_cafile, certfile=settings.ssl_certfile, keyfile=settings.ssl_keyfile
            )
        except (OSError, ssl.SSLError) as exc:
            files = f"{settings.ssl_cafile}, {settings.ssl_certfile}, {settings.ssl_keyfile}"
            problem = f"SREOPS_KAFKA__SSL_CAFILE, __SSL_CERTFILE, __SSL_KEYFILE ({files}) can't be loaded: {exc}"
            raise SettingsInvalid([problem]) from exc
    if settings.security_protocol.startswith("SASL"):
        if not settings.sasl_username or settings.sasl_password is None:
            protocol = settings.security_protocol
            raise SettingsInvalid([f"SREOPS_KAFKA__SASL_USERNAME and __SASL_PASSWORD are needed for {protocol}"])
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


def reason(exc: BaseException) -> str:
    """Say what an error of the library means, in one line."""
    text = " ".join(str(exc).split())[:300]
    return f"{type(exc).__name__}: {text}" if text and type(exc).__name__ not in text else text or type(exc).__name__


async def explain(settings: KafkaSettings, options: dict[str, Any], error: BaseException) -> EventLogUnavailable:
    """Return the error to raise where connecting failed, with the cause that the library only logs (credentials …)."""
    causes = []
    shared = {name: value for name, value in options.items() if name != "bootstrap_servers"}
    for host, port, _family in collect_hosts(settings.bootstrap_servers):
        try:
            async with asyncio.timeout(settings.request_timeout_s):
                connection = await create_conn(host, port, **shared)
                connection.close()
        except FOREIGN_ERRORS as exc:
            causes.append(f"{host}:{port}: {reason(exc)}")
    told = "; ".join(causes) or reason(error)
    return EventLogUnavailable(f"Kafka at {settings.bootstrap_servers} can't be used: {told}")
