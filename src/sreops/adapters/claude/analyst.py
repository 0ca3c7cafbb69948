"""Claude as an analyst: a bounded conversation per incident, one structured answer, checked before it is believed."""

import ssl
import time
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import SecretStr

from sreops.adapters.claude.api import Api, TooLong
from sreops.adapters.claude.calls import Calls
from sreops.adapters.claude.conversation import Conversation
from sreops.adapters.claude.memory_ledger import MemoryLedger
from sreops.adapters.claude.question import question_request, read_answer
from sreops.adapters.claude.reply import Reply, Unusable, read_analysis
from sreops.domain.causes.analysis import Brief
from sreops.domain.model.cost import MICRO_USD, TokenCount
from sreops.errors import AnalystRefused, AnalystUnavailable, BudgetSpent, StoreUnavailable
from sreops.ports import AnalystAnswer, Answer, Clock, Health, Inquiry, ModelLedger
from sreops.settings import LLMSettings
from sreops.telemetry import log

LIMIT_REACHED: Final = "model.limit_reached"
ANSWER_REPAIRED: Final = "model.answer_repaired"
RETIRES_SOON: Final = "model.retires_soon"
PROMPT_SHORTENED: Final = "model.prompt_shortened"

HEALTH_TIMEOUT_S = 2.5
HEALTH_KEPT_S = 60.0
RETIRES_SOON_DAYS = 30
_ASKING_SHARE = 0.6
"""Of the time for an analysis: beyond it no more questions are answered."""
_FINAL_SHARE = 0.2
"""Of the time for an analysis, kept for the last request: a step that hangs may not use it up."""


