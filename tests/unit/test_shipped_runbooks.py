"""The runbooks that ship: valid, complete for what the rules recommend, and true in PromQL."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.causes.analysis import Analysis, Category, RecommendedAction
from sreops.domain.causes.taxonomy import CAUSES
from sreops.domain.evidence.evidence import Evidence, Series, SeriesSet
from sreops.domain.incidents.incident import Reason
from sreops.domain.remediation.verification import Reading, read_condition
from sreops.domain.runbooks.file import load_runbooks
from sreops.domain.runbooks.matching import offered, select_runbook
from sreops.domain.runbooks.plan import make_plan
from sreops.domain.runbooks.runbook import Autonomy, Condition, Runbook
from sreops.sandbox.clock import ManualClock
from sreops.sandbox.prometheus.api import prometheus_api
from sreops.sandbox.prometheus.server import Prometheus

FILE = Path(__file__).parents[2] / "runbooks.yaml"
RUNBOOKS = load_runbooks(FILE.read_text(encoding="utf-8"), path="runbooks.yaml")
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
MIB = 1024.0 * 1024


def event() -> AlertEvent:
    return AlertEvent.model_validate(
        {"event_id": "1", "source": "grafana", "fingerprint": "f", "status": "firing", "annotations": {},
         "labels": {"alertname": "Anything"}, "startsAt": NOW, "received_at": NOW,
         "tier": "autonomous", "severity": "critical", "service": "payments"}
    )  # fmt: skip


def analysis(category: Category) -> Analysis:
    cause = CAUSES[category]
    return Analysis(
        root_cause=f"{cause.of('payments')}.", category=category, confidence=0.9,
        recommended_action=cause.action, reasoning="", evidence=("E1",),
    )  # fmt: skip


def by_id(name: str) -> Runbook:
    return next(runbook for runbook in RUNBOOKS if runbook.id == name)


def logs(text: str) -> tuple[Evidence, ...]:
    return (Evidence(id="E1", kind="logs", source="loki", finding="f", text=text),)


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (Category.out_of_memory, "restart-on-memory"),
        (Category.memory_leak, "restart-on-memory"),
        (Category.deadlock, "restart-on-deadlock"),
        (Category.connection_pool_exhausted, "restart-on-pool-exhausted"),
        (Category.process_exited, "start-exited"),
        (Category.unhealthy, "restart-unhealthy"),
        (Category.traffic_overload, "scale-on-overload"),
        (Category.cpu_saturation, "scale-on-overload"),
    ],
)
def test_what_the_rules_would_act_on_has_its_runbook(category: Category, expected: str) -> None:
    selection = select_runbook(RUNBOOKS, (event(),), analysis(category), "rules")
    assert selection.runbook is not None
    assert selection.runbook.id == expected
    assert make_plan(selection.runbook, event()).steps[0].target == "payments"


def test_every_category_that_acts_is_covered() -> None:
    for category, cause in CAUSES.items():
        if cause.action.acts:
            assert select_runbook(RUNBOOKS, (event(),), analysis(category), "rules").runbook is not None, category


@pytest.mark.parametrize(
    ("category", "guide"),
    [
        (Category.disk_full, "free-disk-space"),
        (Category.certificate_expired, "renew-certificate"),
        (Category.bad_configuration, "mend-configuration"),
        (Category.dependency_down, "look-at-dependency"),
    ],
)
def test_what_only_people_can_mend_is_named_and_never_run(category: Category, guide: str) -> None:
    selection = select_runbook(RUNBOOKS, (event(),), analysis(category), "rules")
    assert (selection.runbook, selection.reason) == (None, Reason.action_not_remediation)
    assert selection.would_have == guide
    assert by_id(guide).autonomy is Autonomy.never
    assert not make_plan(by_id(guide), event()).disruptive
    assert by_id(guide).docs


def test_a_restart_is_held_back_while_a_migration_runs() -> None:
    found = select_runbook(RUNBOOKS, (event(),), analysis(Category.memory_leak), "rules", logs("Migration running: 7"))
    assert (found.runbook, found.would_have) == (None, "restart-on-memory")


def test_every_cause_that_is_known_has_a_runbook_or_a_guide_with_docs_and_examples() -> None:
    for category in set(Category) - {Category.unknown}:
        selection = select_runbook(RUNBOOKS, (event(),), analysis(category), "rules")
        chosen = selection.runbook.id if selection.runbook else selection.would_have
        assert chosen, category
        assert by_id(chosen).docs, category
    assert len(RUNBOOKS) >= 25
    assert all(runbook.examples for runbook in RUNBOOKS)


def test_all_of_them_are_offered_to_the_model_and_scaling_asks_a_person() -> None:
    for_a_service = [one.id for one in RUNBOOKS if one.when.subject is None and not one.when.labels]
    assert [one.id for one in offered(RUNBOOKS, (event(),))] == for_a_service
    assert by_id("scale-on-overload").autonomy is Autonomy.supervised
    assert {CAUSES[c].action for c in (Category.traffic_overload,)} == {RecommendedAction.scale}


class World:
    """A Prometheus with what cAdvisor and the payments service exported over the last minutes."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()
        self.prometheus = Prometheus(ManualClock(NOW))

    def memory(self, used_mib: float, limit_mib: float = 512) -> None:
        labels = {"name": "payments", "id": "/docker/1", "image": "shop", "instance": "cadvisor:8080"}
        self.prometheus.record("container_memory_working_set_bytes", labels, used_mib * MIB, self.now)
        self.prometheus.record("container_spec_memory_limit_bytes", labels, limit_mib * MIB, self.now)

    def requests(self, status: str, per_15_s: float, *, until_s_ago: float = 0) -> None:
        labels = {"service": "payments", "status": status, "instance": "payments:8080"}
        for step in range(41):
            ago = 600 - 15 * step
            if ago >= until_s_ago:
                self.prometheus.record("http_requests_total", labels, per_15_s * step, self.now - ago)

    async def read(self, condition: Condition) -> Reading:
        transport = httpx.ASGITransport(app=prometheus_api(self.prometheus))
        async with httpx.AsyncClient(transport=transport, base_url="http://prometheus.test") as client:
            answer = await client.get("/api/v1/query", params={"query": condition.promql, "time": self.now})
        assert answer.status_code == 200, answer.text
        series = tuple(
            Series(labels=one["metric"], points=((one["value"][0], float(one["value"][1])),))
            for one in answer.json()["data"]["result"]
        )
        return read_condition(condition, SeriesSet(query=condition.promql, series=series))


