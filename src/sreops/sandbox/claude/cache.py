"""Prompt caching as the bill shows it: exact prefixes, a minimum length, a time to live."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sreops.sandbox.claude.requests import breakpoints, prompt_parts

_LOOK_BACK = 20
_TTL = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1)}


def count_tokens(value: object) -> int:
    """Estimate: four characters a token, as near as one gets without a tokenizer."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return max(1, -(-len(text) // 4))


@dataclass
class _Entry:
    expires_at: datetime
    ttl: str


class PromptCache:
    """What is cached now, by model and prefix."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}

    def bill(self, body: Mapping[str, Any], now: datetime, min_tokens: int) -> dict[str, Any]:
        """Return the input part of `usage`, and cache what the request marks."""
        parts = [_without_control(part) for part in prompt_parts(body)]
        digests, totals = _prefixes(parts, body)
        total = totals[-1] if totals else 0
        marks = [mark for mark in breakpoints(body) if totals[mark] >= min_tokens]
        read = self._longest_hit(body["model"], digests, totals, marks, now)
        written = max((totals[mark] for mark in marks), default=0)
        created = {"5m": 0, "1h": 0}
        controls = {mark: _ttl_of(body, mark) for mark in marks}
        if marks:
            created[controls[marks[-1]]] = max(written - read, 0)
        for mark in marks:
            ttl = controls[mark]
            self._entries[body["model"], digests[mark]] = _Entry(now + _TTL[ttl], ttl)
        return {
            "input_tokens": total - max(written, read),
            "cache_creation_input_tokens": sum(created.values()),
            "cache_read_input_tokens": read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": created["5m"],
                "ephemeral_1h_input_tokens": created["1h"],
            },
        }

    def _longest_hit(self, model: str, digests: list[str], totals: list[int], marks: list[int], now: datetime) -> int:
        for mark in reversed(marks):
            for at in range(mark, max(mark - _LOOK_BACK, -1), -1):
                entry = self._entries.get((model, digests[at]))
                if entry is not None and entry.expires_at > now:
                    entry.expires_at = now + _TTL[entry.ttl]
                    return totals[at]
        return 0


def _without_control(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "cache_control"}


def _prefixes(parts: list[dict[str, Any]], body: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Return digest and length of each prefix.

    An answer's schema belongs to all of them, how to use tools and think to those that reach into the messages
    (build-with-claude/prompt-caching, what invalidates the cache).
    """
    digest = hashlib.sha256(_exact((body.get("output_config") or {}).get("format")))
    digests: list[str] = []
    totals: list[int] = []
    in_messages = False
    for part in parts:
        if "role" in part and not in_messages:
            in_messages = True
            digest.update(_exact([body.get("tool_choice"), body.get("thinking")]))
        digest.update(_exact(part))
        digests.append(digest.hexdigest())
        totals.append((totals[-1] if totals else 0) + count_tokens(part))
    return digests, totals


def _exact(value: object) -> bytes:
    # Unsorted: the order of keys is part of the exact prefix.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _ttl_of(body: Mapping[str, Any], mark: int) -> str:
    control = list(prompt_parts(body))[mark].get("cache_control") or body.get("cache_control") or {}
    return str(control.get("ttl", "5m"))