class _WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class ClaudeAnalyst:
    """Asks the model of ``settings`` with ``api_key``; raises SettingsInvalid where there is no key.

    ``ledger`` keeps the account that the ceilings are held against; without one it lasts as long as the process.
    """

    name = "claude"

    def __init__(
        self,
        settings: LLMSettings,
        api_key: SecretStr,
        *,
        ledger: ModelLedger | None = None,
        clock: Clock | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._api = Api(settings, api_key, trust)
        self._clock: Clock = clock or _WallClock()
        self._ledger: ModelLedger = ledger or MemoryLedger()
        self._calls = Calls(self._api, settings, self._ledger, self._clock)
        self._health: tuple[float, Health] | None = None
        self._warned = False

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.aclose()

    async def analyze(self, brief: Brief, *, timeout_s: float, inquiry: Inquiry | None = None) -> AnalystAnswer:
        """Ask until it answers or a limit is reached, and then for the best partial answer.

        Raises AnalystUnavailable (worth another try) or AnalystRefused (an answer not to be believed).
        """
        return await _Analysis(self._settings, self._calls, brief, inquiry, timeout_s).run()

    async def answer(self, brief: Brief, account: str, question: str, *, timeout_s: float) -> Answer:
        """Answer a person's question in one request, under the same ceilings as an analysis."""
        request = question_request(brief, account, question, model=self._settings.model)
        reply = await self._calls.send(brief.incident_id, request, deadline_s=time.monotonic() + timeout_s)
        return read_answer(reply, brief)

    async def health(self) -> Health:
        """Say whether it is asked at all, and whether the model is there (asked once a minute, at no cost)."""
        now_s = time.monotonic()
        breaker = self._calls.breaker
        if breaker.state(now_s) != "closed":
            return Health(
                "down",
                f"breaker {breaker.state(now_s)}: {breaker.in_a_row} failures in a row, next try in "
                f"{breaker.wait_s(now_s):.0f} s; last: {breaker.last_error}",
                "the rules answer meanwhile; it is tried again by itself",
            )
        if self._health is None or now_s - self._health[0] > HEALTH_KEPT_S:
            self._health = (now_s, await self._look())
        found = self._health[1]
        if found.status != "up":
            return found
        try:
            today = await self._ledger.model_usage(day=self._clock.now())
        except StoreUnavailable as exc:
            return Health("up", f"{found.detail}; breaker closed; today's cost is not known: {exc}", found.cure)
        spent = f"{today.micro_usd / MICRO_USD:.2f} of {self._settings.max_usd_per_day:g} dollars spent today"
        return Health("up", f"{found.detail}; breaker closed; {spent}", found.cure)

    async def _look(self) -> Health:
        model = self._settings.model
        try:
            found = await self._api.model(model, timeout_s=HEALTH_TIMEOUT_S)
        except AnalystUnavailable as exc:
            return Health("down", str(exc), "; ".join(filter(None, (exc.cure, "the rules answer meanwhile"))))
        except AnalystRefused as exc:
            cure = "check SREOPS_LLM__API_KEY" if exc.status in (401, 403) else "check SREOPS_LLM__MODEL and __BASE_URL"
            return Health("down", str(exc), cure)
        if getattr(found, "lifecycle", "active") == "retired":
            return Health("down", f"model {model} is retired", "set SREOPS_LLM__MODEL to one that is not")
        return self._up(model, getattr(found, "retires_at", None))

    def _up(self, model: str, retires: Any) -> Health:
        if not isinstance(retires, datetime):
            return Health("up", f"model {model}")
        days = (retires - self._clock.now()).total_seconds() / 86_400
        detail = f"model {model}; retires on {retires:%Y-%m-%d}"
        if days >= RETIRES_SOON_DAYS:
            return Health("up", detail)
        if not self._warned:
            self._warned = True
            log.warning(RETIRES_SOON, model=model, retires_at=retires.isoformat(), days=round(days))
        return Health("up", f"{detail}, in {days:.0f} days", "set SREOPS_LLM__MODEL to its successor before that day")


class _Analysis:
    """One analysis: the loop over questions, its limits, and the one second try."""

    def __init__(
        self, settings: LLMSettings, calls: Calls, brief: Brief, inquiry: Inquiry | None, timeout_s: float
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._incident_id = brief.incident_id
        self._talk = Conversation(settings, brief, inquiry)
        began_s = time.monotonic()
        self._deadline_s = began_s + timeout_s
        self._asking_until_s = began_s + timeout_s * _ASKING_SHARE
        self._last_from_s = began_s + timeout_s * (1 - _FINAL_SHARE)
        self._steps = 0
        self._tokens = TokenCount()
        self._notes: list[str] = []
        self._ending = ""  # why no question may be asked any more
        self._repaired = False

    async def run(self) -> AnalystAnswer:
        while True:
            final = self._must_end()
            reply = await self._ask(final)
            if reply is None:
                continue
            if reply.stop_reason == "tool_use" and reply.questions and not final:
                await self._talk.answer(reply, until_s=self._asking_until_s)
                continue
            try:
                analysis = read_analysis(reply, self._talk.evidence_ids)
            except Unusable as exc:
                self._once_more(reply, exc)
                continue
            return AnalystAnswer(
                analysis=analysis,
                model=reply.model or self._settings.model,
                input_tokens=self._tokens.prompt,
                output_tokens=self._tokens.output,
                notes=tuple(self._notes),
            )

    def _must_end(self) -> bool:
        """Say whether the next request is the last; the first limit that is reached is noted."""
        if self._ending or self._repaired or not self._talk.may_ask:
            return True
        if self._steps >= self._settings.max_steps:
            self._end(f"all {self._settings.max_steps} steps were used (SREOPS_LLM__MAX_STEPS)")
        elif self._steps and time.monotonic() >= self._asking_until_s:
            self._end("the time for questions was over (SREOPS_LLM__DEADLINE_S)")
        return bool(self._ending)

    def _end(self, why: str) -> None:
        self._ending = why
        self._notes.append(f"{why}: the best partial answer was asked for")
        log.info(LIMIT_REACHED, why=why)

    async def _ask(self, final: bool) -> Reply | None:
        """Send the next request; None where a ceiling leaves room for the final one only."""
        kept = None if final else self._calls.reserve(self._talk.last_request()) + self._talk.room_for_results()
        try:
            reply = await self._calls.send(
                self._incident_id,
                self._talk.request(final=final),
                deadline_s=self._deadline_s if final else self._last_from_s,
                kept=kept,
            )
        except BudgetSpent as exc:
            if final:
                raise
            self._end(str(exc))
            return None
        except AnalystUnavailable as exc:
            if final or not self._steps or not self._calls.open_at(self._deadline_s):
                raise
            # what earlier steps found is not thrown away because this one failed
            self._end(str(exc))
            return None
        except TooLong as exc:
            if self._repaired:
                raise
            self._repaired = True
            self._notes.append(f"asked a second time on findings alone, because {exc}")
            log.info(PROMPT_SHORTENED, error=str(exc))
            self._talk.shorten()
            return None
        except Unusable as exc:
            # no message at all: nothing to go on from, so the same question is put once more
            if self._repaired:
                raise
            self._repaired = True
            self._notes.append(f"asked a second time, because {exc}")
            return None
        self._steps += 1
        self._tokens = self._tokens + reply.tokens
        return reply

    def _once_more(self, reply: Reply, problem: Unusable) -> None:
        """Prepare the one repair, or let the problem out."""
        if self._repaired:
            raise problem
        self._repaired = True
        self._notes.append(f"asked a second time, because {problem}")
        log.info(ANSWER_REPAIRED, cure=problem.repair.value, error=str(problem))
        self._talk.try_again(reply, problem)
