"""Calls to the model within bounds: counted before they are made, retried as the server asks, behind a breaker."""

import asyncio
import json
import math
import random
import time
import uuid
from typing import Any, Final

from sreops.adapters.claude.api import Answered, Api, Lost
from sreops.adapters.claude.breaker import LONGEST_OPEN_S, Breaker
from sreops.adapters.claude.reply import Reply, Unusable, read_reply
from sreops.backoff import delay_s
from sreops.domain.model.budget import ANSWERED, ModelCall, ModelLimits
from sreops.domain.model.cost import MICRO_USD, TokenCount, cost_micro_usd, price_of, worst_case
from sreops.errors import AnalystRefused, AnalystUnavailable, BudgetSpent, SreopsError
from sreops.ports import Clock, ModelLedger
from sreops.settings import LLMSettings
from sreops.telemetry import (
    MODEL_BREAKER,
    MODEL_COST,
    MODEL_REQUESTS,
    MODEL_SECONDS,
    MODEL_TOKENS,
    log,
)

BREAKER_CLOSED: Final = "model.breaker_closed"
CALL_NOT_SETTLED: Final = "model.call_not_settled"
CALL_WAITED: Final = "model.call_waited"
BREAKER_OPENED: Final = "model.breaker_opened"

_FIRST_WAIT_S = 0.5
_OUR_FAULT = frozenset({400, 413, 422})
"""One request that was wrong says nothing about the next: the breaker does not count it."""


