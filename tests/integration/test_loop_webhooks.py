"""call_webhook in the whole loop: approved, called once, and after a lost answer repeated only where that is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from loop_scene import Scene, loop_scene

from servers.receivers import HttpReceiver, http_receiver
from servers.waiting import eventually
from sreops.domain.incidents.incident import EffectOutcome, Incident, Reason

Patch = pytest.MonkeyPatch
RUNBOOKS = """
version: 1
runbooks:
  - id: restart-by-job
    when: {}
    autonomy: autonomous
    steps:
      - action: call_webhook
        params:
          name: job
          body: {limit: "{{ service }}", dry: false, tries: 3, "on": [web, "{{ service }}"]}
        timeout_s: 3
"""


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


def settings(tmp_path: Path, receiver: HttpReceiver, **webhook: object) -> dict[str, str]:
    runbooks = tmp_path / "webhook.yaml"
    runbooks.write_text(RUNBOOKS)
    told = {"name": "job", "url": f"http://127.0.0.1:{receiver.port}/launch", "secret": "s", **webhook}
    return {"SREOPS_ACTIONS__WEBHOOKS": json.dumps([told]), "SREOPS_RUNBOOKS": str(runbooks)}


async def approved(it: Scene) -> Incident:
    await it.fire(runbook_id="restart-by-job", tier="supervised", escalate_threshold="0")
    waiting = await it.reaches("awaiting_approval")
    assert not waiting.effects
    answer = await it.decide(waiting, "approve")
    assert answer.status_code == 200, answer.text
    return waiting


async def test_an_approved_call_is_made_once_and_its_answer_is_told(
    tmp_path: Path, monkeypatch: Patch, receiver: HttpReceiver
) -> None:
    receiver.said = b"job 7 launched, password=hunter2secret"
    async with loop_scene(tmp_path, monkeypatch, **settings(tmp_path, receiver)) as it:
        await approved(it)
        found = await eventually(lambda: _acted(it), 20, what="the webhook to be called")
        [effect] = found.effects
        assert effect.outcome is EffectOutcome.succeeded
        assert "it answered 200: job 7 launched" in effect.detail
        assert "hunter2secret" not in effect.detail
        assert effect.standing == f"url/http%3A%2F%2F127.0.0.1%3A{receiver.port}%2Flaunch"
        assert [json.loads(body) for body in receiver.bodies] == [
            {"limit": "payments", "dry": False, "tries": 3, "on": ["web", "payments"]}
        ]
        assert receiver.headers[0]["idempotency-key"] == effect.effect_id


async def test_a_lost_answer_is_unknown_where_no_repeat_is_taken(
    tmp_path: Path, monkeypatch: Patch, receiver: HttpReceiver
) -> None:
    receiver.script = [None]
    async with loop_scene(tmp_path, monkeypatch, **settings(tmp_path, receiver)) as it:
        await approved(it)
        incident = await it.ended()
        assert incident.reason is Reason.outcome_unknown
        assert [effect.outcome for effect in incident.effects] == [EffectOutcome.unknown]
        assert len(receiver.bodies) == 1


async def test_a_lost_answer_is_asked_for_again_with_the_same_key_where_a_repeat_is_taken(
    tmp_path: Path, monkeypatch: Patch, receiver: HttpReceiver
) -> None:
    receiver.script = [None, 503, 200]
    async with loop_scene(tmp_path, monkeypatch, **settings(tmp_path, receiver, idempotent=True)) as it:
        await approved(it)
        found = await eventually(lambda: _acted(it), 20, what="the webhook to have answered")
        assert [effect.outcome for effect in found.effects] == [EffectOutcome.succeeded]
        assert len(receiver.bodies) == 3
        assert len(set(receiver.bodies)) == 1
        assert len({one["idempotency-key"] for one in receiver.headers}) == 1


@pytest.mark.parametrize("status", [302, 404, 422])
async def test_a_no_is_a_step_that_failed(
    tmp_path: Path, monkeypatch: Patch, receiver: HttpReceiver, status: int
) -> None:
    receiver.status = status
    async with loop_scene(tmp_path, monkeypatch, **settings(tmp_path, receiver)) as it:
        await approved(it)
        incident = await it.ended()
        assert incident.reason is Reason.step_failed
        assert f"answered {status}" in incident.effects[0].detail
        assert len(receiver.bodies) == 1


async def test_a_server_error_may_have_done_it(tmp_path: Path, monkeypatch: Patch, receiver: HttpReceiver) -> None:
    receiver.status = 502
    async with loop_scene(tmp_path, monkeypatch, **settings(tmp_path, receiver)) as it:
        await approved(it)
        assert (await it.ended()).reason is Reason.outcome_unknown
        assert len(receiver.bodies) == 1


async def test_a_webhook_that_the_settings_do_not_name_is_denied_with_the_cure(
    tmp_path: Path, monkeypatch: Patch, receiver: HttpReceiver
) -> None:
    given = settings(tmp_path, receiver, name="other")
    async with loop_scene(tmp_path, monkeypatch, **given) as it:
        await it.fire(runbook_id="restart-by-job", tier="supervised", escalate_threshold="0")
        incident = await it.ended()
        assert incident.reason is Reason.policy_denied
        assert "SREOPS_ACTIONS__WEBHOOKS has no webhook 'job'" in str(incident.decision)
        assert not receiver.bodies


async def test_an_answer_is_no_proof_that_it_helped(tmp_path: Path, monkeypatch: Patch, receiver: HttpReceiver) -> None:
    async with loop_scene(tmp_path, monkeypatch, **settings(tmp_path, receiver)) as it:
        await approved(it)
        incident = await it.ended()  # the leak goes on
        assert incident.status.value == "escalated"
        assert incident.reason in (Reason.remediation_ineffective, Reason.verification_unknown)
        assert incident.resolution is None


async def _acted(it: Scene) -> Incident | None:
    found = await it.incident()
    done = found is not None and found.effects and found.effects[0].outcome is not None
    return found if done else None
