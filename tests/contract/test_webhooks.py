"""Webhooks: one signed POST, whose answer is bounded, and no way elsewhere."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import ValidationError

from servers.ports import free_port
from servers.receivers import HttpReceiver, http_receiver
from sreops.adapters.webhooks import MAX_ANSWER_BYTES, HttpWebhooks
from sreops.errors import OutcomeUnknown, WebhookUnavailable
from sreops.settings import ActionsSettings, Webhook

SECRET = "of the receiver"
BODY = b'{"service":"payments"}'


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture
async def webhooks(receiver: HttpReceiver) -> AsyncIterator[HttpWebhooks]:
    url = f"http://127.0.0.1:{receiver.port}/jobs/7?token=secret"
    webhook = Webhook.model_validate(
        {"name": "job", "url": url, "secret": SECRET, "headers": {"Authorization": "Bearer abc"}, "idempotent": True}
    )
    made = HttpWebhooks([webhook])
    yield made
    await made.aclose()


async def test_it_is_one_post_of_the_body_signed_and_with_the_key(
    webhooks: HttpWebhooks, receiver: HttpReceiver
) -> None:
    answer = await webhooks.call("job", BODY, key="incident:1:0", timeout_s=5)
    assert (answer.status, answer.excerpt) == (200, "ok")
    assert receiver.bodies == [BODY]
    assert receiver.methods == ["POST"]
    [sent] = receiver.headers
    assert sent["x-sreops-signature"] == "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    assert sent["idempotency-key"] == "incident:1:0"
    assert sent["content-type"] == "application/json"
    assert sent["authorization"] == "Bearer abc"


async def test_a_query_may_hold_a_secret_and_is_told_nowhere(webhooks: HttpWebhooks, receiver: HttpReceiver) -> None:
    known = webhooks.known("job")
    assert known is not None
    assert known.shown_url == f"http://127.0.0.1:{receiver.port}/jobs/7"
    assert webhooks.known("other") is None
    receiver.script = [None]
    with pytest.raises(OutcomeUnknown) as lost:
        await webhooks.call("job", BODY, key="k", timeout_s=5)
    assert "secret" not in str(lost.value)


async def test_a_redirect_is_told_and_not_followed(webhooks: HttpWebhooks, receiver: HttpReceiver) -> None:
    receiver.status, receiver.location = 307, f"http://127.0.0.1:{receiver.port}/elsewhere"
    assert (await webhooks.call("job", BODY, key="k", timeout_s=5)).status == 307
    assert len(receiver.bodies) == 1


async def test_of_a_long_answer_only_the_beginning_is_read(webhooks: HttpWebhooks, receiver: HttpReceiver) -> None:
    receiver.said = b"x" * 2_000_000
    assert len((await webhooks.call("job", BODY, key="k", timeout_s=5)).excerpt) == MAX_ANSWER_BYTES


async def test_a_request_without_an_answer_may_have_been_heard(webhooks: HttpWebhooks, receiver: HttpReceiver) -> None:
    receiver.script = [None]
    with pytest.raises(OutcomeUnknown):
        await webhooks.call("job", BODY, key="k", timeout_s=5)
    receiver.hold.clear()
    with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.2 s"):
        await webhooks.call("job", BODY, key="k", timeout_s=0.2)
    receiver.hold.set()
    assert len(receiver.bodies) == 2


async def test_what_never_connected_was_not_sent() -> None:
    away = Webhook.model_validate({"name": "job", "url": f"http://127.0.0.1:{free_port()}/"})
    made = HttpWebhooks([away])
    with pytest.raises(WebhookUnavailable):
        await made.call("job", BODY, key="k", timeout_s=5)
    await made.aclose()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": "ftp://host/"}, "no address"),
        ({"url": "http://user:pass@host/"}, "credentials"),
        ({"url": "http://host/#there"}, "fragment"),
        ({"name": "two words"}, "pattern"),
        ({"headers": {"Idempotency-Key": "mine"}}, "set by sreops itself"),
        ({"headers": {"X-A": "one\r\nX-B: two"}}, "one line"),
        ({"header": {}}, "Extra inputs"),
    ],
)
def test_a_webhook_that_can_not_be_used_is_refused_at_start(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Webhook.model_validate({"name": "job", "url": "https://host/path", **wrong})


def test_two_webhooks_of_one_name_are_refused() -> None:
    one = {"name": "job", "url": "https://host/path"}
    with pytest.raises(ValidationError, match="twice"):
        ActionsSettings.model_validate({"webhooks": [one, one]})


def test_the_setting_is_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    from sreops.settings import load_settings

    value = [{"name": "job", "url": "https://host/path", "secret": SECRET, "headers": {"X-A": "b"}, "idempotent": True}]
    monkeypatch.setenv("SREOPS_ACTIONS__WEBHOOKS", json.dumps(value))
    [read] = load_settings(_env_file=None).actions.webhooks
    assert (read.name, read.url, read.idempotent) == ("job", "https://host/path", True)
    assert SECRET not in repr(read)
