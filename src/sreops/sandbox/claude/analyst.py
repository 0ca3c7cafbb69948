"""A deterministic stand-in for the model: reads the evidence by keyword and fills in the schema that was asked for.

It knows nothing of who asks: what it may answer, it reads from the schema (enums first), and what it answers
from, it reads from the request's text, preferring numbered evidence (`E1`, `E2` …) to everything around it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sreops.sandbox.claude.requests import blocks_of

_EVIDENCE = re.compile(r"\bE(\d{1,3})\b")
_SECTION = re.compile(r"^\s*(?:#{1,6}\s|</?(?!E\d)[a-z_]+[ >])")
_WORDS = re.compile(r"[a-z0-9]+")
_SLUG = re.compile(r"\b[a-z][a-z0-9]*(?:[-_][a-z0-9]+)+\b")


@dataclass(frozen=True)
class Cause:
    """A fault as text betrays it; `means` are words that an answer about it would use."""

    pattern: re.Pattern[str]
    means: str
    action: str
    sentence: str
    confidence: float = 0.88


def _cause(pattern: str, means: str, action: str, sentence: str, confidence: float = 0.88) -> Cause:
    return Cause(re.compile(pattern, re.IGNORECASE), means, action, sentence, confidence)


# Most telling first: an exhausted heap also makes requests slow and probes fail.
CAUSES = (
    _cause(r"out of memory|oom[-_ ]?kill|OutOfMemory|heap (?:space|exhaust)|exit(?:ed)?[ a-z]* 137"
           r"|cannot allocate memory",
           "out of memory oom leak", "restart", "The process ran out of memory", 0.92),
    _cause(r"memory (?:leak|usage (?:is )?(?:grow|ris|climb)|keeps growing)|heap (?:grow|usage)"
           r"|working set .*(?:ris|grow|rose)|resident memory rose|\bPause Full\b",
           "memory leak", "restart", "Memory grows until the process cannot serve", 0.86),
    _cause(r"certificate (?:has )?expired|x509|tls.*expired", "certificate expired tls", "escalate",
           "A certificate has expired", 0.9),
    _cause(r"no space left|disk (?:is )?full|ENOSPC", "disk full space", "escalate", "The disk is full", 0.9),
    _cause(r"connection pool|too many connections|pool (?:timeout|exhausted)", "connection pool exhausted", "restart",
           "The connection pool is exhausted", 0.84),
    _cause(r"deadlock", "deadlock hang", "restart", "The process is deadlocked", 0.82),
    _cause(r"(?:invalid|missing|unknown|bad) (?:config|setting|env|option|key)|config(?:uration)? error|yaml:",
           "bad configuration config", "escalate", "The configuration is wrong", 0.84),
    _cause(r"permission denied|EACCES|forbidden|access denied", "permission denied", "escalate",
           "Access is denied", 0.8),
    _cause(r"no such host|name resolution|NXDOMAIN|getaddrinfo", "dns failure resolution", "escalate",
           "A name does not resolve", 0.8),
    _cause(r"connection refused|ECONNREFUSED|upstream .*unavailable|no healthy upstream",
           "connection refused dependency down upstream", "escalate", "A dependency does not accept connections", 0.78),
    _cause(r"crash ?loop|restarting \(|exited with (?:code|status)|panic:|segfault|fatal", "crash loop exited process",
           "restart", "The process keeps ending", 0.76),
    _cause(r"cpu (?:throttl|satur)|load average", "cpu saturation scale", "scale", "The CPU is saturated", 0.74),
    _cause(r"too many requests|queue (?:is )?full|overload|request rate rose", "traffic overload scale", "scale",
           "More load arrives than is served", 0.72),
    _cause(r"deadline exceeded|timed? ?out|latency|slow", "latency timeout slow", "investigate",
           "Answers are slow", 0.55),
    _cause(r"\b5\d\d\b|error rate|exception", "error rate errors", "investigate", "Requests fail", 0.5),
)  # fmt: skip
UNKNOWN = Cause(re.compile(""), "unknown unclear none", "escalate", "The evidence does not show a cause", 0.2)


@dataclass(frozen=True)
class EvidenceReading:
    """What was understood of a request."""

    cause: Cause
    line: str
    evidence: tuple[str, ...]
    slugs: tuple[str, ...]


def read_request(body: Mapping[str, Any]) -> EvidenceReading:
    """Find the most telling fault in the user's text and the evidence that names it."""
    text = "\n".join(_text(block) for message in body["messages"] if message["role"] == "user"
                     for block in blocks_of(message["content"]))  # fmt: skip
    pieces = _pieces(text)
    known = tuple(dict.fromkeys(name for name, _ in pieces if name))
    evidence = {line for name, line in pieces if name}
    around = "\n".join(line for line in text.splitlines() if line not in evidence)
    slugs = tuple(dict.fromkeys(_SLUG.findall(around)))
    for cause in CAUSES:
        hits = [(name, line) for name, line in pieces if cause.pattern.search(line)]
        if hits:
            named = tuple(dict.fromkeys(name for name, _ in hits if name))
            return EvidenceReading(cause, hits[0][1].strip()[:300], named or known[:1], slugs)
    return EvidenceReading(UNKNOWN, "", known[:1], slugs)


def _text(block: Mapping[str, Any]) -> str:
    if block["type"] == "text":
        return str(block["text"])
    if block["type"] == "tool_result":
        return "\n".join(str(part.get("text", "")) for part in blocks_of(block.get("content") or ""))
    return ""


