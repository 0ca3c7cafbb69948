"""The whole loop on real servers: Docker, Prometheus, Alertmanager, Kafka, Loki; GitLab by its strict sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from e2e.ward import Patient, admitted
from servers.alertmanager import Alertmanager
from servers.dockerd import Dockerd
from servers.kafka import Kafka
from servers.loki import Loki
from servers.prometheus import Prometheus
from servers.sreops import Sreops
from servers.waiting import eventually
from sreops.sandbox.gitlab import GitLab
from sreops.sandbox.server import Server as SandboxServer

TOPICS = ("sre-critical", "agent-thoughts", "agent-actions")
TOKEN = "glpat-test"
RUNBOOKS = Path(__file__).parents[2] / "runbooks.yaml"
Factory = Callable[..., Any]

pytestmark = [
    pytest.mark.needs("docker", "kafka", "loki", "prometheus", "alertmanager"),
    pytest.mark.timeout(420),
]


class Ward:
    """sreops, and everything it looks at, around one patient."""

    def __init__(self, patient: Patient, sreops: Sreops, gitlab: GitLab, kafka: Kafka) -> None:
        self.patient, self.sreops, self.gitlab, self.kafka = patient, sreops, gitlab, kafka

    async def ended(self, timeout_s: float = 240) -> dict[str, Any]:
        found = await eventually(
            lambda: asyncio.to_thread(self.sreops.ended_incident_of, self.patient.name),
            timeout_s,
            every_s=0.5,
            what="the incident to end",
        )
        assert found is not None
        return found

    def issues(self, incident: dict[str, Any]) -> list[Any]:
        """The issues of this incident; the broker is shared, so earlier patients' alerts may be read here too."""
        return [issue for issue in self.gitlab.issues if incident["id"] in issue.description]

    async def records(self, topic: str) -> list[dict[str, Any]]:
        """Read a topic back with a plain consumer, and keep what is about this patient's incident."""
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            found = []
            end = sum((await consumer.end_offsets(list(consumer.assignment()))).values())
            read = 0
            while read < end:
                for batch in (await consumer.getmany(timeout_ms=1000)).values():
                    read += len(batch)
                    found += [json.loads(record.value) for record in batch if record.value]
            return found
        finally:
            await consumer.stop()


@asynccontextmanager
async def ward(
    dockerd: Dockerd,
    kafka: Kafka,
    loki: Loki,
    prometheus_factory: Factory,
    alertmanager_factory: Factory,
    *,
    curable: bool = True,
    **settings: str,
) -> AsyncIterator[Ward]:
    gitlab = GitLab(TOKEN, "ops/incidents")
    async with SandboxServer(gitlab.app) as tracker:
        with admitted(dockerd, curable=curable) as patient:
            await eventually(lambda: asyncio.to_thread(patient.answers), 30, what="the patient to serve")
            sreops = Sreops(
                {
                    "SREOPS_RUNBOOKS": str(RUNBOOKS),
                    "SREOPS_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap,
                    "SREOPS_KAFKA__GROUP_ID": patient.name,
                    "SREOPS_KAFKA__PARTITIONS": "3",
                    "SREOPS_LOKI__URL": loki.url,
                    "SREOPS_DOCKER__HOST": dockerd.host,
                    "SREOPS_GITLAB__URL": tracker.url,
                    "SREOPS_GITLAB__TOKEN": TOKEN,
                    "SREOPS_GITLAB__PROJECT": "ops/incidents",
                    "SREOPS_WEBHOOK__TOKEN": "webhook-secret",
                    "SREOPS_VERIFY__SETTLE_S": "2",
                    "SREOPS_VERIFY__POLL_S": "1",
                    "SREOPS_VERIFY__TIMEOUT_S": "150",
                    **settings,
                },
                ready_path="/readyz",
            )
            alertmanager: Alertmanager = await asyncio.to_thread(
                alertmanager_factory,
                f"{sreops.url}/alerts",
                http_config={"authorization": {"credentials": "webhook-secret"}},
            )
            prometheus: Prometheus = await asyncio.to_thread(
                prometheus_factory,
                {"patient": [patient.target]},
                [patient.rule()],
                [alertmanager.address],
            )
            sreops.settings["SREOPS_PROMETHEUS__URL"] = prometheus.url
            beside = [asyncio.create_task(patient.ship_logs(loki)), asyncio.create_task(patient.watch_engine())]
            try:
                await asyncio.to_thread(sreops.start)
                ratio = f'container_memory_working_set_bytes{{name="{patient.name}"}}'
                await eventually(lambda: asyncio.to_thread(prometheus.value, ratio), 60, what="the first scrape")
                yield Ward(patient, sreops, gitlab, kafka)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                await asyncio.to_thread(sreops.close)


