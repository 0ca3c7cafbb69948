"""The demo's acts: what is shown, and what was promised of each."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from rich.console import Console
from rich.text import Text

from sreops.domain.text.printable import printable
from sreops.sandbox.webhook import FiredAlert
from sreops.sandbox.world import World

_ACT_S = 60.0
APPROVE_AFTER_S = 5.0
_ISSUE_S = 5.0
_SHOWS_S = 60.0
_FAILING = (
    'sum(rate(http_requests_total{service="%s",status=~"5.."}[5m]))'
    ' / sum(rate(http_requests_total{service="%s"}[5m])) > 0.05'
)
_COLOURS = {
    "consume_event": "bright_white",
    "create_gitlab_issue": "blue",
    "enrich_context": "cyan",
    "analyze_root_cause": "magenta",
    "match_runbook": "yellow",
    "await_approval": "bold yellow",
    "execute_remediation": "bold red",
    "verify_success": "green",
    "close_or_escalate": "bold green",
}


ROLL_BACK = """
  - id: roll-back-recommendations
    title: Roll back a bad deployment of recommendations
    when: {root_cause: ["^bad_deploy$"], subject: {name: recommendations}}
    autonomy: supervised
    steps:
      - action: rollback_deployment
        params: {project: shop/recommendations, environment: production}
        timeout_s: 60
    verify:
      - promql: >-
          sum(rate(http_requests_total{service="{{ service }}", status=~"5.."}[1m]))
          / sum(rate(http_requests_total{service="{{ service }}"}[1m]))
        condition: "< 0.05"
"""
"""The demo's own runbook, for the file of those that ship."""


class Hospital(Protocol):
    """The real engine's side of ``--docker``: its patient's name and how often it was restarted."""

    host: str
    patient: str

    async def restarts(self) -> int:
        """Return how often the engine restarted the patient."""
        ...


@dataclass
class Act:
    """One incident of the demo: its promises, and which of them were broken."""

    title: str
    service: str
    incident: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def promise(self, what: str, kept: object) -> None:
        """Note a promise that was not kept."""
        if not kept:
            self.broken.append(what)

    def row(self) -> tuple[str, str, str, str, str]:
        """Return the act's line of the summary."""
        incident = self.incident
        if not incident:
            return (self.title, "", "", "it did not come to its end", "")
        done = (
            ", ".join(f"{effect['action']} {effect['target']}: {effect['outcome']}" for effect in incident["effects"])
            or "nothing"
        )
        end = f"{incident['status']}: {incident['resolution'] or incident['reason']}"
        confidence = (
            f" ({incident['confidence']:.2f}, {incident['analyst']})" if incident["confidence"] is not None else ""
        )
        issue = f"#{incident['issue']['iid']}" if incident["issue"] else "kept locally"
        return (self.title, f"{incident['root_cause'] or 'none'}{confidence}", done, end, issue)


@dataclass
class Stage:
    """Where the acts play: the world, sreops' API, and the terminal."""

    world: World
    console: Console
    client: httpx.AsyncClient
    url: str
    hospital: Hospital | None = None
    sender_headers: Mapping[str, str] = field(default_factory=dict)
    approve_after_s: float = APPROVE_AFTER_S
    _told: set[int] = field(default_factory=set)

    async def tell(self) -> None:
        """Print thoughts as they come over the event stream, until cancelled."""
        last = "0"
        while True:
            with contextlib.suppress(httpx.HTTPError):
                headers = {"Last-Event-ID": last}
                async with self.client.stream("GET", "/events?kind=thought", headers=headers, timeout=None) as answer:
                    async for line in answer.aiter_lines():
                        if line.startswith("id:"):
                            last = line[3:].strip()
                        elif line.startswith("data:"):
                            self._tell_once(json.loads(line[5:]))
            await asyncio.sleep(0.2)

    def _tell_once(self, thought: dict[str, Any]) -> None:
        seq = int(thought["seq"])
        if seq in self._told:
            return
        self._told.add(seq)
        node = str(thought.get("node", ""))
        line = Text(f"{str(thought.get('at', ''))[11:19]}  ", style="dim")
        line.append(f"{node:<20} ", style=_COLOURS.get(node, ""))
        text = " ".join(str(thought.get("text", "")).split())
        line.append(printable(text) if len(text) <= 220 else printable(text[:219]) + "…")
        self.console.print(line)

    async def fire(self, alert: FiredAlert) -> None:
        """Send the alert as Grafana would; a refusal ends the demo."""
        answer = await self.world.fire(alert, f"{self.url}/alerts", self.sender_headers)
        answer.raise_for_status()

    async def resolve(self, alert: FiredAlert) -> None:
        """Send the alert's end as Grafana would."""
        await self.world.resolve(alert, f"{self.url}/alerts", self.sender_headers)

    async def incident(self, service: str) -> dict[str, Any]:
        """Return the newest incident of a service with its details, or nothing."""
        answer = await self.client.get("/api/incidents", params={"service": service, "limit": 1})
        answer.raise_for_status()
        items = answer.json()["items"]
        if not items:
            return {}
        details: dict[str, Any] = (await self.client.get(f"/api/incidents/{items[0]['id']}")).json()
        return details

    async def until(self, service: str, reached: Callable[[dict[str, Any]], bool], within_s: float) -> dict[str, Any]:
        """Return the incident once it has come so far, or as it stands when the time is over."""
        found: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not ((found := await self.incident(service)) and reached(found)):  # noqa: ASYNC110  # asked over HTTP
                    await asyncio.sleep(0.2)
        return found

    async def ended(self, service: str) -> dict[str, Any]:
        """Return the incident once it has ended and all that it thought is told.

        The stream follows the store by a moment: what it has not brought by now would come after the act's end, or,
        of the last act, never.
        """
        found = await self.until(service, lambda found: found["status"] in ("resolved", "escalated"), _ACT_S)
        for thought in found.get("thoughts", ()):
            self._tell_once(thought)
        return found


