"""call_webhook: one signed POST; repeated after a crash or a lost answer only where its receiver takes a repeat."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sreops.agent.context import Tools
from sreops.agent.remediation.request import Request
from sreops.domain.incidents.incident import Effect
from sreops.domain.remediation.effects import Settled
from sreops.domain.remediation.policy import TargetFacts
from sreops.domain.remediation.target_identity import address_identity
from sreops.domain.runbooks.runbook import PlannedStep
from sreops.domain.text.redaction import one_line
from sreops.errors import OutcomeUnknown, WebhookUnavailable
from sreops.ports import WebhookAnswer, WebhookFacts

EXTERNAL_TIMER = "errand"
"""The timer of an errand that was looked after already."""
_AGAIN_S = 2.0
_EXCERPT_CHARS = 200


class WebhookCall:
    """An errand: the request of one webhook of the settings."""

    async def facts(self, tools: Tools, step: PlannedStep) -> TargetFacts:
        """Return the webhook as policy sees it: what the settings name is allowed, and nothing else is."""
        known = _known(tools, step)
        if known is None:
            return TargetFacts(name=step.target, found=False, refused=_unknown(step))
        return TargetFacts(name=step.target, found=True, listed=True, standing=address_identity(known.shown_url))

    async def before(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        """Return the standing identity and what a repeat must be the same as."""
        step = request.step
        known = _known(request.tools, step)
        if known is None:
            raise WebhookUnavailable(_unknown(step))
        snapshot = {
            "name": known.name,
            "url": known.shown_url,
            "idempotent": known.idempotent,
            "body_sha256": hashlib.sha256(body_of(step)).hexdigest(),
        }
        return address_identity(known.shown_url), snapshot

    async def send(self, request: Request, effect: Effect) -> Settled:
        """Call it; a 2xx is done, a 3xx or 4xx is a no, and what a 5xx has done nobody knows."""
        answer = await _call(request, effect)
        told = _told(request, answer)
        if 200 <= answer.status < 300:
            return Settled.succeeded(told)
        if 300 <= answer.status < 400:
            return Settled.failed(f"{told}: a redirect, and none is followed")
        if answer.status < 500:
            return Settled.failed(told)
        raise OutcomeUnknown(told)

    async def look(self, request: Request, effect: Effect) -> Settled:
        """Call it again with the same key, where its receiver takes a repeat; else nobody can know."""
        step, now = request.step, request.now()
        known = _known(request.tools, step)
        if not effect.snapshot.get("idempotent") or known is None or not known.idempotent:
            return Settled.unknown(
                "it may have been called, and is not called again, since its receiver is not said to take a repeat "
                "(`idempotent`): look there before doing anything again"
            )
        same = (known.shown_url, hashlib.sha256(body_of(step)).hexdigest())
        if same != (effect.snapshot.get("url"), effect.snapshot.get("body_sha256")):
            return Settled.unknown("it may have been called, and its settings are others now: it is not called again")
        until = effect.intent_at + timedelta(seconds=step.timeout_s + request.tools.settings.docker.settle_margin_s)
        repeated = request.waited_for == EXTERNAL_TIMER
        latest = effect.intent_at + timedelta(seconds=request.tools.settings.policy.max_event_age_s)
        if now >= until and (repeated or now >= latest):  # one that comes back late from a crash repeats it once
            return Settled.unknown("it may have been called, and too long ago for a repeat: look at its receiver")
        if (await request.tools.store.pause_state())["paused"] or await request.tools.paused_by_file() is not None:
            return Settled.unknown("it may have been called, and automation is paused: it is not called again")
        again = now + timedelta(seconds=_AGAIN_S)
        try:
            answer = await _call(request, effect)
        except (WebhookUnavailable, OutcomeUnknown) as exc:
            return Settled.later(f"called again, without an answer: {exc}", again)
        told = _told(request, answer)
        if 200 <= answer.status < 300:
            return Settled.succeeded(f"{told} (called again with the same key)")
        return Settled.later(f"called again: {told}", again)  # which says nothing of the first call


def body_of(step: PlannedStep) -> bytes:
    """Return the JSON that is sent: the same bytes at every repeat."""
    body = step.params.get("body") or {}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _known(tools: Tools, step: PlannedStep) -> WebhookFacts | None:
    return tools.webhooks.known(step.target) if tools.webhooks is not None else None


def _unknown(step: PlannedStep) -> str:
    return f"SREOPS_ACTIONS__WEBHOOKS has no webhook {step.target!r}"


async def _call(request: Request, effect: Effect) -> WebhookAnswer:
    step = request.step
    if request.tools.webhooks is None:
        raise WebhookUnavailable(_unknown(step))
    timeout_s = min(step.timeout_s, request.longest_request_s)
    return await request.tools.webhooks.call(step.target, body_of(step), key=effect.effect_id, timeout_s=timeout_s)


def _told(request: Request, answer: WebhookAnswer) -> str:
    excerpt = one_line(request.redact(answer.excerpt), _EXCERPT_CHARS)
    return f"it answered {answer.status}" + (f": {excerpt}" if excerpt else "")
