"""What a store promises about who has signed in."""

from dataclasses import replace

import pytest
from store_scene import Opener, at

from sreops.adapters.store import SqlIncidentStore
from sreops.domain.records.api_token import ApiToken
from sreops.domain.records.audit import verify_chain
from sreops.domain.records.person import Person, ProvenBy, Role, Session
from sreops.errors import DecisionConflict, NotFound

ADA = Person("ada", Role.operator, ProvenBy.oidc)
SESSION = Session(ADA, "mark", at(0), at(100))


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
        assert await store.end_sessions_of("ada", by="root", now=at(1)) == 2
        assert [await store.session(key, now=at(1)) is None for key in "abc"] == [True, True, False]
        [told] = await store.records(kind="action")
        assert told.public()["by"] == "root"


TOKEN = ApiToken("t1", "ci", "ada", Role.operator, "ada", at(0), at(100))


class ApiTokensSuite:
    async def test_a_token_opens_until_it_expires_or_is_revoked_on_every_replica(
        self, store: SqlIncidentStore, another: Opener
    ) -> None:
        await store.add_api_token("k", TOKEN)
        replica = await another()
        assert await replica.api_token("k", now=at(99)) == TOKEN
        assert await replica.api_token("k", now=at(100)) is None
        assert await replica.api_token("other", now=at(1)) is None
        revoked = await replica.revoke_api_token("t1", by="root", now=at(5))
        assert revoked.revoked_at == at(5)
        assert await store.api_token("k", now=at(6)) is None
        assert (await store.revoke_api_token("t1", by="bob", now=at(9))).revoked_at == at(5)
        with pytest.raises(NotFound):
            await store.revoke_api_token("t2", by="root", now=at(5))
        assert [one.token_id for one in await store.api_tokens()] == ["t1"]

    async def test_giving_and_taking_are_audited_in_a_chain_without_the_secret(self, store: SqlIncidentStore) -> None:
        await store.add_api_token("k", TOKEN)
        await store.revoke_api_token("t1", by="root", now=at(5))
        records = await store.records(kind="action")
        assert [(one.public()["action"], one.public()["by"]) for one in records] == [
            ("create_api_token", "ada"),
            ("revoke_api_token", "root"),
        ]
        assert verify_chain(records, b"audit key") == []

    async def test_of_one_name_and_account_one_is_valid(self, store: SqlIncidentStore) -> None:
        await store.add_api_token("a", TOKEN)
        with pytest.raises(DecisionConflict):
            await store.add_api_token("b", replace(TOKEN, token_id="t2"))
        await store.add_api_token("c", replace(TOKEN, token_id="t3", account=""))
        await store.revoke_api_token("t1", by="ada", now=at(5))
        await store.add_api_token("d", replace(TOKEN, token_id="t4", created_at=at(6)))
