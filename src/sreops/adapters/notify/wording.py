"""A message as each service shows it: what, how bad, since when · cause · done · asked · links.

What is not ours in it (names, alert text, a model's words) must stay text there: nobody is mentioned, nothing is a
link or formatted by accident. Apprise escapes for some services, for some the body only, for some nothing (tried,
2.3.0; reference in docs/notifications.md), so it is broken here, whatever Apprise does: a mention and an address by
U+2060 WORD JOINER, markup by characters that look alike. Our own links are the only ones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sreops.domain.records.message import Message
from sreops.domain.text.redaction import clean

_BREAK = "\u2060"
_TITLE = 200
_BODY = {"teams": 1000, "pagerduty": 1000, "ntfy": 3500, "telegram": 3900, "mattermost": 3900, "slack": 3500}
_BODY_OTHERS = 1900  # Discord takes 2,000
_BODY_LONG = 30_000
_PLAIN = frozenset({"mail", "webhook", "ntfy", "pagerduty", "opsgenie"})
"""Services that show text as it is."""
_LISTED = 20

_LINKS = (
    (re.compile(r"<(?=[!@#/A-Za-z])"), f"<{_BREAK}"),
    (re.compile(r"\](?=[(\[])"), f"]{_BREAK}"),
    (re.compile(r":(?=//)"), f":{_BREAK}"),
    (re.compile(r"\b(www|ftp)\.(?=\w)", re.I), rf"\1{_BREAK}."),
    (re.compile(r"\b(mailto|tel|data|javascript|slack|file|sms)(?=:)", re.I), rf"\1{_BREAK}"),
    (
        re.compile(
            r"(?<=\w)\.(?=(?:com|net|org|io|dev|app|xyz|info|biz|top|site|online|link|click|co|ru|cn|me)\b)", re.I
        ),
        f"{_BREAK}.",
    ),
)
_MENTION = (re.compile(r"([@#!])(?=[\w\[{<])"), rf"\1{_BREAK}")
_ENTITY = (re.compile(r"&(?=#|\w)"), f"&{_BREAK}")
_LOOK_ALIKE = str.maketrans(
    {"*": "\u2217", "`": "\u02cb", "~": "\u223c", "[": "\uff3b", "]": "\uff3d", "<": "\u2039", ">": "\u203a"}
    | {"|": "\u2223", "\\": "\u2216"}
)
_UNDERSCORE = (re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"), "\uff3f")
_LINE_START = (re.compile(r"^(\s*)([-+=#]|\d+[.)])(?=\s|=)"), rf"\1{_BREAK}\2")
_SIGNS = {"failure": "\U0001f534", "warning": "\U0001f7e0", "success": "\u2705", "info": "\U0001f535"}
_NTFY_TAGS = {
    "failure": "rotating_light",
    "warning": "warning",
    "success": "white_check_mark",
    "info": "information_source",
}
_NTFY_PRIORITY = {"failure": "max", "warning": "high", "success": "default", "info": "default"}


@dataclass(frozen=True)
class Wording:
    """What Apprise is given: ``kind`` is its notify type, ``parameters`` go into the URL."""

    title: str
    body: str
    kind: str
    parameters: dict[str, str]


def worded(service: str, messages: Sequence[Message], *, digest: bool, maybe_again: bool) -> Wording:
    """Word one message, or several as one, for a service."""
    if len(messages) == 1:
        return _one(service, messages[0], maybe_again=maybe_again)
    return _several(service, messages, digest=digest, maybe_again=maybe_again)


def harmless(text: str, service: str) -> str:
    """Return text from outside that the service will show as text, on one line."""
    shown = " ".join(clean(text).split())
    for pattern, instead in (*_LINKS, _MENTION):
        shown = pattern.sub(instead, shown)
    if service in _PLAIN:
        return shown
    for pattern, instead in (_ENTITY, _UNDERSCORE, _LINE_START):
        shown = pattern.sub(instead, shown)
    return shown.translate(_LOOK_ALIKE)


def _one(service: str, message: Message, *, maybe_again: bool) -> Wording:
    kind = _kind(message)
    rows = [
        ("What", f"{message.service}: {message.what}"),
        ("How bad", f"{message.severity}, {message.status.replace('_', ' ')}"),
        ("Cause", message.cause),
        ("Done", message.done),
        ("Asked of you", message.asked),
    ]
    if service == "teams":  # a thousand characters: how bad stands in the title
        rows = [row for row in rows if row[0] != "How bad"]
    lines = [f"{label}: {_cut(harmless(text, service), service)}" for label, text in rows if text]
    if maybe_again:
        lines.append("(You may have this already: sreops was stopped while it told you.)")
    links = [f"{link.label.capitalize()}: {link.url}" for link in message.links]
    gap = "\n\n" if service == "teams" else "\n"
    body = _fitted(gap.join(lines), gap.join(links), gap, _limit(service))
    title = _title(harmless(message.headline, service), kind, service)
    return Wording(title, body, kind, _parameters(service, message, kind))


def _several(service: str, messages: Sequence[Message], *, digest: bool, maybe_again: bool) -> Wording:
    newest = {message.key: message for message in messages}  # of one incident the last word counts
    listed = sorted(newest.values(), key=lambda message: (message.is_over, message.severity != "critical"))
    asking = sum(not message.is_over for message in listed)
    kinds = [_kind(message) for message in listed]
    kind = next((kind for kind in ("failure", "warning", "info", "success") if kind in kinds), "info")
    lines = []
    for message in listed[:_LISTED]:
        link = next((f" {link.url}" for link in message.links if link.label == "incident"), "")
        lines.append(f"- {harmless(f'{message.headline}: {message.what}', service)[:300]}{link}")
    if len(listed) > _LISTED:
        lines.append(f"and {len(listed) - _LISTED} more")
    if maybe_again:
        lines.append("(You may have this already: sreops was stopped while it told you.)")
    what = "the last hour's news" if digest else "many at once"
    title = _title(f"{len(listed)} incidents, {asking} ask something of you ({what})", kind, service)
    gap = "\n\n" if service == "teams" else "\n"
    shown = gap.join(lines)
    return Wording(title, _fitted(shown, "", gap, _limit(service)), kind, {**_common(service)})


def _kind(message: Message) -> str:
    if message.is_over:
        return "success"
    return {"critical": "failure", "warning": "warning"}.get(message.severity, "info")


def _title(text: str, kind: str, service: str) -> str:
    sign = "" if service in ("webhook", "ntfy", "pagerduty", "opsgenie", "mail") else f"{_SIGNS[kind]} "
    shown = f"{sign}{text}"
    return shown if len(shown) <= _TITLE else shown[: _TITLE - 1] + "…"


def _limit(service: str) -> int:
    return _BODY.get(service, _BODY_LONG if service in ("mail", "webhook", "opsgenie") else _BODY_OTHERS)


def _cut(text: str, service: str) -> str:
    most = 220 if service in ("teams", "pagerduty") else 700
    return text if len(text) <= most else text[: most - 1] + "…"


def _fitted(text: str, links: str, gap: str, limit: int) -> str:
    """Return both within the limit: links are kept whole, or left out."""
    room = limit - len(links) - len(gap) * 2
    if room < limit // 4:
        links, room = "", limit
    shown = text if len(text) <= room else text[: room - 1] + "…"
    return f"{shown}{gap if gap == chr(10) * 2 else gap * 2}{links}" if links else shown


def _common(service: str) -> dict[str, str]:
    """Return what every URL of a service gets: no icon from another site, and text as text."""
    if service == "mail":
        return {"format": "text"}
    return {} if service in ("webhook", "pagerduty", "opsgenie", "telegram") else {"image": "no"}


def _parameters(service: str, message: Message, kind: str) -> dict[str, str]:
    link = next((link.url for link in message.links if link.label == "incident"), "")
    if service == "webhook":
        fields = {
            "id": f"{message.key}:{message.kind.value}:{int(message.at.timestamp())}",
            "incident": message.key,
            "event": message.kind.value,
            "severity": message.severity,
            "status": message.status,
            "needs": message.needs or "",
            "service": message.service,
            "alertname": message.alertname,
            "at": message.at.isoformat(),
            "url": link,
        }
        return {f":{name}": value for name, value in fields.items()}
    if service == "ntfy":
        shown = {"priority": _NTFY_PRIORITY[kind], "tags": _NTFY_TAGS[kind]}
        return {**_common(service), **shown, **({"click": link} if link else {})}
    if service == "pagerduty":
        return {"dedup": message.key, "action": "map"}
    if service == "opsgenie":
        priority = {"failure": "p1", "warning": "p3"}.get(kind, "p5")
        return {"alias": message.key, "action": "map", "priority": priority}
    return _common(service)
