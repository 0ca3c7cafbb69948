"""One sreops that is killed again and again on one data directory, each time in the middle of an incident."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from crash.commits import Rows, names_of
from crash.databases import Database, Stops, database_file
from crash.points import Point, Seen
from crash.world import Gate, Process, World, payload
from servers.waiting import eventually

KILL_TIMEOUT_S = 12.0
END_TIMEOUT_S = 60.0
QUIET_S = 2.5
"""A run in which nothing was committed for so long has come to its end (copies are written every 2 s)."""


@dataclass
class Outcome:
    """What became of the incident in whose middle sreops was killed."""

    point: Point
    killed: bool
    accepted: bool
    """Whether the alerts had been answered with 202 before the kill (else they were sent once more)."""
    end: str = ""
    restarts: int = 0
    issues: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Lineage:
    """A world, and the sreops in it, which ``opened`` starts."""

    def __init__(self, world: World, name: str, database: Database, settings: Mapping[str, str] | None = None) -> None:
        self.world = world
        self.name = name
        self.database = database
        self.sreops = Process({**world.settings(), **(settings or {})})
        self._incidents = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Lineage]:
        """Run it while the block runs."""
        try:
            async with self.database.serving(self._kill):
                self.sreops.settings.update(self.database.settings())
                await self.start()
                approving = asyncio.create_task(self._approve_all()) if self.world.asks else None
                try:
                    yield self
                finally:
                    if approving is not None:
                        approving.cancel()
                        await asyncio.gather(approving, return_exceptions=True)
        finally:
            await asyncio.to_thread(self.sreops.close)

    async def start(self) -> None:
        """Start it on what the last one left."""
        await asyncio.to_thread(self.sreops.start)

    async def _kill(self) -> None:
        await asyncio.to_thread(self.sreops.kill)

    async def reference(self) -> list[Seen]:
        """Run one incident without a kill; return its boundaries in their order, by the place where they are."""
        service = self._next_service()
        before = {place: self.database.snapshot(self.sreops, place) for place in self.database.places}
        seen: list[Seen] = []
        self.world.engine_gate.rearm()
        self.world.gitlab_gate.rearm()
        stops = self.database.stops(self.sreops)
        async with stops.stopping_at_commits():
            posting = asyncio.create_task(self._post(service))
            quiet_at_s = time.monotonic() + QUIET_S
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(max(0.0, quiet_at_s - time.monotonic())):
                        place = await stops.next_commit()
                    assert place is not None, "sreops has ended by itself"
                    now = await self._snapshot(place)
                    # what is looked for every second and not found changes nothing, and is committed all the same
                    if names := names_of(place, before[place], now):
                        seen.append(Seen(place, names))
                        quiet_at_s = time.monotonic() + QUIET_S
                    before[place] = now
                    stops.go_on()
        assert await posting, "the alerts of the run without a kill were not accepted"
        seen += [Seen("engine", (write,)) for write in self.world.engine_gate.seen]
        seen += [Seen("gitlab", (write,)) for write in self.world.gitlab_gate.seen]
        return seen

    async def survive(self, point: Point) -> Outcome:
        """Have an incident, kill sreops at the point, start it again, and judge how the incident ends."""
        began = time.monotonic()
        service = self._next_service()
        accepted = asyncio.Event()
        try:
            async with asyncio.timeout(KILL_TIMEOUT_S):
                await self._kill_at(point, service, accepted)
            killed = True
        except TimeoutError:
            killed = False
        outcome = Outcome(point, killed, accepted.is_set())
        await asyncio.to_thread(self.sreops.kill)
        await self.start()
        try:
            if not outcome.accepted:
                await eventually(lambda: self._post(service), 20, every_s=0.3, what="the alerts to be accepted")
            await self._judge(service, outcome)
        except AssertionError as exc:
            outcome.wrong.append(str(exc))
        outcome.seconds = time.monotonic() - began
        return outcome

    async def _approve_all(self) -> None:
        """Be the person who approves every plan, through every death of sreops."""
        async with httpx.AsyncClient(timeout=10) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError, ValueError, RuntimeError):
                    asked = {"status": "awaiting_approval"}
                    answer = await client.get(f"{self.sreops.url}/api/incidents", params=asked)
                    for one in answer.json()["items"]:
                        body = {"by": "crash", "reason": "because", "plan_hash": one["plan_hash"]}
                        await client.post(f"{self.sreops.url}/api/incidents/{one['id']}/approve", json=body)
                await asyncio.sleep(0.2)

    # --- the kill

    async def _kill_at(self, point: Point, service: str, accepted: asyncio.Event) -> None:
        if point.where in self.database.places:
            await self._kill_at_commit(point, service, accepted)
            return
        gate: Gate = {"engine": self.world.engine_gate, "gitlab": self.world.gitlab_gate}[point.where]
        dead = asyncio.Event()

        async def kill() -> None:
            await self._kill()
            dead.set()

        gate.rearm(point.number, point.moment, kill)
        try:
            if await self._post(service):
                accepted.set()
            await dead.wait()
        finally:
            gate.rearm()

    async def _kill_at_commit(self, point: Point, service: str, accepted: asyncio.Event) -> None:
        stops = self.database.stops(self.sreops)
        async with stops.stopping_at_commits():
            if point.moment == "before" and point.previous is None:
                await stops.kill_before_next_commit(point.where)
            posting = asyncio.create_task(self._post(service))
            try:
                if point.moment == "after":
                    await self._run_to(stops, point.where, point.name, point.nth)
                    await asyncio.to_thread(self.sreops.kill)
                elif point.previous is not None:
                    await self._run_to(stops, point.where, point.previous, point.previous_nth)
                    await stops.kill_before_next_commit(point.where)
                await eventually(self.sreops.ended_or_gone, KILL_TIMEOUT_S, what="the process to die")
            finally:
                if not posting.done():
                    await asyncio.to_thread(self.sreops.kill)
                if await posting:
                    accepted.set()

    async def _run_to(self, stops: Stops, place: str, wanted: str, nth: int) -> None:
        before = await self._snapshot(place)
        times = 0
        while (stopped_at := await stops.next_commit()) is not None:
            if stopped_at == place:
                now = await self._snapshot(place)
                times += names_of(place, before, now).count(wanted)
                before = now
                if times >= nth:
                    return
            stops.go_on()
        raise AssertionError("sreops has ended by itself")

    async def _snapshot(self, place: str) -> Rows:
        return await asyncio.to_thread(self.database.snapshot, self.sreops, place)

    # --- what comes of it

    def _next_service(self) -> str:
        self._incidents += 1
        service = f"{self.name}-{self._incidents}"
        self.world.add(service)
        return service

    async def _post(self, service: str) -> bool:
        """Send the alerts; whether they were accepted."""
        try:
            async with httpx.AsyncClient(timeout=30) as client:
                answer = await client.post(f"{self.sreops.url}/alerts", json=payload(service))
        except httpx.TransportError:
            return False
        return answer.status_code == 202

    async def _judge(self, service: str, outcome: Outcome) -> None:
        incident = await eventually(
            lambda: asyncio.to_thread(self._ended, service),
            END_TIMEOUT_S,
            every_s=0.1,
            what=f"the incident of {service} to end",
        )
        assert incident is not None
        await eventually(lambda: self._told(service, incident), 20, every_s=0.1, what="the issue to tell the end")
        outcome.end = incident["resolution"] or incident["reason"]
        outcome.restarts = self.world.restarts(service)
        outcome.issues = len(self.world.issues(service))
        outcome.wrong += await asyncio.to_thread(self._wrong, service, incident, outcome)

    def _ended(self, service: str) -> dict[str, Any] | None:
        try:
            return self.sreops.ended_incident_of(service)
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code == 503:  # PostgreSQL is reached a moment after the process serves
                return None
            raise

    def _told(self, service: str, incident: Mapping[str, Any]) -> bool:
        [issue] = self.world.issues(service)
        if incident["status"] == "resolved":
            return issue.state == "closed"
        return any("Escalated" in note.body for note in issue.notes)

    def _wrong(self, service: str, incident: Mapping[str, Any], outcome: Outcome) -> list[str]:
        wrong = []
        outcomes = [effect["outcome"] for effect in incident["effects"]]
        if incident["status"] == "resolved":
            if (incident["resolution"], outcome.restarts, outcomes) != ("fixed", 1, ["succeeded"]):
                wrong.append(f"resolved as {incident['resolution']}, {outcome.restarts} restarts, ledger {outcomes}")
        elif incident["reason"] != "outcome_unknown" or outcome.restarts > 1 or outcomes != ["unknown"]:
            wrong.append(f"escalated as {incident['reason']}, {outcome.restarts} restarts, ledger {outcomes}")
        if len(self.sreops.incidents(service=service)) != 1:
            wrong.append("more than one incident")
        if outcome.issues != 1:
            wrong.append(f"{outcome.issues} issues")
        twice = [
            body for body, times in Counter(n.body for n in self.world.issues(service)[0].notes).items() if times > 1
        ]
        wrong += [f"a note was written twice: {body[:80]!r}" for body in twice]
        logged = self.logged(service)
        known = [event["event_id"] for event in incident["events"]]
        if len(logged) < 2 or sorted(logged) != sorted(known):
            wrong.append(f"{len(logged)} events are in the log, {len(known)} in the incident")
        return wrong

    def logged(self, service: str) -> dict[str, str]:
        """Return the events of a service that are in the log: their fingerprints by their ids."""
        database = sqlite3.connect(f"file:{database_file(self.sreops.data_dir)}?mode=ro", uri=True)
        with contextlib.closing(database):
            query = "SELECT value FROM records WHERE topic = 'sre-critical' AND key = ?"
            rows = database.execute(query, (service.encode(),)).fetchall()
        events = [json.loads(value) for (value,) in rows]
        return {event["event_id"]: event["fingerprint"] for event in events}

    async def audit(self) -> str:
        """Return what is wrong with the audit trail, or nothing."""
        await asyncio.to_thread(self.sreops.stop)
        done = await self.sreops.run("audit", "verify", timeout_s=60)
        return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"
