import asyncio
import json
from typing import Any

import aiodocker
import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sreops.sandbox.server import Server
from sreops.sandbox.world import World


class Receiver:
    """What sreops is for the world: somebody who takes webhooks."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.server = Server(Starlette(routes=[Route("/alerts", self.take, methods=["POST"])]))

    async def take(self, request: Request) -> JSONResponse:
        self.got.put_nowait({"body": json.loads(await request.body()), "headers": dict(request.headers)})
        return JSONResponse({"status": "accepted"}, 202)


async def test_every_address_in_the_settings_answers() -> None:
    async with World(past_s=120) as world, httpx.AsyncClient(timeout=10) as client:
        settings = world.settings()
        ready = await client.get(f"{settings['SREOPS_LOKI__URL']}/ready")
        assert ready.status_code == 200
        lines = await client.get(
            f"{settings['SREOPS_LOKI__URL']}/loki/api/v1/query_range",
            params={"query": '{container="payments"}', "limit": 500},
        )
        assert len(lines.json()["data"]["result"]) > 0
        up = await client.get(f"{settings['SREOPS_PROMETHEUS__URL']}/api/v1/query", params={"query": "count(up == 1)"})
        assert up.json()["data"]["result"][0]["value"][1] == "7"
        project = await client.get(
            f"{settings['SREOPS_GITLAB__URL']}/api/v4/projects/ops%2Fincidents",
            headers={"PRIVATE-TOKEN": settings["SREOPS_GITLAB__TOKEN"]},
        )
        assert project.status_code == 200
        models = await client.get(
            f"{settings['SREOPS_LLM__BASE_URL']}/v1/models",
            headers={
                "Authorization": f"Bearer {settings['SREOPS_LLM__API_KEY']}",
                "anthropic-version": "2026-10-21",
            },
        )
        assert models.status_code == 200
        proxied = await client.get(
            f"{settings['SREOPS_GRAFANA__URL']}/api/datasources/proxy/uid/prometheus/api/v1/query",
            params={"query": "count(up == 1)"},
            headers={"Authorization": f"Bearer {settings['SREOPS_GRAFANA__TOKEN']}"},
        )
        assert proxied.json() == {**up.json(), "data": proxied.json()["data"]}
        async with aiodocker.Docker(url=settings["SREOPS_DOCKER__HOST"]) as docker:
            filters = json.dumps({"label": ["sreops.enable=true"]})
            names = {one["Names"][0] for one in await docker.containers.list(filters=filters)}
        assert names == {"/storefront", "/checkout", "/payments", "/inventory", "/ledger-db"}
        assert "SREOPS_LOKI__URL" not in world.settings(through_grafana=True)


async def test_fire_and_resolve_are_grafana_s_webhooks_of_one_episode() -> None:
    receiver = Receiver()
    async with World(past_s=30) as world, receiver.server:
        assert world.grafana is not None
        url = f"{receiver.server.url}/alerts"
        alert = world.alert("HighErrorRate", "payments", runbook_id="restart-leaking")
        assert (await world.fire(alert, url, {"Authorization": "Bearer x"})).status_code == 202
        assert [one.fingerprint for one in world.grafana.alerts] == [alert.fingerprint]
        await world.resolve(alert, url)
        assert world.grafana.alerts == []
        fired, resolved = receiver.got.get_nowait(), receiver.got.get_nowait()
        assert fired["headers"]["authorization"] == "Bearer x"
        body, (first,), (last,) = fired["body"], fired["body"]["alerts"], resolved["body"]["alerts"]
        assert (body["version"], body["status"], resolved["body"]["status"]) == ("1", "firing", "resolved")
        assert first["labels"]["runbook_id"] == "restart-leaking"
        assert first["endsAt"] == "0001-01-01T00:00:00Z"
        assert (last["fingerprint"], last["startsAt"]) == (first["fingerprint"], first["startsAt"])
        assert last["endsAt"] > last["startsAt"]


async def test_rules_that_fire_are_sent_and_their_end_too() -> None:
    receiver = Receiver()
    async with World(past_s=90, scrape_interval_s=1, window="5s") as world, receiver.server:
        world.prometheus.set_alert("HighErrorRate", {"service": "payments", "severity": "critical"})
        world.prometheus.set_alert("MemoryNearLimit", {"name": "payments", "severity": "warning"})
        notifying = asyncio.create_task(world.notify(f"{receiver.server.url}/alerts", every_s=0.05))
        fired = await asyncio.wait_for(receiver.got.get(), 10)
        world.prometheus.set_alert("HighErrorRate", {"service": "payments", "severity": "critical"}, None)
        resolved = await asyncio.wait_for(receiver.got.get(), 10)
        notifying.cancel()
        assert [got["body"]["status"] for got in (fired, resolved)] == ["firing", "resolved"]
        assert fired["body"]["alerts"][0]["labels"]["container"] == "payments"
        assert receiver.got.empty()


async def test_a_dependency_can_be_taken_away_and_given_back() -> None:
    async with World(past_s=30, claude=False, gitlab=False, grafana=False) as world, httpx.AsyncClient() as client:
        url = world.settings()["SREOPS_PROMETHEUS__URL"]
        assert "SREOPS_GITLAB__URL" not in world.settings()
        await world.servers["prometheus"].stop()
        try:
            await client.get(f"{url}/-/ready")
        except httpx.ConnectError:
            refused = True
        else:
            refused = False
        assert refused
        await world.servers["prometheus"].start()
        assert (await client.get(f"{url}/-/ready")).status_code == 200


async def test_a_restart_over_the_socket_cures_what_it_can() -> None:
    world = World(past_s=600, scrape_interval_s=1, window="5s")
    world.shop.leak("payments", full_in_s=-30, fills_in_s=300)
    async with world:
        async with aiodocker.Docker(url=world.settings()["SREOPS_DOCKER__HOST"]) as docker:
            (listed,) = await docker.containers.list(filters=json.dumps({"name": ["^/payments$"]}))
            before = await listed.show()
            assert before["State"]["Health"]["Status"] == "unhealthy"
            await listed.restart(t=5)
            after = await listed.show()
        assert after["State"]["StartedAt"] > before["State"]["StartedAt"]
        assert world.shop.services["payments"].ailments[0].cured_at is not None
