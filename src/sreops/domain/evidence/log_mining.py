"""Log mining: a hundred thousand lines in, the few that decide out.

Counting masked lines keeps the decisive line where keyword filters lose it (see docs: 25 of 25 recorded cases
against 19). So rarity leads here; severity, novelty and closeness to the alert only order what is rare.
Linear in the size of the input: fixed masks, each anchored by a look-behind and possessive.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

from sreops.domain.evidence.evidence import LogLine
from sreops.domain.text.redaction import clean, strip_ansi

MASK = "<*>"
_HEAD_CHARS, _TAIL_CHARS = 4_000, 1_000  # of a line, what its template is made of
_KEY_HEAD, _KEY_TAIL = 240, 120  # of a mask, what tells templates apart (lists of any length look alike)
_ENTRY_LINES = 80
_SHOWN_CHARS = 700

# A word with a digit in it: numbers, hex, UUIDs, addresses, timestamps, generated names. A dot joins only
# before a digit, a colon never: `t.c.Travel2Controller` keeps its package, `redis:6379` its host.
_VARIABLE = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z_-]*+[0-9][A-Za-z0-9_-]*+(?:\.[0-9][A-Za-z0-9_-]*+)*+")
_QUOTED = re.compile(r"(?<=[\s(])(?:\"[^\"\s]{1,200}\"|'[^'\s]{1,200}')")
_REPEATED = re.compile(r"<\*>(?:[,;:./| +-]{0,3}<\*>)++")
# What must stay in the mask although it is a number: it says whether the line tells of a failure.
_MEANS_STATUS = re.compile(r"(?:status|code|level|HTTP/<?[0-9.]{1,3})[\"']?[\s:=\"']{1,4}$", re.I)
_STATUS_BEFORE_CHARS = 24


def _may_tell_status(text: str) -> bool:
    """Say whether a number could stay: most lines have none of these words, and need no look at each number."""
    folded = text.casefold()
    return "status" in folded or "code" in folded or "level" in folded or "http/" in folded


_SEVERITIES: tuple[tuple[int, str], ...] = (
    (
        4,
        r"panic|fatal|critical|emerg|oom[-_ ]?kill|out ?of ?memory|outofmemory|segfault|segmentation fault|"
        r"core dumped|deadlock|no space left|killed process|cannot allocate",
    ),
    (
        3,
        r"error|exception|traceback|fail(?:ed|ure|s)?|refused|denied|unreachable|unable|cannot|can't|could ?n[o']t|"
        r"timed ?out|timeout|expired|invalid|undefined|corrupt|abort(?:ed)?|exhausted|no such|not found|broken pipe|"
        r"reset by peer|unhealthy|rejected|crash|no route|unresolved|missing|evict|throttl|"
        r"(?:status|code)[\"']?[\s:=\"']{1,4}5[0-9][0-9]|level[\"']?[\s:=\"']{1,4}[56]0|"
        r"HTTP/<?\*?>?[0-9.]{0,3}\"? 5[0-9][0-9]",
    ),
    (
        2,
        r"warn(?:ing)?|retry|slow|degraded|backoff|deprecat|(?:status|code)[\"']?[\s:=\"']{1,4}4[0-9][0-9]|level[\"']?[\s:=\"']{1,4}40",
    ),
    (-1, r"debug|trace"),
)
_SEVERITY = tuple((weight, re2.compile(rf"(?i)(?:^|[^a-z])(?:{words})")) for weight, words in _SEVERITIES)
# CamelCase names (FileNotFoundException) hide the word from the boundary above.
_CAMEL = re2.compile(r"[a-z](?:Error|Exception|Failure|Refused|Denied|Timeout)")
_MINED = re2.compile(
    r"(?i)error|exception|fail|fatal|panic|refused|denied|timed? ?out|expired|killed|oom|no space|cannot|undefined"
)

_CONTINUES = ("at ", "Caused by:", "... ", "Traceback (most recent call last)", "Suppressed:", "goroutine ")
_TRACE_END = re.compile(r"[A-Za-z_][\w.]{0,120}(?::|$)")


@dataclass(frozen=True)
class Excerpt:
    """What is worth reading of many lines.

    ``text`` is clean, one entry after another by time; ``kept`` of ``total`` lines are in it; ``templates`` is how
    many kinds of entries there were; ``top`` are the most telling entries, one line each, best first.
    """

    text: str
    kept: int
    total: int
    templates: int
    top: tuple[str, ...] = ()


@dataclass
class _Entry:
    """A line and what continues it (a stack trace); ``count`` tells of exact repeats in a row."""

    at: datetime
    source: str
    lines: list[str]
    until: datetime


@dataclass
class Template:
    """All entries of one shape: how many, the first and the last, and whether it was there before the trouble."""

    mask: str
    severity: int
    first: _Entry
    last: _Entry
    count: int = 0
    baseline: int = 0
    nearest_s: float = math.inf
    score: float = field(default=0.0, compare=False)


def _clamped(text: str) -> str:
    if len(text) <= _HEAD_CHARS + _TAIL_CHARS:
        return text
    return text[:_HEAD_CHARS] + " " + text[-_TAIL_CHARS:]


def _masked(found: re.Match[str]) -> str:
    token = found[0]
    if len(token) <= 3 and token.isdigit():
        before = found.string[max(0, found.start() - _STATUS_BEFORE_CHARS) : found.start()]
        if _MEANS_STATUS.search(before):
            return token
    return MASK


def mask(line: str) -> str:
    """Return the line with what varies from one time to the next replaced by ``<*>``."""
    text = _clamped(strip_ansi(line))
    text = _VARIABLE.sub(_masked if _may_tell_status(text) else MASK, text)
    if '"' in text or "'" in text:
        text = _QUOTED.sub(MASK, text)
    return _REPEATED.sub(MASK, text)


def severity(text: str) -> int:
    """Weigh the words of a line: 4 fatal, 3 error, 2 warning, 0 plain, -1 debug."""
    for weight, words in _SEVERITY:
        if words.search(text):
            return 3 if weight < 3 and _CAMEL.search(text) else weight
    return 3 if _CAMEL.search(text) else 0


_SOURCE_LABELS = ("container", "service_name", "service", "compose_service", "pod", "app", "job", "instance")


def _source(labels: dict[str, str]) -> str:
    return next((labels[name] for name in _SOURCE_LABELS if labels.get(name)), "")


_Labels = tuple[tuple[str, str], ...]
_FRAME_WITHIN = timedelta(seconds=1)
_OF_STREAMS = frozenset({"level", "detected_level", "severity", "severity_text", "stream", "source", "filename"})
"""Labels that part the streams of one container."""


def _container_of(labels: dict[str, str]) -> _Labels:
    return tuple(sorted((name, value) for name, value in labels.items() if name not in _OF_STREAMS))


def _continues(text: str, entry: _Entry) -> bool:
    """Say whether a line belongs to the entry before it: indented, a stack frame, or a traceback's last line."""
    if len(entry.lines) >= _ENTRY_LINES:
        return False
    if text[:1] in (" ", "\t"):
        return text.strip() != ""
    if text.startswith(_CONTINUES):
        return True
    before = entry.lines[-1]
    return (
        len(entry.lines) > 1
        and before[:1] in (" ", "\t")
        and any(line.startswith("Traceback (most") or "Traceback (most" in line[:300] for line in entry.lines[:-1])
        and _TRACE_END.match(text) is not None
    )