def fall_ill(world: World) -> None:
    """Make the shop's past such that two services are in trouble when it opens."""
    world.shop.leak("payments", full_in_s=-20, fills_in_s=1200)
    world.shop.wedge("inventory", in_s=-120)


async def acts(stage: Stage, *, only_first: bool) -> list[Act]:
    """Play the acts one after another."""
    played = [await _leak(stage)]
    if not only_first:
        played += [await _approval(stage), await _refusal(stage), await _bad_deploy(stage)]
    return played


def _rule(stage: Stage, text: str) -> None:
    stage.console.rule(f"[bold]{text}", align="left")


async def _leak(stage: Stage) -> Act:
    service = stage.hospital.patient if stage.hospital else "payments"
    act = Act("1. a memory leak", service)
    _rule(stage, f"1. {service} leaks memory: sreops may act alone (tier autonomous)")
    # of the real engine's patient the one rule that there is: once it no longer holds, Grafana's alert is over
    alert = stage.world.alert("MemoryNearLimit" if stage.hospital else "HighErrorRate", service)
    await stage.fire(alert)
    act.incident = found = await stage.ended(service)
    restarts = [effect for effect in found.get("effects", ()) if effect["action"] == "restart_container"]
    act.promise("an incident", found)
    act.promise("the decisive log line as evidence", "OutOfMemoryError" in _evidence_text(found))
    act.promise("the cause", found.get("category") in ("out_of_memory", "memory_leak"))
    act.promise("a runbook", found.get("runbook_id"))
    act.promise("exactly one restart", [effect["outcome"] for effect in restarts] == ["succeeded"])
    act.promise("verified by the metric coming down", found.get("verification") == "fixed")
    act.promise("the incident resolved", found.get("resolution") == "fixed")
    act.promise("the issue closed", await _issue_becomes(stage, found, "closed"))
    if stage.hospital is not None:
        act.promise("one restart in the real engine", await stage.hospital.restarts() == 1)
    await stage.resolve(alert)
    return act


async def _approval(stage: Stage) -> Act:
    act = Act("2. a deadlock", "inventory")
    _rule(stage, "2. inventory is wedged: a person must approve (tier supervised)")
    alert = stage.world.alert("HighErrorRate", "inventory", tier="supervised")
    await stage.fire(alert)
    waiting = await stage.until("inventory", lambda found: found["status"] == "awaiting_approval", _ACT_S)
    asked = waiting.get("status") == "awaiting_approval"
    act.promise("it waited for an approval", asked)
    act.promise("nothing was done before it", asked and not waiting["effects"])
    if asked:
        link = f"{stage.url}/incidents/{waiting['id']}"
        stage.console.print(
            f"[bold yellow]Approve it at {link} (or wait: in {stage.approve_after_s:g} s the demo does)[/]"
        )
        stage.world.shop.fill_disk("ledger-db")  # the third act's trouble begins meanwhile
        still = await stage.until(
            "inventory", lambda found: found["status"] != "awaiting_approval", stage.approve_after_s
        )
        if still.get("status") == "awaiting_approval":
            body = {"by": "the demo", "reason": "nobody was at the page", "plan_hash": waiting["plan_hash"]}
            await stage.client.post(f"/api/incidents/{waiting['id']}/approve", json=body)
    act.incident = found = await stage.ended("inventory")
    act.promise("exactly one restart", [effect["outcome"] for effect in found.get("effects", ())] == ["succeeded"])
    act.promise("the incident resolved", found.get("resolution") == "fixed")
    act.promise("the issue closed", await _issue_becomes(stage, found, "closed"))
    await stage.resolve(alert)
    return act


