"""The store's promises where several processes are at it: two store objects on one database are two replicas."""

import asyncio
import itertools
import random
from collections import Counter

import pytest
from store_scene import T0, Opener, alert, at, at_work, cleared, effect_of, ended, from_topic, opened

from sreops.adapters.store import AUTOMATION, SqlIncidentStore
from sreops.domain.alerts.alert import Severity
from sreops.domain.incidents.correlation import Windows, correlate
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.record import Action
from sreops.domain.remediation.policy import PolicyLimits
from sreops.errors import DecisionConflict, EffectBlocked, LeaseLost
from sreops.ports import Changes


class ReplicasSuite:
    """Two replicas at once."""

    async def test_alerts_of_one_service_at_several_replicas_open_one_incident(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        stores = [store, await another()]
        events = [alert(f"s{number % 3}", fingerprint=f"f{number}", starts_at=at(number)) for number in range(24)]
        random.Random(1).shuffle(events)
        await store.take_in([from_topic(event, n) for n, event in enumerate(events)], now=T0)

        async def go_through_the_inbox(one: SqlIncidentStore) -> list[str | None]:
            return [
                (
                    await one.correlate(event, lambda e, known: correlate(e, known, at(60), Windows()), now=at(60))
                ).incident_id
                for event in await one.uncorrelated(100)
            ]

        made = await asyncio.gather(*(go_through_the_inbox(one) for one in stores * 2))
        assert all(ids == made[0] for ids in made), "whoever comes second is told what the first has decided"
        found, _ = await store.incidents()
        assert sorted(incident.service for incident in found) == ["s0", "s1", "s2"]
        assert sum(incident.event_count for incident in found) == 24

    async def test_replicas_together_keep_the_limit_of_effects(self, store: SqlIncidentStore, another: Opener) -> None:
        stores = [store, await another()]
        leases = [await at_work(store, f"s{number}") for number in range(8)]

        async def begin(number: int) -> str:
            lease = leases[number]
            try:
                await stores[number % 2].begin_effect(
                    lease, effect_of(lease), PolicyLimits(max_concurrent_effects=3), now=at(1)
                )
            except EffectBlocked as exc:
                return "waits" if exc.wait else "blocked"
            return "begun"

        assert Counter(await asyncio.gather(*map(begin, range(8)))) == {"begun": 3, "waits": 5}

    async def test_of_two_incidents_of_a_service_one_remediates(self, store: SqlIncidentStore, another: Opener) -> None:
        replica = await another()
        for number in range(5):
            service = f"s{number}"
            first, second = [await at_work(store, service), await at_work(store, f"{service}-other")]
            begins = await asyncio.gather(
                store.begin_effect(first, effect_of(first), PolicyLimits(max_concurrent_effects=99), now=at(1)),
                replica.begin_effect(
                    second, effect_of(second, service=service), PolicyLimits(max_concurrent_effects=99), now=at(1)
                ),
                return_exceptions=True,
            )
            assert sum(isinstance(begun, EffectBlocked) for begun in begins) == 1, begins

    async def test_no_service_is_ever_leased_twice(self, store: SqlIncidentStore, another: Opener) -> None:
        stores = [store, await another()]
        for number in range(40):
            await opened(store, f"s{number % 8}", now=at(number / 100), fingerprint=f"f{number}")
        held: set[str] = set()
        done = itertools.count()

        async def work(number: int) -> None:
            one = stores[number % 2]
            while True:
                leases = await one.claim(f"w{number}", now=at(10), lease_s=30, limit=3)
                services = [lease.service for lease in leases]
                assert not held & set(services)
                held.update(services)
                for lease in leases:
                    await asyncio.sleep(0)
                    held.discard(lease.service)  # before the store lets it go
                    await ended(one, lease, now=at(11))
                    next(done)
                if not leases and (await one.backlog(now=at(12))).ready == 0:
                    return

        await asyncio.gather(*map(work, range(4)))
        assert next(done) == 40

    async def test_a_lapsed_lease_is_over_once_another_incident_of_its_service_is_begun(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        replica = await another()
        await opened(store, severity=Severity.warning)
        [lapsed] = await store.claim("w1", now=T0, lease_s=30, limit=1)
        await opened(store, severity=Severity.critical, fingerprint="worse", now=at(31))
        [lease] = await replica.claim("w2", now=at(40), lease_s=30, limit=9)
        assert lease.incident_id != lapsed.incident_id, "critical before warning"

        assert not await store.renew([lapsed], now=at(41), lease_s=30), "else two workers were at one service"
        with pytest.raises(LeaseLost):
            await store.begin_effect(lapsed, effect_of(lapsed), PolicyLimits(), now=at(41))
        with pytest.raises(LeaseLost):
            await store.park(lapsed, wake_at=at(50), timer="settle")
        await ended(replica, lease, now=at(42))
        [taken_over] = await replica.claim("w2", now=at(43), lease_s=30, limit=9)
        assert (taken_over.incident_id, taken_over.woken_by) == (lapsed.incident_id, "takeover")

    async def test_chains_stay_whole_where_replicas_write_to_them(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        stores = [store, await another()]
        lease = await at_work(store)
        action = Action(action="note", phase="outcome", target="payments")
        await asyncio.gather(
            *(stores[n % 2].write(lease, Changes(actions=[action]), now=at(n)) for n in range(20)),
            *(stores[n % 2].set_paused(n % 3 == 0, by=f"p{n}", reason="", now=at(n)) for n in range(20)),
        )
        records = await store.records(limit=1000, kind="action")
        assert Counter(record.incident_id for record in records) == {lease.incident_id: 20, AUTOMATION: 20}
        assert verify_chain(records, b"audit key") == []

    async def test_of_deciders_at_several_replicas_one_wins(self, store: SqlIncidentStore, another: Opener) -> None:
        stores = [store, await another()]
        lease = await at_work(store)
        await store.request_approval(lease, plan_hash="p", now=at(1), expires_at=at(99))
        made = await asyncio.gather(
            *(
                stores[n % 2].decide(
                    lease.incident_id, approve=n % 2 == 0, by=f"p{n}", reason="", plan_hash="p", now=at(2)
                )
                for n in range(10)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(one, DecisionConflict) for one in made) == 9
        decided = await store.approval(lease.incident_id, lease.episode)
        assert decided in made

    async def test_a_resolve_at_one_replica_stops_the_other_before_its_effect(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        replica, event = await another(), alert()
        windows = Windows()
        await store.correlate(event, lambda e, known: correlate(e, known, T0, windows), now=T0)
        [lease] = await replica.claim("w2", now=T0, lease_s=30, limit=1)
        clear = cleared(event)
        made, begun = await asyncio.gather(
            store.correlate(clear, lambda e, known: correlate(e, known, at(60), windows), now=at(60)),
            replica.begin_effect(lease, effect_of(lease), PolicyLimits(), now=at(60)),
            return_exceptions=True,
        )
        assert not isinstance(made, BaseException)
        if not isinstance(begun, EffectBlocked):  # it came first: then the resolve finds it
            assert (await store.incident(lease.incident_id)).effects
        again = effect_of(lease, 1)
        with_resolve = await asyncio.gather(
            replica.begin_effect(lease, again, PolicyLimits(), now=at(61)), return_exceptions=True
        )
        assert isinstance(with_resolve[0], EffectBlocked)
