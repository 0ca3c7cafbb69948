"""The store's promises about incidents of one target: other names for it meet it, the younger joins the older."""

import pytest
from store_scene import T0, alert, at, at_work, cleared, effect_of

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.incidents.correlation import Correlation, Disposition, KnownIncident, Windows, correlate
from sreops.domain.incidents.incident import Reason
from sreops.domain.incidents.needs import Need
from sreops.domain.incidents.target import KnownTarget
from sreops.domain.remediation.policy import PolicyLimits
from sreops.errors import LeaseLost
from sreops.ports import Changes

SHOP = KnownTarget(
    standing="docker/compose/shop/payments",
    names=frozenset({"payments", "shop-payments-1"}),
    scope={"compose_project": "shop"},
)


async def decided(store: SqlIncidentStore, event: AlertEvent, *, now: float) -> Correlation:
    """Correlate as the worker does."""

    def decide(one: AlertEvent, known: list[KnownIncident]) -> Correlation:
        return correlate(one, known, at(now), Windows())

    return await store.correlate(event, decide, now=at(now))  # type: ignore[arg-type]  # a list is a sequence


class MeetingSuite:
    """What the engine says of a target."""

    async def test_an_alert_under_another_name_of_the_target_joins(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store, "shop-payments-1")
        before = await decided(store, alert("other", starts_at=at(1)), now=1)
        assert before.disposition is Disposition.open
        assert await store.know_target(lease, SHOP, now=at(2)) is None
        made = await decided(store, alert("payments", starts_at=at(3), received_at=at(3)), now=3)
        assert (made.disposition, made.incident_id) == (Disposition.attach, lease.incident_id)
        foreign = alert(
            "payments", fingerprint="fp-m", starts_at=at(4), received_at=at(4),
            labels={"alertname": "X", "service": "payments", "compose_project": "monitoring"},
        )  # fmt: skip
        assert (await decided(store, foreign, now=4)).disposition is Disposition.open

    async def test_of_two_incidents_of_one_target_the_younger_joins_the_older_with_its_alerts(
        self, store: SqlIncidentStore
    ) -> None:
        older = await at_work(store, "shop-payments-1")
        younger = await at_work(store, "payments", now=at(5))
        assert await store.know_target(older, SHOP, now=at(6)) is None
        assert await store.know_target(younger, SHOP, now=at(7)) == older.incident_id

        merged = await store.incident(younger.incident_id)
        assert (merged.status.value, merged.reason, merged.merged_into) == (
            "escalated",
            Reason.merged,
            older.incident_id,
        )
        shown = merged.public(at(8))
        assert (shown["reason"], shown["merged_into"], shown["needs"]) == ("merged", older.incident_id, None)
        assert (await store.incidents(needs=[Need.attention], now=at(8)))[0] == []
        kept = await store.incident(older.incident_id)
        assert set(kept.fingerprints) == {"fp-payments", "fp-shop-payments-1"}
        assert kept.event_count == 2
        with pytest.raises(LeaseLost):
            await store.write(younger, Changes(incident={"root_cause": "x"}), now=at(8))

        event = alert("payments", starts_at=at(5))
        resolve = cleared(event, ends=9, received_at=at(9))
        made = await decided(store, resolve, now=9)
        assert (made.disposition, made.incident_id, made.all_resolved) == (
            Disposition.resolve, older.incident_id, False,
        )  # fmt: skip

    async def test_an_older_one_that_looks_later_takes_the_younger_in(self, store: SqlIncidentStore) -> None:
        older = await at_work(store, "shop-payments-1")
        younger = await at_work(store, "payments", now=at(5))
        assert await store.know_target(younger, SHOP, now=at(6)) is None
        assert await store.know_target(older, SHOP, now=at(7)) is None
        assert (await store.incident(younger.incident_id)).merged_into == older.incident_id
        with pytest.raises(LeaseLost):
            await store.begin_effect(younger, effect_of(younger, now=at(8)), PolicyLimits(), now=at(8))

    async def test_what_has_acted_stays_by_itself(self, store: SqlIncidentStore) -> None:
        older = await at_work(store, "shop-payments-1")
        younger = await at_work(store, "payments", now=at(5))
        await store.begin_effect(younger, effect_of(younger, now=at(6)), PolicyLimits(), now=at(6))
        assert await store.know_target(younger, SHOP, now=at(7)) is None
        assert await store.know_target(older, SHOP, now=at(8)) is None
        assert (await store.incident(younger.incident_id)).merged_into is None

    async def test_namesakes_of_different_targets_do_not_meet(self, store: SqlIncidentStore) -> None:
        one = await at_work(store, "shop-payments-1")
        other = await at_work(store, "mon-payments-1", now=T0)
        await store.know_target(one, SHOP, now=at(1))
        theirs = KnownTarget(standing="docker/compose/mon/payments", names=frozenset({"mon-payments-1"}))
        assert await store.know_target(other, theirs, now=at(2)) is None
        assert (await store.incident(other.incident_id)).target == theirs