def _continued(text: str, at: datetime, streams: dict[_Labels, _Entry], stream: _Labels) -> _Entry | None:
    """Return the entry that a line continues: a trace that is told, else the line of an error, else its stream's."""
    looks_so = text[:1] in (" ", "\t") or text.startswith(_CONTINUES)
    if not looks_so and all(len(entry.lines) == 1 for entry in streams.values()):
        return None
    near = [entry for entry in streams.values() if at - entry.until <= _FRAME_WITHIN and _continues(text, entry)]
    if len(near) < 2:
        return near[0] if near else None
    own = streams.get(stream)
    return max(
        near, key=lambda entry: (len(entry.lines) > 1, severity(entry.lines[-1]) >= 3, entry is own, entry.until)
    )


def entries(lines: Iterable[LogLine]) -> Iterator[_Entry]:
    """Join continuation lines with the entry that they continue: of the same container, at most a second before.

    Over all of its streams: levels that a shipper detects part a trace's first line from its frames, and the line
    before them in their own stream may be of long ago.
    """
    open_entries: dict[_Labels, dict[_Labels, _Entry]] = {}  # by container, by stream
    known: dict[_Labels, tuple[dict[_Labels, _Entry], str]] = {}  # by stream: the entries of its container, its source
    labels: dict[str, str] | None = None
    streams: dict[_Labels, _Entry] = {}
    stream: _Labels = ()
    source = ""
    for line in lines:
        if line.labels is not labels:  # the lines of a stream mostly share theirs
            labels, stream = line.labels, tuple(line.labels.items())
            if stream not in known:
                known[stream] = open_entries.setdefault(_container_of(labels), {}), _source(labels)
            streams, source = known[stream]
        text = strip_ansi(line.text)
        if streams and (entry := _continued(text, line.at, streams, stream)) is not None:
            entry.lines.append(text)
            entry.until = line.at
            continue
        if stream in streams:
            yield streams[stream]
        streams[stream] = _Entry(line.at, source, [text], line.at)
    for streams in open_entries.values():
        yield from streams.values()


