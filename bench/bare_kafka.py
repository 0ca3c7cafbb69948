"""The least that answers durably: starlette, json, aiokafka with acks=all; the limit that ingest is held against."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TOPIC = "bare"
producer: AIOKafkaProducer


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    global producer
    producer = AIOKafkaProducer(bootstrap_servers=os.environ["BOOTSTRAP"], acks="all")
    await producer.start()
    yield
    await producer.stop()


async def alerts(request: Request) -> JSONResponse:
    payload = json.loads(await request.body())
    sent = [
        await producer.send(TOPIC, json.dumps(alert).encode(), key=alert["labels"]["service"].encode())
        for alert in payload["alerts"]
    ]
    await asyncio.gather(*sent)
    return JSONResponse({"queued": len(sent)}, 202)


async def ready(_: Request) -> JSONResponse:
    return JSONResponse({})


app = Starlette(routes=[Route("/alerts", alerts, methods=["POST"]), Route("/livez", ready)], lifespan=lifespan)