class Calls:
    """Sends requests for all incidents of the process; one breaker and one wait for all."""

    def __init__(self, api: Api, settings: LLMSettings, ledger: ModelLedger, clock: Clock) -> None:
        self._api = api
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._price = price_of(settings.model, settings.prices)
        self._not_before_s = 0.0
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_open_s)

    def open_at(self, deadline_s: float) -> bool:
        """Say whether another call could go before ``deadline_s`` (monotonic seconds)."""
        now_s = time.monotonic()
        return now_s < deadline_s and self._not_before_s < deadline_s and self.breaker.state(now_s) == "closed"

    def reserve(self, request: dict[str, Any]) -> TokenCount:
        """Return what a request may take at most."""
        prompt = {name: request.get(name) for name in ("system", "tools", "messages", "output_config")}
        return worst_case(len(json.dumps(prompt, ensure_ascii=False).encode("utf-8", "replace")), request["max_tokens"])

    async def send(
        self, incident_id: str, request: dict[str, Any], *, deadline_s: float, kept: TokenCount | None = None
    ) -> Reply:
        """Ask, and again where that is worth it before ``deadline_s`` (monotonic seconds).

        ``kept`` is room under the ceilings that this call must leave, for a last one. Raises AnalystUnavailable,
        AnalystRefused, BudgetSpent, or Unusable for an answer that is no message.
        """
        tries = 0
        while True:
            await self._wait_until_allowed(deadline_s)
            tries += 1
            try:
                return await self._once(incident_id, request, deadline_s, kept or TokenCount())
            except AnalystUnavailable as exc:
                wait_s = self._wait_s(exc, tries)
                if isinstance(exc, Answered) and exc.retry_after_s is not None:
                    # what is told to one incident holds for all: the others would only be refused as well
                    until_s = time.monotonic() + min(exc.retry_after_s, LONGEST_OPEN_S)
                    self._not_before_s = max(self._not_before_s, until_s)
                room_s = deadline_s - time.monotonic()
                state = self.breaker.state(time.monotonic())
                if tries > self._settings.max_retries or wait_s >= room_s or state != "closed":
                    raise
                log.info(CALL_WAITED, wait_s=round(wait_s, 2), error=str(exc))
                await asyncio.sleep(wait_s)

    def _wait_s(self, exc: AnalystUnavailable, tries: int) -> float:
        """Return the server's own wait (one that is too long is not waited for at all), else an exponential one."""
        wait_s = delay_s(tries, _FIRST_WAIT_S, math.inf) if exc.retry_after_s is None else exc.retry_after_s
        if wait_s > self._settings.max_retry_wait_s:
            return math.inf
        return wait_s * random.uniform(1.0, 1.25)  # noqa: S311  # spreads retries, guards nothing

    async def _wait_until_allowed(self, deadline_s: float) -> None:
        now_s = time.monotonic()
        while self._not_before_s > now_s:  # another incident may have been told to wait longer meanwhile
            wait_s = self._not_before_s - now_s
            if self._not_before_s >= deadline_s or wait_s > self._settings.max_retry_wait_s * 1.25:
                raise AnalystUnavailable(
                    f"{self._api.shown} asked to wait for {wait_s:.0f} s more", retry_after_s=wait_s
                )
            # not all at the same moment: that would be the next storm
            spread_s = min(wait_s * 0.25, max(0.0, deadline_s - self._not_before_s) / 2)
            await asyncio.sleep(wait_s + random.uniform(0.0, spread_s))  # noqa: S311  # guards nothing
            now_s = time.monotonic()
        if not self.breaker.admits(now_s, max(0.0, deadline_s - now_s)):
            raise AnalystUnavailable(
                f"{self._api.shown} is not asked for {self.breaker.wait_s(now_s):.0f} s more, because it failed "
                f"{self.breaker.in_a_row} times in a row, last: {self.breaker.last_error}",
                retry_after_s=self.breaker.wait_s(now_s),
            )

    async def _once(self, incident_id: str, request: dict[str, Any], deadline_s: float, kept: TokenCount) -> Reply:
        timeout_s = deadline_s - time.monotonic()
        if timeout_s <= 0:
            self.breaker.gave_up()
            raise AnalystUnavailable(f"{self._api.shown} was not asked: the time for the analysis is over")
        call = await self._begin(incident_id, request, kept)
        began_s = time.monotonic()
        try:
            silence_s = min(self._settings.timeout_s, timeout_s)
            text = await self._api.message(request, timeout_s=timeout_s, silence_s=silence_s)
            reply = read_reply(text)
        except BaseException as exc:
            outcome, took = _outcome_of(exc)
            # shielded: a call that was made is counted, also where its incident is being shut down
            await asyncio.shield(self._end(call, outcome, took, time.monotonic() - began_s))
            self._judge(exc)
            raise
        await asyncio.shield(self._end(call, ANSWERED, reply.tokens, time.monotonic() - began_s))
        self._closed()
        return reply

    async def _begin(self, incident_id: str, request: dict[str, Any], kept: TokenCount) -> ModelCall:
        reserved = self.reserve(request)
        call = ModelCall(
            call_id=uuid.uuid4().hex,
            incident_id=incident_id,
            model=self._settings.model,
            at=self._clock.now(),
            reserved=reserved,
            reserved_micro_usd=cost_micro_usd(reserved, self._price),
        )
        try:
            await self._ledger.begin_model_call(call, self._limits(kept))
        except SreopsError as exc:
            if isinstance(exc, BudgetSpent):
                MODEL_REQUESTS.labels(self._settings.model, "unspent").inc()
            self.breaker.gave_up()
            raise
        return call

    def _limits(self, kept: TokenCount) -> ModelLimits:
        settings = self._settings
        kept_micro_usd = cost_micro_usd(kept, self._price)
        return ModelLimits(
            micro_usd_per_incident=round(settings.max_usd_per_incident * MICRO_USD) - kept_micro_usd,
            micro_usd_per_day=round(settings.max_usd_per_day * MICRO_USD) - kept_micro_usd,
            tokens_per_incident=settings.max_tokens_per_incident - kept.total,
            tokens_per_day=settings.max_tokens_per_day - kept.total,
        )

    async def _end(self, call: ModelCall, outcome: str, took: TokenCount | None, seconds: float) -> None:
        micro_usd = call.reserved_micro_usd if took is None else cost_micro_usd(took, self._price)
        counted = call.reserved if took is None else took
        MODEL_REQUESTS.labels(call.model, outcome).inc()
        MODEL_COST.labels(call.model).inc(micro_usd / MICRO_USD)
        MODEL_SECONDS.observe(seconds)
        for direction, tokens in counted.model_dump().items():
            MODEL_TOKENS.labels(direction).inc(tokens)
        try:
            await self._ledger.end_model_call(
                call.call_id, outcome=outcome, tokens=took, micro_usd=micro_usd, seconds=seconds
            )
        except SreopsError as exc:  # what it reserved stands, which is more: no reason to lose an answer
            log.warning(CALL_NOT_SETTLED, call_id=call.call_id, error=str(exc))

    def _judge(self, exc: BaseException) -> None:
        """Let the breaker count what says that the next call would fail as well."""
        if isinstance(exc, Unusable) or (isinstance(exc, AnalystRefused) and exc.status in _OUR_FAULT):
            self._closed()  # somebody is there, and answers
        elif isinstance(exc, AnalystUnavailable | AnalystRefused):
            retry_after_s = getattr(exc, "retry_after_s", None) or 0.0
            if self.breaker.failed(time.monotonic(), str(exc), retry_after_s=retry_after_s):
                MODEL_BREAKER.set(1)
                log.warning(BREAKER_OPENED, failures=self.breaker.in_a_row, error=str(exc))
        else:
            self.breaker.gave_up()

    def _closed(self) -> None:
        if self.breaker.state(time.monotonic()) != "closed":
            log.info(BREAKER_CLOSED)
        self.breaker.succeeded()
        MODEL_BREAKER.set(0)


def _outcome_of(exc: BaseException) -> tuple[str, TokenCount | None]:
    """Return the outcome's name, and what it took: nothing where the API refused, None where that is not known."""
    if isinstance(exc, Answered):
        return f"status_{exc.status}", TokenCount()
    if isinstance(exc, Unusable):
        return "unreadable", None
    if isinstance(exc, AnalystRefused):
        return (f"status_{exc.status}", TokenCount()) if exc.status else ("unreadable", None)
    if isinstance(exc, AnalystUnavailable) and not isinstance(exc, Lost):
        return "unreachable", TokenCount()
    return "lost", None
