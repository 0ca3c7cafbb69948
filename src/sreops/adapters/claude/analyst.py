"""Claude as an analyst: one structured answer per brief, checked before it is believed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import anthropic
from anthropic import AsyncAnthropic
from pydantic import BaseModel, SecretStr, ValidationError

from sreops.adapters.claude.prompt import SYSTEM, user_message
from sreops.adapters.claude.schema import answer_schema
from sreops.domain.analysis import Analysis, Brief
from sreops.domain.redaction import clean, one_line
from sreops.errors import AnalystRefused, AnalystUnavailable, SettingsInvalid
from sreops.ports import AnalystAnswer, Health
from sreops.settings import LLMSettings

BASE_URL = "https://api.anthropic.com"
MAX_RETRIES = 1
"""The rules answer where the model does not, so a second try is worth more than patience."""
MAX_ANSWER_CHARS = 200_000
HEALTH_TIMEOUT_S = 3.0
HEALTH_KEPT_S = 60.0
_AGAIN_LATER = frozenset({408, 409, 429})


class _Block(BaseModel):
    type: str
    text: str = ""


class _Usage(BaseModel):
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_creation_input_tokens: int | None = 0
    cache_read_input_tokens: int | None = 0


class _Reply(BaseModel):
    """The part of a message that is read; Messages API, version 2026-10-21."""

    model: str = ""
    content: list[_Block]
    stop_reason: str | None
    stop_details: dict[str, Any] | None = None
    usage: _Usage = _Usage()


class ClaudeAnalyst:
    """Asks the model of ``settings`` with ``api_key``; raises SettingsInvalid where there is no key.

    Nothing is taken from the SDK's own environment variables but proxies: address and key are explicit.
    """

    name = "claude"

    def __init__(self, settings: LLMSettings, api_key: SecretStr, *, max_retries: int = MAX_RETRIES) -> None:
        key = api_key.get_secret_value().strip()
        if not key or not key.isascii() or not key.isprintable():
            raise SettingsInvalid(["SREOPS_LLM__API_KEY is empty or holds characters that no header can carry"])
        self._settings = settings
        self._key = key
        self._max_retries = max_retries
        self._client: AsyncAnthropic | None = None
        self._building = asyncio.Lock()
        self._health: tuple[float, Health] | None = None

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def _sdk(self) -> AsyncAnthropic:
        """Return the SDK's client, built once in a thread: it reads the CA certificates from disk."""
        async with self._building:
            if self._client is None:
                self._client = await asyncio.to_thread(
                    AsyncAnthropic,
                    api_key=self._key,
                    base_url=self._settings.base_url or BASE_URL,
                    max_retries=self._max_retries,
                    timeout=self._settings.timeout_s,
                )
        return self._client

    async def analyze(self, brief: Brief, *, timeout_s: float) -> AnalystAnswer:
        """Ask once. Raises AnalystUnavailable (worth another try) or AnalystRefused (an answer not to be believed)."""
        async with self._translated(timeout_s):
            client = await self._sdk()
            raw = await client.messages.with_raw_response.create(
                model=self._settings.model,
                max_tokens=self._settings.max_tokens,
                # The fixed part ends a cached prefix: an incident storm pays for it once.
                system=[{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": "user", "content": user_message(brief)}],
                output_config={"format": {"type": "json_schema", "schema": answer_schema(brief)}},
                timeout=timeout_s,
            )
            text = await raw.text()
        reply = _read_reply(text)
        usage = reply.usage
        read = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        return AnalystAnswer(
            analysis=_read_analysis(reply, brief),
            model=reply.model or self._settings.model,
            input_tokens=sum(tokens or 0 for tokens in read),
            output_tokens=usage.output_tokens or 0,
        )

    async def health(self) -> Health:
        """Ask whether the model is there; an answer is kept for a minute, so that watching costs nothing."""
        if self._health is None or time.monotonic() - self._health[0] > HEALTH_KEPT_S:
            self._health = (time.monotonic(), await self._look())
        return self._health[1]

    async def _look(self) -> Health:
        model = self._settings.model
        try:
            async with self._translated(HEALTH_TIMEOUT_S):
                client = (await self._sdk()).with_options(max_retries=0, timeout=HEALTH_TIMEOUT_S)
                found = await client.models.retrieve(model)
        except AnalystUnavailable as exc:
            return Health("down", str(exc), "the rules answer meanwhile")
        except AnalystRefused as exc:
            cure = "check SREOPS_LLM__API_KEY" if exc.status in (401, 403) else "check SREOPS_LLM__MODEL and __BASE_URL"
            return Health("down", str(exc), cure)
        retires: Any = getattr(found, "retires_at", None)
        if getattr(found, "lifecycle", "active") == "retired":
            return Health("down", f"model {model} is retired", "set SREOPS_LLM__MODEL to one that is not")
        ends = f"; retires on {retires:%Y-%m-%d}" if isinstance(retires, datetime) else ""
        return Health("up", f"model {model}{ends}")

    @asynccontextmanager
    async def _translated(self, timeout_s: float) -> AsyncIterator[None]:
        """Keep the deadline over all tries, and let no foreign error out."""
        asked = f"model {self._settings.model} at {self._settings.base_url or BASE_URL}"
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except (TimeoutError, anthropic.APITimeoutError) as exc:
            raise AnalystUnavailable(f"{asked} did not answer within {timeout_s:g} s") from exc
        except anthropic.APIConnectionError as exc:
            raise AnalystUnavailable(f"{asked} can't be reached: {one_line(str(exc.__cause__ or exc))}") from exc
        except anthropic.APIStatusError as exc:
            said = f"{asked} answered {exc.status_code}: {one_line(exc.message)}"
            if exc.status_code in _AGAIN_LATER or exc.status_code >= 500:
                raise AnalystUnavailable(said, retry_after_s=_retry_after_s(exc)) from exc
            raise AnalystRefused(said, status=exc.status_code) from exc
        except (anthropic.AnthropicError, ValueError) as exc:
            # ValueError: the SDK refuses some requests by itself, and undecodable bodies.
            raise AnalystRefused(f"{asked} gave an answer that can't be read: {one_line(str(exc))}") from exc


def _retry_after_s(exc: anthropic.APIStatusError) -> float | None:
    text = exc.response.headers.get("retry-after", "").strip()
    return min(float(text), 3600.0) if text.isascii() and text.isdigit() else None


def _read_reply(text: str) -> _Reply:
    if len(text) > MAX_ANSWER_CHARS:
        raise AnalystRefused(f"the model's answer is {len(text)} characters long; {MAX_ANSWER_CHARS} are read")
    try:
        reply = _Reply.model_validate_json(text)
    except ValidationError as exc:
        raise AnalystRefused(f"the answer is not a message of the Messages API: {one_line(text, 120)!r}") from exc
    if reply.stop_reason == "refusal":
        category = (reply.stop_details or {}).get("category")
        raise AnalystRefused(f"the model refused to answer (category {one_line(str(category), 40)})")
    if reply.stop_reason not in ("end_turn", "stop_sequence"):
        raise AnalystRefused(f"the answer was cut off (stop_reason {one_line(str(reply.stop_reason), 60)})")
    return reply


def _read_analysis(reply: _Reply, brief: Brief) -> Analysis:
    """Check the answer against schema and brief; an unknown runbook id is let through, for it escalates by name."""
    text = "".join(block.text for block in reply.content if block.type == "text")
    try:
        found = Analysis.model_validate_json(text)
        analysis = Analysis(
            **{
                **found.model_dump(),
                "root_cause": clean(found.root_cause).strip(),
                "reasoning": clean(found.reasoning),
                "evidence": tuple(dict.fromkeys(found.evidence)),
            }
        )
    except ValidationError as exc:
        where = ", ".join(".".join(str(part) for part in error["loc"]) or "the whole" for error in exc.errors()[:5])
        raise AnalystRefused(f"the model's answer does not fit its schema ({where}): {one_line(text, 120)!r}") from exc
    unknown = [cited for cited in analysis.evidence if cited not in {item.id for item in brief.evidence}]
    if unknown:
        raise AnalystRefused(f"the model cites evidence that does not exist: {one_line(', '.join(unknown), 120)}")
    if analysis.recommended_action.acts and not analysis.evidence:
        raise AnalystRefused(
            f"the model recommends to {analysis.recommended_action.value} and cites no evidence for it"
        )
    return analysis