@pytest.fixture
def world() -> World:
    return World()


def conditions(name: str) -> tuple[Condition, ...]:
    return make_plan(by_id(name), event()).verify


@pytest.mark.parametrize(("used", "limit", "holds"), [(100, 512, True), (480, 512, False), (100, 0, None)])
async def test_memory_is_proven_by_its_share_of_the_limit(
    world: World, used: float, limit: float, holds: bool | None
) -> None:
    world.memory(used, limit)
    assert (await world.read(conditions("restart-on-memory")[0])).holds is holds


async def test_memory_that_is_not_measured_is_unknown(world: World) -> None:
    assert (await world.read(conditions("restart-on-memory")[0])).holds is None


@pytest.mark.parametrize(("errors", "holds"), [(None, True), (1, True), (40, False)])
async def test_the_error_ratio_is_met_without_errors_and_not_with_many(
    world: World, errors: float | None, holds: bool
) -> None:
    world.requests("200", 100)
    if errors is not None:
        world.requests("500", errors)
    assert (await world.read(conditions("restart-on-memory")[1])).holds is holds


async def test_a_service_that_has_gone_silent_is_unknown_and_one_without_requests_has_none_to_fail(
    world: World,
) -> None:
    ratio = conditions("restart-on-memory")[1]
    assert (await world.read(ratio)).holds is True
    world.requests("200", 100, until_s_ago=400)
    assert (await world.read(ratio)).holds is None


async def test_a_container_that_cadvisor_sees_has_started(world: World) -> None:
    seen = conditions("start-exited")[0]
    assert (await world.read(seen)).holds is None
    world.memory(100)
    assert (await world.read(seen)).holds is True


def test_the_same_error_ratio_stands_everywhere() -> None:
    ratios = {c.promql for runbook in RUNBOOKS for c in runbook.verify if "http_requests_total" in c.promql}
    assert len(ratios) == 1


ACTS_OF_OTHERS = {"exec_in_container", "stop_container", "rollback_service", "rollback_deployment", "play_job"}


def test_no_command_stop_or_rollback_ships_without_a_person() -> None:
    bold = [one for one in RUNBOOKS if ACTS_OF_OTHERS & {step.action.value for step in one.steps}]
    assert {"rotate-logs", "flush-cache", "roll-back-swarm-service"} <= {one.id for one in bold}
    assert all(one.autonomy is Autonomy.supervised for one in bold)
    assert by_id("scale-queue-consumers").autonomy is Autonomy.supervised