def templates(lines: Iterable[LogLine], alert_at: datetime, *, baseline_until: datetime) -> list[Template]:
    """Group entries by their mask, source and severity; in order of first appearance."""
    found: dict[tuple[str, str], Template] = {}
    masks: dict[str, str] = {}  # exact repeats are masked once
    for entry in entries(lines):
        head = entry.lines[0] if len(entry.lines) == 1 else entry.lines[0] + "\n" + entry.lines[-1]
        known = masks.get(head)
        if known is None:
            masked = mask(head)
            if len(masked) > _KEY_HEAD + _KEY_TAIL:
                masked = masked[:_KEY_HEAD] + "…" + masked[-_KEY_TAIL:]
            known = masks[head] = masked
        template = found.get((entry.source, known))
        if template is None:
            weight = severity(_clamped("\n".join(entry.lines)))
            template = found[(entry.source, known)] = Template(known, weight, entry, entry)
        template.count += 1
        template.last = entry
        template.baseline += entry.at < baseline_until
        template.nearest_s = min(template.nearest_s, abs((entry.at - alert_at).total_seconds()))
    return list(found.values())


def _score(template: Template, total: int, span_s: float, baseline_share: float) -> float:
    """Rarity leads (bits of surprise, at most 14), then severity, then novelty, then closeness."""
    rarity = min(14.0, -math.log2(template.count / total)) if total > 1 else 1.0
    score = rarity + 2.0 * template.severity
    if 0.05 < baseline_share < 0.95:
        expected = template.count * baseline_share
        if template.baseline == 0:
            # Unseen before the trouble says more, the more often it would have been seen by chance.
            score += min(4.0, 1.0 + expected)
        elif template.severity <= 2 and template.count > 2:
            score -= min(2.0, template.baseline / template.count)
    return score + 2.0 * (1.0 - min(1.0, template.nearest_s / span_s))