async def test_a_leaking_container_is_restarted_once_proven_well_and_its_issue_closed(
    dockerd: Dockerd, kafka: Kafka, loki: Loki, prometheus_factory: Factory, alertmanager_factory: Factory
) -> None:
    async with ward(dockerd, kafka, loki, prometheus_factory, alertmanager_factory) as it:
        before = it.patient.started_at()
        it.patient.break_it()
        incident = await it.ended()

        assert (incident["status"], incident["resolution"]) == ("resolved", "fixed"), incident["decision"]
        assert incident["analyst"] == "rules"
        assert "memory" in incident["root_cause"].lower()
        assert incident["runbook_id"] == "restart-on-memory"
        assert [effect["outcome"] for effect in incident["effects"]] == ["succeeded"]
        assert it.patient.started_at() != before
        assert it.patient.restarts == 1
        assert any("OutOfMemoryError" in item["text"] for item in incident["evidence"]), "the decisive line is kept"

        [issue] = it.issues(incident)
        await eventually(lambda: issue.state == "closed", 20, what="the issue to be closed")
        assert incident["issue"]["iid"] == issue.iid
        assert any("Resolved: fixed" in note.body for note in issue.notes)
        assert it.gitlab.executed_quick_actions == []

        await eventually(
            lambda: any(
                event["status"] == "resolved" for event in it.sreops.get(f"/api/incidents/{incident['id']}")["events"]
            ),
            60,
            what="Alertmanager's resolved notice",
        )
        after = it.sreops.get(f"/api/incidents/{incident['id']}")
        assert (after["status"], after["resolution"]) == ("resolved", "fixed")
        assert len(after["effects"]) == 1
        assert it.patient.restarts == 1
        assert len(it.issues(incident)) == 1

        events = [record for record in await it.records("sre-critical") if record["service"] == it.patient.name]
        assert {record["status"] for record in events} == {"firing", "resolved"}
        assert all(record["schema"] == 1 for record in events)
        thoughts = [r for r in await it.records("agent-thoughts") if r["incident_id"] == incident["id"]]
        assert {"consume_event", "enrich_context", "analyze_root_cause", "verify_success"} <= {
            r["node"] for r in thoughts
        }
        actions = [r for r in await it.records("agent-actions") if r["incident_id"] == incident["id"]]
        restarts = [r for r in actions if r["action"] == "restart_container"]
        assert [r["phase"] for r in restarts] == ["intent", "outcome"]


async def test_a_fault_that_a_restart_does_not_cure_goes_to_a_person_after_one_restart(
    dockerd: Dockerd,
    kafka: Kafka,
    loki: Loki,
    prometheus_factory: Factory,
    alertmanager_factory: Factory,
    tmp_path: Path,
) -> None:
    runbooks = tmp_path / "runbooks.yaml"
    runbooks.write_text(RUNBOOKS.read_text().replace("timeout_s: 60", "timeout_s: 15"))
    async with ward(
        dockerd,
        kafka,
        loki,
        prometheus_factory,
        alertmanager_factory,
        curable=False,
        SREOPS_RUNBOOKS=str(runbooks),
        SREOPS_VERIFY__TIMEOUT_S="15",
    ) as it:
        it.patient.break_it()
        incident = await it.ended()

        assert (incident["status"], incident["reason"]) == ("escalated", "remediation_ineffective")
        assert it.patient.restarts == 1
        assert [effect["outcome"] for effect in incident["effects"]] == ["succeeded"]
        [issue] = it.issues(incident)
        assert issue.state == "opened"
        account = await eventually(
            lambda: next((note.body for note in issue.notes if "Escalated" in note.body), ""), 20, what="the account"
        )
        assert "remediation_ineffective" in account
        assert "OutOfMemoryError" in account, "the evidence is on the issue"
        assert "restart_container" in account


async def test_killed_in_the_middle_of_an_incident_it_ends_it_after_its_restart_with_one_restart_of_the_container(
    dockerd: Dockerd, kafka: Kafka, loki: Loki, prometheus_factory: Factory, alertmanager_factory: Factory
) -> None:
    async with ward(dockerd, kafka, loki, prometheus_factory, alertmanager_factory, SREOPS_WORKER__LEASE_S="5") as it:
        it.patient.break_it()
        await eventually(
            lambda: (it.sreops.incident_of(it.patient.name) or {}).get("status") in ("remediating", "verifying"),
            120,
            every_s=0.05,
            what="the incident to be worked on",
        )
        it.sreops.kill()
        await asyncio.to_thread(it.sreops.start)
        incident = await it.ended()

        assert it.patient.restarts <= 1
        if incident["status"] == "resolved":
            assert incident["resolution"] == "fixed"
            assert it.patient.restarts == 1
        else:
            assert incident["reason"] == "outcome_unknown"
        assert len(it.issues(incident)) == 1
