"""What people say of an incident and do with it: audited, refused where it makes no sense."""

import pytest
from store_notices_suite import ESCALATED, handed_over, put_out
from store_scene import alert, always, at, at_work, effect_of, ended, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.incidents.closed_as import ClosedAs
from sreops.domain.incidents.correlation import Windows, correlate
from sreops.domain.incidents.incident import EffectOutcome, IncidentStatus, Resolution
from sreops.domain.incidents.needs import Need, need_of
from sreops.domain.remediation.policy import PolicyLimits
from sreops.errors import DecisionConflict, LeaseLost, NotFound
from sreops.ports import Changes


async def actions(store: SqlIncidentStore, incident_id: str) -> list[tuple[str, str]]:
    told = await store.records(incident_id=incident_id, kind="action", limit=99)
    return [(record.body["action"], record.body["by"]) for record in told]


async def closed(store: SqlIncidentStore, incident_id: str, was: ClosedAs = ClosedAs.fixed) -> None:
    await store.close_incident(incident_id, by="ann", reason="done", was=was, cause="a leak", now=at(60))


class PeopleSuite:
    async def test_what_is_acknowledged_asks_no_more_and_shows_who(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        assert need_of(await store.incident(incident_id), at(6)) is Need.attention
        incident = await store.acknowledge(incident_id, by="ann", reason="looking", now=at(7))
        assert (need_of(incident, at(8)), incident.acknowledged_by, incident.acknowledged_at) == (None, "ann", at(7))
        assert ("acknowledge", "ann") in await actions(store, incident_id)

    async def test_an_acknowledgement_ends_where_it_is_handed_over_after_it(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await store.acknowledge(lease.incident_id, by="ann", reason="seen", now=at(2))
        incident = await store.write(lease, Changes(incident=ESCALATED), now=at(5))
        assert (incident.acknowledged_by, need_of(incident, at(6))) == (None, Need.attention)

    async def test_a_person_closes_what_was_handed_over(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        await closed(store, incident_id)
        incident = await store.incident(incident_id)
        assert (incident.status, incident.resolution) == (IncidentStatus.resolved, Resolution.closed)
        assert incident.closed is not None
        assert (incident.closed["was"], incident.closed["cause"]) == ("fixed", "a leak")
        assert await put_out(store) == ["attention", "resolved"]
        assert ("close", "ann") in await actions(store, incident_id)
        with pytest.raises(DecisionConflict, match="resolved already"):
            await closed(store, incident_id)

    async def test_closing_stops_the_work_in_flight(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await closed(store, lease.incident_id)
        with pytest.raises(LeaseLost):
            await store.write(lease, Changes(incident=ESCALATED), now=at(61))
        assert await store.claim("w2", now=at(3600), lease_s=30, limit=9) == []

    async def test_nobody_closes_while_an_effect_is_under_way(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        effect = await store.begin_effect(lease, effect_of(lease), PolicyLimits(), now=at(1))
        with pytest.raises(DecisionConflict, match="payments is not known yet"):
            await closed(store, lease.incident_id)
        await store.end_effect(lease, effect.effect_id, EffectOutcome.succeeded, "", now=at(2))
        await closed(store, lease.incident_id)

    async def test_an_alert_that_fires_on_reopens_what_was_closed_after_the_grace(
        self, store: SqlIncidentStore
    ) -> None:
        incident_id = await handed_over(store)
        await closed(store, incident_id)
        windows = Windows()
        made = []
        for second in (120.0, 60 + windows.clear_grace_s + 1):
            again = alert(starts_at=at(0), received_at=at(second))
            decision = await store.correlate(
                again, lambda event, known, second=second: correlate(event, known, at(second), windows), now=at(second)
            )
            made.append((decision.disposition.value, decision.incident_id))
        assert made == [("repeat", incident_id), ("refire", incident_id)]
        assert (await store.incident(incident_id)).resolution is None

    async def test_what_was_handed_over_is_given_back_in_a_new_episode(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        incident = await store.rerun(incident_id, by="ann", reason="the runbook is there now", now=at(60))
        assert (incident.status, incident.episode) == (IncidentStatus.investigating, 2)
        assert incident.given_back is not None
        assert incident.given_back["episode"] == 2
        [lease] = await store.claim("w2", now=at(61), lease_s=30, limit=9)
        assert (lease.incident_id, lease.episode, lease.woken_by) == (incident_id, 2, "start")
        with pytest.raises(DecisionConflict, match="working on it"):
            await store.rerun(incident_id, by="ann", reason="again", now=at(62))

    async def test_feedback_is_kept_and_audited(self, store: SqlIncidentStore) -> None:
        lease = await at_work(store)
        await ended(store, lease, now=at(9))
        incident = await store.feed_back(
            lease.incident_id, by="ann", right=False, cause="a deploy", component="cart", now=at(10)
        )
        assert incident.feedback is not None
        assert (incident.feedback["right"], incident.feedback["component"]) == (False, "cart")
        assert ("feedback", "ann") in await actions(store, lease.incident_id)
        with pytest.raises(DecisionConflict):
            await store.acknowledge(lease.incident_id, by="ann", reason="?", now=at(11))

    async def test_a_question_and_its_answer_are_kept(self, store: SqlIncidentStore) -> None:
        incident_id = await opened(store)
        told = {"by": "ann", "question": "was it the deploy?", "answer": "No.", "analyst": "rules"}
        await store.asked(incident_id, **told, now=at(3))
        [thought] = await store.records(incident_id=incident_id, kind="thought", limit=1, newest=True)
        assert (thought.body["text"], thought.body["data"]["question"]) == ("No.", "was it the deploy?")
        with pytest.raises(NotFound):
            await store.asked("nobody", **told, now=at(3))

    async def test_a_closed_incident_is_no_riddle_to_an_older_sreops(self, store: SqlIncidentStore) -> None:
        incident_id = await handed_over(store)
        await closed(store, incident_id, ClosedAs.false_alarm)
        row = await store._db.read(
            lambda connection: connection.exec_driver_sql("SELECT resolution FROM incidents").one()
        )
        assert row[0] == "false_alarm"
        assert (await store.correlate(alert(), always("repeat", incident_id), now=at(70))).incident_id == incident_id
