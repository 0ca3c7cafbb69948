"""The store's promise about looking for incidents: what is asked for is found, and only that, whatever its text."""

from typing import Any

import pytest
from store_scene import alert, always, at, at_work, ended, from_topic, opened

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.alerts.alert import Severity
from sreops.domain.alerts.subject import Subject, SubjectKind
from sreops.domain.incidents.search import Search
from sreops.ports import Changes


def subject(name: str, **scope: str) -> Subject:
    return Subject(name=name, kind=SubjectKind.container, scope=scope, read_from="label container")


async def found(store: SqlIncidentStore, **asked: Any) -> list[str]:
    return [one.service for one in (await store.incidents(search=Search(**asked)))[0]]


class SearchSuite:
    """What a search finds, newest first."""

    async def test_by_severity_and_by_when_it_was_opened(self, store: SqlIncidentStore) -> None:
        await opened(store, "cart", now=at(0), severity=Severity.warning)
        await opened(store, "search", now=at(10), severity=Severity.critical)
        await opened(store, "ledger", now=at(20), severity=Severity.warning)
        assert await found(store) == ["ledger", "search", "cart"]
        assert await found(store, severities=(Severity.warning,)) == ["ledger", "cart"]
        assert await found(store, severities=(Severity.warning, Severity.critical)) == ["ledger", "search", "cart"]
        assert await found(store, since=at(10)) == ["ledger", "search"]
        assert await found(store, since=at(0), until=at(20)) == ["search", "cart"]

    async def test_by_subject_and_scope(self, store: SqlIncidentStore) -> None:
        shop = subject("pay_ments", namespace="shop", cluster="eu-1")
        await opened(store, "pay_ments", now=at(0), subject=shop)
        await opened(store, "payments", now=at(1), subject=subject("payments", namespace="shop-2"))
        await opened(store, "shop", now=at(2), subject=subject("shop", environment="prod"))
        assert await found(store, subject="PAY") == ["payments", "pay_ments"]
        assert await found(store, subject="y_m") == ["pay_ments"], "an underscore is no wildcard"
        assert await found(store, subject="%") == []
        assert await found(store, scope=("namespace=shop",)) == ["pay_ments"]
        assert await found(store, scope=("shop",)) == ["pay_ments"], "a name is no scope"
        assert await found(store, scope=("shop", "cluster=eu-1")) == ["pay_ments"]
        assert await found(store, scope=("cluster=shop",)) == []

    async def test_by_words_in_cause_alert_scope_and_id(self, store: SqlIncidentStore) -> None:
        first, second = await at_work(store, "cart", now=at(0)), await opened(store, "ledger", now=at(1))
        cause = "The certificate of ümlaut\\ 100 % expired"
        await store.write(first, Changes(incident={"root_cause": cause, "category": "certificate"}), now=at(2))
        assert await found(store, words=("CERTIFICATE", "expired")) == ["cart"]
        assert await found(store, words=("expired", "nowhere")) == []
        assert await found(store, words=("ümlaut\\", "%")) == ["cart"]
        assert await found(store, words=("highmem",)) == ["ledger", "cart"]
        assert await found(store, words=(second,)) == ["ledger"]
        joining = alert("cart", fingerprint="f2", labels={"alertname": "DiskFull", "service": "cart"})
        await store.correlate(joining, always("attach", first.incident_id), now=at(3))
        assert await found(store, words=("diskfull",)) == ["cart"]

    async def test_by_words_of_the_alerts_own_text(self, store: SqlIncidentStore) -> None:
        first = await at_work(store, "cart", now=at(0))
        await opened(store, "ledger", now=at(1))
        said = {"summary": 'The "heap" of Überweisung is 100 % full'}
        joining = alert("cart", fingerprint="f2", annotations=said)
        await store.take_in([from_topic(joining, offset=7)], now=at(2))
        await store.correlate(joining, always("attach", first.incident_id), now=at(3))
        assert await found(store, words=("HEAP", "full")) == ["cart"]
        assert await found(store, words=('"heap"', "Überweisung")) == ["cart"]
        assert await found(store, words=("heap_of",)) == []
        assert await found(store, words=("f2",)) == [], "what stands before the annotations is not text for people"

    async def test_all_that_is_given_must_hold_and_pages_go_on(self, store: SqlIncidentStore) -> None:
        for number in range(7):
            await opened(store, f"cart-{number}", now=at(number), severity=Severity.warning)
            await opened(store, f"web-{number}", now=at(number), severity=Severity.warning)
        search = Search(severities=(Severity.warning,), subject="cart")
        names, cursor = [], None
        while True:
            page, cursor = await store.incidents(status="open", search=search, limit=3, cursor=cursor)
            names += [one.service for one in page]
            if cursor is None:
                break
        assert names == [f"cart-{number}" for number in reversed(range(7))]

    async def test_storms_are_told_from_the_rest(self, store: SqlIncidentStore) -> None:
        storm = await at_work(store, "many", now=at(0))
        await ended(store, storm, now=at(1), status="escalated", resolution=None, reason="storm", verification=None)
        other = await at_work(store, "ledger", now=at(2))
        await ended(store, other, now=at(3), status="escalated", resolution=None, reason="timed_out", verification=None)
        await opened(store, "cart", now=at(4))
        assert await found(store, storms=True) == ["many"]
        assert await found(store, storms=False) == ["cart", "ledger"]

    @pytest.mark.parametrize(
        "text", ["'; DROP TABLE incidents; --", '"', "\\", "\x00", "\ud800", "%_%", "a" * 5000, "["]
    )
    async def test_hostile_text_is_only_looked_for(self, store: SqlIncidentStore, text: str) -> None:
        await opened(store, "cart")
        for asked in ({"words": (text,)}, {"subject": text}, {"scope": (text,)}, {"scope": (f"{text}={text}",)}):
            assert await found(store, **asked) == []
        assert await found(store) == ["cart"]