def _shorten(text: str, limit: int) -> str:
    """Cut one line: its beginning, what surrounds its most telling word, and its end."""
    if len(text) <= limit:
        return text
    part = max(20, limit // 3 - 4)
    middle = ""
    hit = _MINED.search(text[part : part + 60_000])
    if hit is not None:
        start = max(part, part + hit.start() - part // 3)
        middle = text[start : start + part] + " … "
    return f"{text[: limit - len(middle) - part - 3]} … {middle}{text[-part:]}"


def _shown(entry: _Entry, limit: int) -> str:
    """Render an entry: all of a short one; of a long trace its head, its causes and its end."""
    lines = [line for line in (clean(part[:100_000]).rstrip() for part in entry.lines) if line]
    if len(lines) > 12:
        causes = [line for line in lines[4:-3] if line.lstrip().startswith("Caused by:")][:5]
        cut = len(lines) - 7 - len(causes)
        lines = [*lines[:4], f"    … {cut} lines …", *causes, *lines[-3:]]
    share = max(60, limit // max(1, len(lines)))
    text = "\n".join(_shorten(line, limit if len(lines) == 1 else max(share, 160)) for line in lines)
    return text if len(text) <= limit else _shorten(text, limit)


def _stamp(at: datetime) -> str:
    return at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03d}"


def _rendered(template: Template, *, several_sources: bool, limit: int) -> list[tuple[datetime, str, int]]:
    """Return what a template contributes: its first entry, and its last where that says something else."""
    source = f"[{clean(template.first.source)[:60]}] " if several_sources and template.first.source else ""
    first = _shown(template.first, limit)
    repeats = f"({template.count} times, last {_stamp(template.last.at)}) " if template.count > 1 else ""
    shown = [(template.first.at, f"{_stamp(template.first.at)} {source}{repeats}{first}", len(template.first.lines))]
    if template.count > 1 and template.last.lines != template.first.lines:
        last = _shown(template.last, limit)
        shown.append((template.last.at, f"{_stamp(template.last.at)} {source}{last}", len(template.last.lines)))
    return shown


def excerpt(
    lines: Sequence[LogLine], alert_at: datetime, budget_chars: int, *, baseline_until: datetime | None = None
) -> Excerpt:
    """Choose what to read of these lines, in at most ``budget_chars`` characters.

    ``baseline_until`` parts the window: what was said before it, too, is less telling (default: halfway between
    the first line and the alert). Each kind of entry is shown by its first and its last, with its count.
    """
    if not lines:
        return Excerpt("", 0, 0, 0)
    start = min(line.at for line in lines)
    end = max(line.at for line in lines)
    if baseline_until is None:
        reach = min(max(alert_at, start), end)
        baseline_until = start + (reach - start) / 2
    found = templates(lines, alert_at, baseline_until=baseline_until)
    total = sum(template.count for template in found)
    before = sum(template.baseline for template in found)
    span_s = max(abs(alert_at - start), abs(alert_at - end), timedelta(seconds=1)).total_seconds()
    for template in found:
        template.score = _score(template, total, span_s, before / total)
    found.sort(key=lambda template: -template.score)
    several = len({template.first.source for template in found}) > 1
    text, kept = _fill(found, budget_chars, several_sources=several)
    top = tuple(_shorten(" ".join(_shown(template.first, 300).split()), 200) for template in found[:3])
    return Excerpt(text=text, kept=kept, total=len(lines), templates=len(found), top=top)


def _fill(found: Sequence[Template], budget_chars: int, *, several_sources: bool) -> tuple[str, int]:
    """Spend the budget best first; an entry that no longer fits is passed over, not cut to nothing."""
    limit = max(80, min(_SHOWN_CHARS * 2, budget_chars // 6))
    left, misses = budget_chars, 0
    chosen: list[tuple[datetime, int, str, int]] = []
    for place, template in enumerate(found):
        # What comes late is shown shorter: breadth is what keeps an unforeseen decisive line.
        room = limit if place < 8 else min(limit, _SHOWN_CHARS // 2)
        for at, shown, size in _rendered(template, several_sources=several_sources, limit=room):
            if len(shown) + 1 <= left:
                chosen.append((at, len(chosen), shown, size))
                left -= len(shown) + 1
            else:
                misses += 1
        if misses > 200 or left < 40:
            break
    chosen.sort(key=lambda item: item[:2])
    return "\n".join(item[2] for item in chosen), sum(item[3] for item in chosen)