def _pieces(text: str) -> list[tuple[str, str]]:
    """Return (evidence id, line) pairs; lines outside evidence count only where there is no evidence at all."""
    pieces: list[tuple[str, str]] = []
    current = ""
    for line in text.splitlines():
        found = _EVIDENCE.search(line[:40])
        if found:
            current = f"E{found.group(1)}"
        elif _SECTION.match(line):
            current = ""
        pieces.append((current, line))
    numbered = [piece for piece in pieces if piece[0]]
    return numbered or pieces


def deterministic_analyst(body: Mapping[str, Any]) -> str:
    """Answer a request: JSON that fits its schema where it has one, else a sentence."""
    reading = read_request(body)
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is None:
        return f"{reading.cause.sentence}. {reading.line}".strip()
    return json.dumps(_Filler(wanted["schema"], reading).fill())


class _Filler:
    """Fills in one schema from one reading."""

    def __init__(self, schema: Mapping[str, Any], reading: EvidenceReading) -> None:
        self._root = schema
        self._reading = reading

    def fill(self) -> Any:
        return self._value("", self._root)

    def _value(self, name: str, schema: Mapping[str, Any]) -> Any:
        if "$ref" in schema:
            _, holder, target = schema["$ref"].split("/", 2)
            return self._value(name, self._root[holder][target])
        if "const" in schema:
            return schema["const"]
        choices = self._choices(schema)
        if choices is not None:
            return self._choose(name, choices)
        if name.endswith("_id") and not self._slug():
            return None if {"type": "null"} in schema.get("anyOf", []) else ""
        if "anyOf" in schema:
            return self._value(name, self._first_that_says_something(schema["anyOf"]))
        if "allOf" in schema:
            return self._value(name, schema["allOf"][0])
        return self._plain(name, schema)

    def _first_that_says_something(self, variants: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        return next((variant for variant in variants if variant.get("type") != "null"), variants[0])

    def _choices(self, schema: Mapping[str, Any]) -> list[Any] | None:
        """Return what an enum offers, also where it is spread over the branches of a union."""
        if "$ref" in schema:
            _, holder, target = schema["$ref"].split("/", 2)
            return self._choices(self._root[holder][target])
        if "enum" in schema:
            return list(schema["enum"])
        if "const" in schema:
            return [schema["const"]]
        if schema.get("type") == "null":
            return [None]
        if "anyOf" not in schema:
            return None
        parts = [self._choices(variant) for variant in schema["anyOf"]]
        found = [value for part in parts if part for value in part]
        return found if all(part is not None for part in parts) and found != [None] else None

    def _choose(self, name: str, choices: list[Any]) -> Any:
        if self._reading.cause.action in choices:
            return self._reading.cause.action
        scores = [(self._score(choice), -number) for number, choice in enumerate(choices)]
        best = max(scores)
        if best[0] > 0:
            return choices[-best[1]]
        if None in choices:
            return None
        unsure = ("unknown", "other", "none", "investigate")
        return next((choice for choice in choices if choice in unsure), choices[-1])

    def _score(self, choice: object) -> float:
        if choice is None or isinstance(choice, bool):
            return 0.0
        words = _WORDS.findall(str(choice).lower())
        meaning = set(_WORDS.findall(self._reading.cause.means))
        shared = sum(any(word.startswith(m) or m.startswith(word) for m in meaning) for word in words)
        # What it means counts; that the action is in the name only decides between two that mean it.
        return 0.0 if not shared else shared / len(words) + 0.01 * (self._reading.cause.action in words) + shared

    def _slug(self) -> str:
        """Return the name, among those that stand outside the evidence, that means the cause; else nothing."""
        best = max(self._reading.slugs, key=self._score, default="")
        return best if self._score(best) > 0 else ""

    def _plain(self, name: str, schema: Mapping[str, Any]) -> Any:
        kinds = schema.get("type")
        kind = next((k for k in kinds if k != "null"), "null") if isinstance(kinds, list) else kinds
        match kind:
            case "object":
                return {key: self._value(key, part) for key, part in schema.get("properties", {}).items()}
            case "array":
                return self._array(name, schema)
            case "number":
                return self._reading.cause.confidence
            case "integer":
                return 1
            case "boolean":
                return self._reading.cause is not UNKNOWN
            case "null":
                return None
        return self._string(name)

    def _array(self, name: str, schema: Mapping[str, Any]) -> list[Any]:
        items = schema.get("items", {"type": "string"})
        if "evidence" in name.lower():
            allowed = self._choices(items)
            named = [eid for eid in self._reading.evidence if allowed is None or eid in allowed]
            return named or ([allowed[0]] if allowed and schema.get("minItems") else [])
        return [self._value(name, items)] if schema.get("minItems") or self._choices(items) is None else []

    def _string(self, name: str) -> str:
        cause, line = self._reading.cause, self._reading.line
        if name.endswith("_id"):
            return self._slug()
        if "evidence" in name.lower():
            return next(iter(self._reading.evidence), "")
        if name in ("reasoning", "explanation", "rationale"):
            where = ", ".join(self._reading.evidence) or "the alert"
            return f"{cause.sentence}: {where} says so." + (f" The decisive line is: {line}" if line else "")
        return f"{cause.sentence}: {line}" if line and cause is not UNKNOWN else cause.sentence
