"""The store's promises about effects, what policy asks, and approvals."""

import asyncio
from datetime import datetime

import pytest
from store_scene import T0, alert, always, at, at_work, claimed, cleared, effect_of, ended, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.incidents.incident import EffectOutcome
from sreops.domain.incidents.target import KnownTarget
from sreops.domain.records.audit import verify_chain
from sreops.domain.remediation.policy import PolicyLimits
from sreops.errors import DecisionConflict, EffectBlocked, NotFound
from sreops.ports import Approval, Changes, Lease

LIMITS = PolicyLimits()


async def acted(
    store: SqlIncidentStore, service: str, *, begin: float, end: float, runbook: str = "restart-leak", **fields: object
) -> None:
    """Play an incident with one effect to its end."""
    lease = await at_work(store, service, now=at(begin))
    effect = effect_of(lease, now=at(begin), runbook_id=runbook)
    await store.begin_effect(lease, effect, LIMITS, now=at(begin))
    await store.end_effect(lease, effect.effect_id, EffectOutcome.succeeded, "", now=at(begin))
    await ended(store, lease, now=at(end), **fields)


INEFFECTIVE = {
    "status": "escalated", "resolution": None, "reason": "remediation_ineffective", "verification": "not_fixed"
}  # fmt: skip


class EffectsSuite:
    """The ledger, and approvals."""

    async def test_an_effect_begins_once_and_ends_once_each_audited(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        effect = effect_of(lease)
        begun = await store.begin_effect(lease, effect, LIMITS, now=T0)
        assert begun == effect
        other_try = effect_of(lease, now=at(5), snapshot={"id": "another"})
        assert await store.begin_effect(lease, other_try, LIMITS, now=at(5)) == begun
        ended_effect = await store.end_effect(lease, effect.effect_id, EffectOutcome.succeeded, "it runs", now=at(6))
        assert (ended_effect.outcome, ended_effect.outcome_at) == (EffectOutcome.succeeded, at(6))
        late = await store.end_effect(lease, effect.effect_id, EffectOutcome.unknown, "lost", now=at(9))
        assert late == ended_effect
        assert await store.effects(lease.incident_id, 1) == [ended_effect]
        assert (await store.incident(lease.incident_id)).effects == (ended_effect,)
        actions = await store.records(kind="action")
        assert [action.body["phase"] for action in actions] == ["intent", "outcome"]
        assert actions[0].body["data"]["snapshot"] == effect.snapshot
        with pytest.raises(NotFound):
            await store.end_effect(lease, "no-such-effect", EffectOutcome.failed, "", now=at(9))

    async def test_what_was_done_to_a_target_is_told_whoevers_incident_it_was(self, store: SqlIncidentStore) -> None:
        standing, other = "docker/compose/shop/db", "docker/compose/shop/web"
        for number, (action, where) in enumerate(
            [("exec_in_container", standing), ("restart_container", standing), ("exec_in_container", other)]
        ):
            lease = await at_work(store, f"service-{number}", now=at(100 * number))
            effect = effect_of(lease, now=at(100 * number), action=action, standing=where)
            await store.begin_effect(lease, effect, LIMITS, now=at(100 * number))
            await store.end_effect(lease, effect.effect_id, EffectOutcome.unknown, "", now=at(100 * number + 1))
            await ended(store, lease, now=at(100 * number + 2), **INEFFECTIVE)
        lease = await at_work(store, "service-9", now=at(900))
        await store.begin_effect(
            lease, effect_of(lease, now=at(900), action="exec_in_container", standing=standing), LIMITS, now=at(900)
        )
        both = ("exec_in_container", "restart_container")
        found = await store.effects_on(standing, both, limit=9)
        assert [(one.action, one.intent_at) for one in found] == [
            ("exec_in_container", at(900)), ("restart_container", at(100)), ("exec_in_container", at(0))
        ]  # fmt: skip
        assert [one.outcome for one in found] == [None, EffectOutcome.unknown, EffectOutcome.unknown]
        assert len(await store.effects_on(standing, both, limit=2)) == 2
        assert await store.effects_on("docker/compose/shop/none", both, limit=9) == []

    async def test_a_begun_effect_is_returned_even_where_policy_has_changed(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        begun = await store.begin_effect(lease, effect_of(lease), LIMITS, now=T0)
        await store.set_paused(True, by="ann", reason="", now=at(1))
        assert await store.begin_effect(lease, effect_of(lease), LIMITS, now=at(2)) == begun

    async def test_an_effect_of_another_incident_than_the_lease_is_a_bug(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        with pytest.raises(ValueError, match="not of the lease"):
            await store.begin_effect(lease, effect_of(lease, episode=2), LIMITS, now=T0)

    async def test_twenty_concurrent_begins_of_one_step_give_one_effect(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        begun = await asyncio.gather(*(store.begin_effect(lease, effect_of(lease), LIMITS, now=T0) for _ in range(20)))
        assert len({effect.effect_id for effect in begun}) == 1
        assert len(await store.records(kind="action")) == 1

    async def test_a_paused_automation_blocks_and_a_resumed_one_does_not(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        assert (await store.pause_state())["paused"] is False
        await store.set_paused(True, by="ann", reason="migration", now=at(1))
        assert await store.pause_state() == {"paused": True, "by": "ann", "reason": "migration", "at": at(1)}
        with pytest.raises(EffectBlocked, match="ann: migration") as blocked:
            await store.begin_effect(lease, effect_of(lease), LIMITS, now=at(2))
        assert blocked.value.wait is False
        facts = await store.policy_facts(lease.incident_id, "payments", "r", now=at(2))
        assert (facts.paused, "migration" in facts.paused_why) == (True, True)
        await store.set_paused(False, by="bob", reason="done", now=at(3))
        await store.begin_effect(lease, effect_of(lease), LIMITS, now=at(4))
        switched = await store.records(incident_id="automation")
        assert [record.body["action"] for record in switched] == ["pause_automation", "resume_automation"]
        assert verify_chain(await store.records(), b"audit key") == []

    async def test_alerts_that_were_all_resolved_block(self, store: SqlIncidentStore) -> None:
        event = alert()
        incident_id = (await store.correlate(event, always("open"), now=T0)).incident_id or ""
        lease = await claimed(store)
        await store.correlate(cleared(event), always("resolve", incident_id, all_resolved=True), now=at(60))
        with pytest.raises(EffectBlocked, match="resolved"):
            await store.begin_effect(lease, effect_of(lease), LIMITS, now=at(61))
        assert await store.effects(incident_id, 1) == []
        assert await store.records(kind="action") == []

    async def test_another_incident_that_remediates_the_service_blocks(self, store: SqlIncidentStore) -> None:
        first = await at_work(store, now=at(0))
        await store.begin_effect(first, effect_of(first), LIMITS, now=at(0))
        await store.write(first, Changes(incident={"status": "verifying"}), now=at(1))
        await store.park(first, wake_at=at(99), timer="settle")
        second = await at_work(store, now=at(2))
        with pytest.raises(EffectBlocked, match="payments") as blocked:
            await store.begin_effect(second, effect_of(second), LIMITS, now=at(3))
        assert blocked.value.wait is True, "who has lost the race for a target waits, and looks again then"
        facts = await store.policy_facts(second.incident_id, "payments", "r", now=at(3))
        assert (facts.service_busy, facts.running_now) == (True, 1)
        facts = await store.policy_facts(first.incident_id, "payments", "r", now=at(3))
        assert (facts.service_busy, facts.running_now, facts.last_effect_at) == (False, 0, None)

    async def test_concurrent_effects_never_exceed_the_limit(self, store: SqlIncidentStore) -> None:
        leases = [await at_work(store, f"s{number}") for number in range(20)]
        limits = PolicyLimits(max_concurrent_effects=3)

        async def begin(lease: Lease) -> Lease | EffectBlocked:
            try:
                await store.begin_effect(lease, effect_of(lease), limits, now=T0)
            except EffectBlocked as blocked:
                return blocked
            return lease

        results = await asyncio.gather(*map(begin, leases))
        blocked = [result for result in results if isinstance(result, EffectBlocked)]
        acting = [result for result in results if isinstance(result, Lease)]
        assert (len(acting), len(blocked)) == (3, 17)
        assert all(result.wait for result in blocked)
        await store.begin_effect(acting[0], effect_of(acting[0], 1), limits, now=at(1))  # its own slot
        await ended(store, acting[0], now=at(2))
        waiting = next(lease for lease in leases if lease not in acting)
        await store.begin_effect(waiting, effect_of(waiting), limits, now=at(3))

    async def test_facts_count_the_effects_of_the_last_hour_of_the_service(self, store: SqlIncidentStore) -> None:
        await acted(store, "payments", begin=0, end=5)
        await acted(store, "payments", begin=1000, end=1005)
        await acted(store, "cart", begin=1500, end=1505)
        lease = await at_work(store, now=at(2000))
        await store.begin_effect(lease, effect_of(lease, now=at(2000)), LIMITS, now=at(2000))
        facts = await store.policy_facts(lease.incident_id, "payments", "r", now=at(2500))
        assert (facts.effects_last_hour, facts.last_effect_at) == (2, at(1000))
        facts = await store.policy_facts(lease.incident_id, "payments", "r", now=at(3600))
        assert facts.effects_last_hour == 1

    async def test_what_was_done_to_a_target_counts_for_whoever_would_do_it_again(
        self, store: SqlIncidentStore
    ) -> None:
        shop = await at_work(store, "shop")
        await store.begin_effect(shop, effect_of(shop, target="database"), LIMITS, now=T0)
        cart = await at_work(store, "cart", now=at(1))

        async def facts(targets: list[str]) -> tuple[bool, int]:
            found = await store.policy_facts(cart.incident_id, "cart", "r", now=at(2), targets=targets)
            return found.service_busy, found.effects_last_hour

        assert await facts(["cart"]) == (False, 0)
        assert await facts(["database"]) == (True, 1)
        with pytest.raises(EffectBlocked, match="remediating database"):
            await store.begin_effect(cart, effect_of(cart, target="database"), LIMITS, now=at(3))
        await ended(store, shop, now=at(4))
        assert await facts(["database"]) == (False, 1)

    async def test_a_target_is_one_whatever_it_is_called(self, store: SqlIncidentStore) -> None:
        what = "docker/compose/shop/payments"
        first = await at_work(store, "payments")
        await store.begin_effect(first, effect_of(first, standing=what), LIMITS, now=T0)
        second = await at_work(store, "shop-payments-1", now=at(1))
        again = effect_of(second, standing=what, now=at(2))

        async def facts(standing: str) -> tuple[bool, int]:
            found = await store.policy_facts(
                second.incident_id, second.service, "r", now=at(2), targets=[second.service], standings=[standing]
            )
            return found.service_busy, found.effects_last_hour

        assert await facts(what) == (True, 1)
        assert await facts("docker/compose/monitoring/payments") == (False, 0)
        with pytest.raises(EffectBlocked, match="remediating payments"):
            await store.begin_effect(second, again, LIMITS, now=at(2))
        await ended(store, first, now=at(3))
        assert await facts(what) == (False, 1)
        with pytest.raises(EffectBlocked, match="cools down"):
            await store.begin_effect(second, again, LIMITS, now=at(4), cooldown_s=60)
        await store.begin_effect(second, again, LIMITS, now=at(61), cooldown_s=60)

    async def test_two_targets_of_one_name_are_two_and_rows_of_0_1_match_by_name(self, store: SqlIncidentStore) -> None:
        ours, theirs = "docker/compose/shop/db", "docker/compose/monitoring/db"
        first = await at_work(store, "shop")
        await store.begin_effect(first, effect_of(first, target="db", standing=theirs), LIMITS, now=T0)
        old = await at_work(store, "cart", now=at(1))
        await store.begin_effect(old, effect_of(old, target="cache"), LIMITS, now=at(1))
        asking = await at_work(store, "search", now=at(2))

        async def effects_of(names: list[str], standing: str) -> int:
            found = await store.policy_facts(
                asking.incident_id, "search", "r", now=at(3), targets=names, standings=[standing]
            )
            return found.effects_last_hour

        assert await effects_of(["db", "shop-db-1"], ours) == 0
        assert await effects_of(["db"], theirs) == 1
        assert await effects_of(["cache", "shop-cache-1"], "docker/compose/shop/cache") == 1
        assert await effects_of(["shop-cache-1"], "docker/compose/shop/cache") == 0

    async def test_namesakes_of_two_projects_do_not_share_a_cooldown(self, store: SqlIncidentStore) -> None:
        """Shop's ``db`` and monitoring's: known by their targets, or by their alerts' scope; else they may be one."""

        async def lease_of(project: str, seconds: float, *, known: bool = True, scope: bool = False) -> Lease:
            labels = {"alertname": "Down", "service": "db", **({"compose_project": project} if scope else {})}
            incident_id = await opened(store, "db", now=at(seconds), fingerprint=f"fp-{seconds}", labels=labels)
            leases = await store.claim("w1", now=at(seconds), lease_s=900, limit=100)
            lease = next(one for one in leases if one.incident_id == incident_id)
            if known:
                await store.know_target(lease, KnownTarget(standing=f"docker/compose/{project}/db"), now=at(seconds))
            return lease

        async def lately(lease: Lease, project: str, seconds: float) -> tuple[int, datetime | None]:
            facts = await store.policy_facts(
                lease.incident_id,
                "db",
                "r",
                now=at(seconds),
                targets=["db"],
                standings=[f"docker/compose/{project}/db"],
            )
            return facts.effects_last_hour, facts.last_effect_at

        shop = await lease_of("shop", 0)
        effect = effect_of(shop, now=at(1), target="shop-db-1", standing="docker/compose/shop/db")
        await store.begin_effect(shop, effect, LIMITS, now=at(1))
        await ended(store, shop, now=at(2))
        again = await lease_of("shop", 10)
        assert await lately(again, "shop", 11) == (1, at(1))
        await ended(store, again, now=at(12), resolution="recovered", verification=None)

        other = await lease_of("monitoring", 20)
        assert await lately(other, "monitoring", 21) == (0, None)
        theirs = effect_of(other, now=at(22), target="monitoring-db-1", standing="docker/compose/monitoring/db")
        await store.begin_effect(other, theirs, LIMITS, now=at(22), cooldown_s=600)
        await ended(store, other, now=at(23))

        unknown = await lease_of("", 30, known=False)
        assert await lately(unknown, "another", 31) == (2, at(22)), "whose it is is not known: all of them count"
        await ended(store, unknown, now=at(32), resolution="recovered", verification=None)

        scoped = await lease_of("third", 40, known=False, scope=True)
        assert (await store.incident(scoped.incident_id)).subject.scope == {"compose_project": "third"}
        assert await lately(scoped, "third", 41) == (2, at(22)), "those said no scope of their own"

    async def test_acts_are_counted_by_host_and_by_project(self, store: SqlIncidentStore) -> None:
        done = ["docker/compose/shop/db", "docker/compose/shop/web", "docker/compose/shop_2/db", "docker/container/x"]
        done += ["docker%3Aeu/compose/shop/db", "gitlab/grp%2Fshop/prod", "gitlab/grp%2Fshop", ""]
        for number, standing in enumerate(done):
            lease = await at_work(store, f"s{number}", now=at(number))
            effect = effect_of(lease, now=at(number), standing=standing)
            await store.begin_effect(lease, effect, LIMITS, now=at(number))
            await ended(store, lease, now=at(number))
        asking = await at_work(store, "asking", now=at(100))

        async def counted(*standings: str, seconds: float = 100) -> dict[str, int]:
            facts = await store.policy_facts(
                asking.incident_id, "asking", "r", now=at(seconds), standings=list(standings)
            )
            return facts.acts_lately

        assert await counted("docker/compose/shop/new") == {"docker": 4, "docker/compose/shop": 2}
        assert await counted("docker%3Aeu/container/y") == {"docker%3Aeu": 1}
        assert await counted("gitlab/grp%2Fshop/stage") == {"gitlab/grp%2Fshop": 2}
        assert await counted("url/x") == {}
        assert await counted("docker/compose/shop/new", seconds=3601) == {"docker": 2, "docker/compose/shop": 0}

    async def test_the_last_guard_lets_no_more_acts_land_on_a_host_or_in_a_project_than_is_allowed(
        self, store: SqlIncidentStore
    ) -> None:
        limits = PolicyLimits(host_acts_per_hour=3, project_acts_per_hour=2, max_concurrent_effects=20)
        wanted = [f"docker/compose/shop/s{number}" for number in range(4)]
        wanted += [f"docker/container/c{number}" for number in range(4)]
        leases = [await at_work(store, f"s{number}") for number in range(len(wanted))]

        async def begin(lease: Lease, standing: str) -> str:
            try:
                await store.begin_effect(lease, effect_of(lease, standing=standing), limits, now=T0)
            except EffectBlocked as blocked:
                return ("waits: " if blocked.wait else "") + "; ".join(blocked.reasons)
            return ""

        told = [await begin(lease, standing) for lease, standing in zip(leases, wanted, strict=True)]
        assert [not why for why in told] == [True, True, False, False, True, False, False, False]
        assert told[2].startswith("2 acts in the last hour on Compose project 'shop', and 2 are allowed")
        assert told[5].startswith("3 acts in the last hour on the engine, and 3 are allowed")
        raced = [await at_work(store, f"r{number}", now=at(3601)) for number in range(6)]
        results = await asyncio.gather(
            *(
                store.begin_effect(
                    one, effect_of(one, now=at(3601), standing=f"docker/container/r{n}"), limits, now=at(3601)
                )
                for n, one in enumerate(raced)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, EffectBlocked) for one in results) == 3

    async def test_failures_are_counted_on_a_target_whatever_it_was_called(self, store: SqlIncidentStore) -> None:
        what = "docker/compose/shop/payments"
        for number, name in enumerate(("payments", "shop-payments-1", "payments_1")):
            lease = await at_work(store, name, now=at(10 * number))
            now = at(10 * number)
            effect = effect_of(lease, standing=what, now=now, runbook_id=f"r{number}")
            await store.begin_effect(lease, effect, LIMITS, now=now)
            await store.end_effect(lease, effect.effect_id, EffectOutcome.succeeded, "", now=now)
            await ended(store, lease, now=at(10 * number + 5), **INEFFECTIVE)
        probe = await at_work(store, "probe", now=at(99))
        for standing, failures in ((what, 3), ("docker/compose/shop/cart", 0)):
            facts = await store.policy_facts(probe.incident_id, "probe", "r", now=at(99), standings=[standing])
            assert facts.failures_in_a_row == failures
        by_name = await store.policy_facts(probe.incident_id, "payments", "r", now=at(99), standings=[])
        assert by_name.failures_in_a_row == 1

    async def test_the_breaker_that_0_1_opened_holds_for_its_target(self, store: SqlIncidentStore) -> None:
        for number in range(3):
            await acted(store, "payments", begin=10 * number, end=10 * number + 5, runbook=f"r{number}", **INEFFECTIVE)
        probe = await at_work(store, "shop-payments-1", now=at(99))
        facts = await store.policy_facts(
            probe.incident_id, "shop-payments-1", "r", now=at(99),
            targets=["shop-payments-1", "payments"], standings=["docker/compose/shop/payments"],
        )  # fmt: skip
        assert facts.failures_in_a_row == 3

    async def test_failures_in_a_row_end_at_a_success(self, store: SqlIncidentStore) -> None:
        async def failures(service: str, runbook: str = "restart-leak") -> int:
            incident = (await store.incidents())[0][0]
            return (await store.policy_facts(incident.id, service, runbook, now=at(9999))).failures_in_a_row

        await acted(store, "payments", begin=0, end=5, **INEFFECTIVE)
        await acted(store, "payments", begin=100, end=105)
        assert await failures("payments") == 0
        await acted(store, "payments", begin=200, end=205, **INEFFECTIVE)
        await acted(store, "payments", begin=300, end=305, **(INEFFECTIVE | {"verification": "unknown"}))
        recovered = {"resolution": "recovered", "verification": None}
        await acted(store, "payments", begin=400, end=405, **recovered)
        assert await failures("payments", "another") == 2, "what recovered by itself says nothing of the remediation"
        await acted(store, "cart", begin=500, end=505, **INEFFECTIVE)
        assert await failures("cart") == 3, "the runbook failed three times, over two services"
        assert await failures("cart", "another") == 1
        no_effect = await at_work(store, "shop", now=at(600))
        await ended(store, no_effect, now=at(605), **INEFFECTIVE)
        assert await failures("shop", "another") == 0

    async def test_resuming_automation_resets_the_count_of_failures(self, store: SqlIncidentStore) -> None:
        async def failures() -> int:
            incident = (await store.incidents())[0][0]
            return (await store.policy_facts(incident.id, "payments", "r", now=at(9999))).failures_in_a_row

        for begin in (0, 100, 200):
            await acted(store, "payments", begin=begin, end=begin + 5, **INEFFECTIVE)
        await store.set_paused(True, by="ann", reason="look first", now=at(300))
        assert await failures() == 3, "a pause forgives nothing"
        await store.set_paused(False, by="ann", reason="the image was mended", now=at(400))
        assert await failures() == 0
        await acted(store, "payments", begin=500, end=505, **INEFFECTIVE)
        assert await failures() == 1

    async def test_a_runbook_earns_by_approved_fixes_in_a_row_and_loses_at_the_first_that_fails(
        self, store: SqlIncidentStore
    ) -> None:
        asking = (await at_work(store, "orders")).incident_id

        async def earned(service: str = "payments", runbook: str = "restart-leak") -> int:
            return (await store.policy_facts(asking, service, runbook, now=at(9999))).fixes_in_a_row

        async def fixed(begin: float, *, approved: bool) -> None:
            lease = await at_work(store, "payments", now=at(begin))
            if approved:
                asked = at(begin), at(begin + 600)
                await store.request_approval(lease, plan_hash="h", now=asked[0], expires_at=asked[1])
                await store.decide(
                    lease.incident_id, approve=True, by="ann", reason="yes", plan_hash="h", now=at(begin + 1)
                )
            effect = effect_of(lease, now=at(begin), runbook_id="restart-leak")
            await store.begin_effect(lease, effect, PolicyLimits(attempts_per_hour=99), now=at(begin))
            await store.end_effect(lease, effect.effect_id, EffectOutcome.succeeded, "", now=at(begin))
            await ended(store, lease, now=at(begin + 50))

        await fixed(0, approved=True)
        await fixed(100, approved=False)
        await fixed(200, approved=True)
        assert await earned() == 2
        assert await earned(runbook="another") == 0
        assert await earned(service="checkout") == 0
        await acted(store, "payments", begin=4000, end=4050, **INEFFECTIVE)
        assert await earned() == 0

    async def test_a_refired_incident_keeps_its_earlier_ending_in_the_count(self, store: SqlIncidentStore) -> None:
        await acted(store, "payments", begin=0, end=5, **INEFFECTIVE)
        [incident], _ = await store.incidents()
        await store.correlate(alert(starts_at=at(50)), always("refire", incident.id), now=at(50))
        facts = await store.policy_facts(incident.id, "payments", "r", now=at(60))
        assert (facts.failures_in_a_row, facts.effects_last_hour, facts.running_now) == (1, 1, 0)


class ApprovalsSuite:
    """A person's decision, once."""

    async def asked(self, store: SqlIncidentStore) -> Lease:
        lease = await at_work(store)
        await store.request_approval(lease, plan_hash="p1", now=T0, expires_at=at(600))
        await store.park(lease, wake_at=at(600), timer="approval")
        return lease

    async def test_a_request_is_made_once_per_episode_and_plan(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        assert await store.approval(lease.incident_id, 1) is None
        first = await store.request_approval(lease, plan_hash="p1", now=T0, expires_at=at(600))
        assert first == Approval(lease.incident_id, 1, "p1", T0, at(600))
        assert await store.request_approval(lease, plan_hash="p1", now=at(9), expires_at=at(900)) == first
        other = await store.request_approval(lease, plan_hash="p2", now=at(10), expires_at=at(700))
        assert await store.approval(lease.incident_id, 1) == other

    @pytest.mark.parametrize(
        ("approve", "word", "verb"), [(True, "approved", "approve"), (False, "rejected", "reject")]
    )
    async def test_a_decision_is_stored_audited_and_wakes_the_incident(
        self, store: SqlIncidentStore, approve: bool, word: str, verb: str
    ) -> None:
        lease = await self.asked(store)
        made = await store.decide(
            lease.incident_id, approve=approve, by="ann", reason="looks right", plan_hash="p1", now=at(60)
        )
        assert (made.decision, made.by, made.reason, made.decided_at) == (word, "ann", "looks right", at(60))
        assert await store.approval(lease.incident_id, 1) == made
        [action] = await store.records(kind="action", incident_id=lease.incident_id)
        assert (action.body["action"], action.body["phase"], action.body["by"]) == (verb, "decision", "ann")
        assert action.body["data"]["plan_hash"] == "p1"
        again = await claimed(store, now=at(60))
        assert again.woken_by == "decision"
        assert (await store.request_approval(again, plan_hash="p1", now=at(61), expires_at=at(999))) == made

    async def test_of_concurrent_deciders_one_wins(self, store: SqlIncidentStore) -> None:
        lease = await self.asked(store)

        async def decide(number: int) -> Approval | DecisionConflict:
            try:
                return await store.decide(
                    lease.incident_id, approve=number % 2 == 0, by=f"p{number}", reason="", plan_hash="p1", now=at(1)
                )
            except DecisionConflict as conflict:
                return conflict

        results = await asyncio.gather(*map(decide, range(20)))
        won = [result for result in results if isinstance(result, Approval)]
        assert len(won) == 1
        assert all("already" in str(result) for result in results if isinstance(result, DecisionConflict))
        assert await store.approval(lease.incident_id, 1) == won[0]
        assert len(await store.records(kind="action")) == 1

    async def test_what_does_not_wait_can_not_be_decided(self, store: SqlIncidentStore) -> None:
        async def refused(incident_id: str, said: str, *, plan: str = "p1", now: float = 60) -> None:
            with pytest.raises(DecisionConflict, match=said):
                await store.decide(incident_id, approve=True, by="ann", reason="", plan_hash=plan, now=at(now))

        with pytest.raises(NotFound):
            await store.decide("nobody", approve=True, by="ann", reason="", plan_hash="p1", now=T0)
        bystander = await opened(store, "cart")
        await refused(bystander, "does not wait")
        lease = await self.asked(store)
        await refused(lease.incident_id, "plan", plan="p2")
        await refused(lease.incident_id, "expired", now=600)
        assert await store.records(kind="action") == []
        [*_, mine] = [
            lease for lease in await store.claim("w1", now=at(601), lease_s=30, limit=9) if lease.service == "payments"
        ]
        await ended(store, mine, now=at(602), **(INEFFECTIVE | {"reason": "approval_expired"}))
        await refused(mine.incident_id, "ended", now=100)

    async def test_whoever_finds_a_request_expired_ends_it_for_a_decision_that_is_on_its_way(
        self, store: SqlIncidentStore
    ) -> None:
        lease = await self.asked(store)
        mine = await claimed(store, now=at(600))
        found = await store.request_approval(mine, plan_hash="p1", now=at(600), expires_at=at(999))
        assert (found.decision, found.decided_at) == ("expired", at(600))
        with pytest.raises(DecisionConflict, match="expired"):  # by a clock that is behind, or from a queue
            await store.decide(lease.incident_id, approve=True, by="ann", reason="", plan_hash="p1", now=at(599))
        assert await store.records(kind="action") == []

    async def test_a_request_of_an_earlier_episode_can_not_be_decided(self, store: SqlIncidentStore) -> None:
        lease = await self.asked(store)
        mine = await claimed(store, now=at(600))
        await ended(store, mine, now=at(601))
        await store.correlate(alert(starts_at=at(700)), always("refire", lease.incident_id), now=at(700))
        with pytest.raises(DecisionConflict, match="does not wait"):
            await store.decide(lease.incident_id, approve=True, by="ann", reason="", plan_hash="p1", now=at(300))