async def _refusal(stage: Stage) -> Act:
    act = Act("3. a full disk", "ledger-db")
    _rule(stage, "3. ledger-db has no space left: a restart would not help, so sreops hands it over")
    if stage.world.deploys is not None:
        stage.world.deploys.deploy_bad()  # the fourth act's trouble begins meanwhile
    await stage.fire(stage.world.alert("DiskFull", "ledger-db", tier="autonomous"))
    act.incident = found = await stage.ended("ledger-db")
    act.promise("handed over", found.get("status") == "escalated")
    act.promise("nothing was done", found and not found["effects"])
    act.promise("the cause", found.get("category") == "disk_full")
    account = ((found.get("decision") or {}).get("handover") or "") if found else ""
    act.promise("an account with what to do next", "What to do next" in account)
    act.promise("the issue open and on-call's", await _issue_becomes(stage, found, "opened"))
    for line in [text for text in account.splitlines() if text.strip()][:14]:
        stage.console.print(Text(f"   │ {line[:160]}", style="dim"))
    return act


async def _bad_deploy(stage: Stage) -> Act:
    act, service = Act("4. a bad deployment", "recommendations"), "recommendations"
    _rule(stage, "4. recommendations fails since a deployment: the change is named, a person approves the way back")
    act.promise("what it broke shows", await _requests_fail(stage, service))
    alert = stage.world.alert("HighErrorRate", service, tier="supervised")
    await stage.fire(alert)
    waiting = await stage.until(service, lambda found: found["status"] == "awaiting_approval", _ACT_S)
    asked = waiting.get("status") == "awaiting_approval"
    act.promise("it waited for an approval", asked)
    act.promise("nothing was done before it", asked and not waiting["effects"])
    act.promise("the cause", waiting.get("category") == "bad_deploy")
    act.promise("the change and its author as evidence", "by alice: Show prices" in _evidence_text(waiting))
    if asked:
        body = {"by": "the demo", "reason": "it broke with the deployment", "plan_hash": waiting["plan_hash"]}
        await stage.client.post(f"/api/incidents/{waiting['id']}/approve", json=body)
    act.incident = found = await stage.ended(service)
    done = [(effect["action"], effect["outcome"]) for effect in found.get("effects", ())]
    act.promise("exactly one rollback", done == [("rollback_deployment", "succeeded")])
    deploys = stage.world.deploys
    act.promise("the version before it runs again", deploys is not None and deploys.shipped[-1] == deploys.shipped[-3])
    act.promise("verified by the errors going away", found.get("verification") == "fixed")
    act.promise("the issue closed", await _issue_becomes(stage, found, "closed"))
    await stage.resolve(alert)
    return act


async def _requests_fail(stage: Stage, service: str) -> bool:
    """Wait until more than 5 % of the service's requests of five minutes failed, which sreops will look at."""
    query = {"query": _FAILING.replace("%s", service)}
    async with httpx.AsyncClient(base_url=stage.world.servers["prometheus"].url, trust_env=False) as prometheus:
        for _ in range(int(_SHOWS_S)):
            if (await prometheus.get("/api/v1/query", params=query)).json()["data"]["result"]:
                return True
            await asyncio.sleep(1)
    return False


def _evidence_text(found: dict[str, Any]) -> str:
    return "\n".join(f"{item['finding']}\n{item['text']}" for item in found.get("evidence", ()))


async def _issue_becomes(stage: Stage, found: dict[str, Any], state: str) -> bool:
    """Say whether the tracker's issue comes to this state; it follows the incident's end by a moment."""
    issue = found.get("issue") or {}
    tracker = stage.world.gitlab
    for _ in range(int(_ISSUE_S / 0.2)):
        if tracker is not None and any(
            tracked.iid == issue.get("iid") and tracked.state == state for tracked in tracker.issues
        ):
            return True
        await asyncio.sleep(0.2)
    return False
