"""What a store promises about who has signed in."""

from dataclasses import replace

from store_scene import Opener, at

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.records.person import PendingSignIn, Person, ProvenBy, Role, Session

ADA = Person("ada", Role.operator, ProvenBy.oidc)
SESSION = Session(ADA, "mark", at(0), at(100))
PENDING = PendingSignIn("state", "browser", "nonce", "verifier", "/incidents/x", at(60))


class SessionsSuite:
    async def test_a_session_is_found_until_it_expires(self, store: SqlIncidentStore) -> None:
        await store.begin_session("k", SESSION)
        assert await store.session("k", now=at(99)) == SESSION
        assert await store.session("k", now=at(100)) is None
        assert await store.session("other", now=at(1)) is None

    async def test_a_session_that_was_ended_is_over_for_everybody(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        await store.begin_session("k", SESSION)
        replica = await another()
        assert await replica.session("k", now=at(1)) == SESSION
        await replica.end_session("k")
        await replica.end_session("k")
        assert await store.session("k", now=at(1)) is None

    async def test_all_sessions_of_an_account_end_and_no_others(self, store: SqlIncidentStore) -> None:
        for key, account in (("a", "ada"), ("b", "ada"), ("c", "bob")):
            await store.begin_session(key, replace(SESSION, person=replace(ADA, account=account)))
        assert await store.end_sessions_of("ada") == 2
        assert [await store.session(key, now=at(1)) is None for key in "abc"] == [True, True, False]

    async def test_what_a_browser_was_sent_away_with_serves_once(self, store: SqlIncidentStore) -> None:
        await store.begin_sign_in(PENDING, now=at(0))
        assert await store.take_sign_in("other", now=at(1)) is None
        assert await store.take_sign_in("state", now=at(1)) == PENDING
        assert await store.take_sign_in("state", now=at(1)) is None
        await store.begin_sign_in(PENDING, now=at(0))
        assert await store.take_sign_in("state", now=at(60)) is None
