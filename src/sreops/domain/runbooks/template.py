"""Templates in runbooks: ``{{ service }}`` and its few siblings, filled in without ever changing the syntax around.

Alert labels are untrusted. In PromQL a template may stand only in the value of a label matcher; what is filled in
is escaped for the quotes that the author wrote and, after ``=~`` and ``!~``, for the regular expression as well.
String syntax: Prometheus documentation, "Querying basics", string literals (double, single quotes and backticks).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sreops.domain.alerts.alert import AlertEvent
from sreops.domain.text.quoting import is_quotable, promql_string, regex_literal

_TEMPLATE = re.compile(r"\{\{(?P<inside>[^{}\n]{0,200})(?P<end>\}\})?")
_NAME = re.compile(
    r"service|container|alertname|labels\.(?P<plain>[a-zA-Z_][a-zA-Z0-9_]*)|labels\[(?P<quote>[\"'])(?P<quoted>[^\"'\\\]]+)(?P=quote)\]"
)
_MATCHER = re.compile(r"(=~|!~|!=|=)\s*$")
_COMMENT = re.compile(r"#[^\n]*")
_HOST_PART = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
CONTAINER = "container"
MAX_VALUE_CHARS = 500

KNOWN = '{{ service }}, {{ container }}, {{ alertname }}, {{ labels.NAME }}, {{ labels["NAME"] }}'


class ValueRefused(ValueError):
    """A value that is missing, or that can't stand where the author wants it."""


@dataclass(frozen=True)
class Literal:
    """A string literal of a PromQL expression: ``quote`` and the text inside, from ``start`` to ``end``."""

    quote: str
    start: int
    end: int
    matcher: str | None  # "=", "!=", "=~", "!~", or None where the literal is no matcher's value


def template_faults(text: str) -> list[str]:
    """Return what is wrong with the templates in ``text``; empty where nothing is."""
    faults = []
    for found in _TEMPLATE.finditer(text):
        if not found["end"]:
            faults.append("has '{{' without a closing '}}'")
        elif not _NAME.fullmatch(found["inside"].strip()):
            faults.append(f"'{found[0]}' is not known here; only {KNOWN} are filled in")
    return faults


def promql_faults(promql: str) -> list[str]:
    """Return what is wrong with quotes, brackets and templates of a PromQL expression."""
    try:
        literals = list(_literals(promql))
    except ValueRefused as exc:
        return [str(exc)]
    faults = template_faults(promql)
    if "\\{{" in promql:
        faults.append("has a backslash before a template, which would undo the escaping of what is filled in")
    outside = _without_literals(promql, literals)
    if "{{" in outside:
        faults.append('has a template outside a string literal; write it inside quotes, as in job="{{ service }}"')
    code = _COMMENT.sub("", outside)
    for opening, closing in ("()", "[]", "{}"):
        if "{{" not in outside and code.count(opening) != code.count(closing):
            faults.append(f"has {code.count(opening)} '{opening}' but {code.count(closing)} '{closing}'")
    for literal in literals:
        inside = promql[literal.start : literal.end]
        if "{{" not in inside:
            continue
        if literal.matcher is None:
            faults.append("has a template in a string that is not the value of a label matcher (=, !=, =~, !~)")
        elif literal.matcher.endswith("~") and "\\Q" in inside:
            faults.append("has a template inside \\Q…\\E; leave \\Q out, values are escaped anyway")
    return faults


def names_container(text: str) -> bool:
    """Say whether ``{{ container }}`` stands in a text: its value is the engine's, and not the alert's."""
    return any(found["inside"].strip() == CONTAINER for found in _TEMPLATE.finditer(text))


def without_templates(text: str) -> str:
    """Return a text with a plain word for each template, as a parser of what stands around them needs it."""
    return _TEMPLATE.sub(lambda found: "x" if found["end"] else found[0], text)


def body_faults(body: object) -> list[str]:
    """Return what is wrong with a JSON value that is sent elsewhere: only ``{{ service }}`` is filled in, in texts."""
    faults = []
    for path, text, is_key in _texts(body, ""):
        for found in _TEMPLATE.finditer(text):
            if is_key:
                faults.append(f"{path}: a name can't hold a template")
            elif not found["end"]:
                faults.append(f"{path}: has '{{{{' without a closing '}}}}'")
            elif found["inside"].strip() != "service":
                faults.append(f"{path}: '{found[0]}' is not filled in here; only {{{{ service }}}} is")
    return faults


def url_faults(url: str) -> list[str]:
    """Return what is wrong with the URL of an HTTP check."""
    faults = template_faults(url)
    found = _URL.fullmatch(url)
    if not found:
        return [*faults, "must start with http:// or https://"]
    if not found["authority"]:
        faults.append("names no host")
    if "@" in found["authority"]:
        faults.append("must not carry credentials")
    if any(ord(char) <= 0x20 or ord(char) == 0x7F for char in _TEMPLATE.sub("", url)):
        faults.append("must not hold spaces or control characters")
    return faults


def lookup(name: str, event: AlertEvent, container: str = "") -> str:
    """Return the value that a template names; raises ValueRefused where there is none.

    ``container`` is the target's real name in the engine, empty where that is not known.
    """
    if name == "service":
        value, what = event.service, "the alert's service"
    elif name == CONTAINER:
        if not container:
            raise ValueRefused("the target's name in the engine is not known, and '{{ container }}' needs it")
        value, what = container, "the target's name in the engine"
    elif name == "alertname":
        value, what = event.labels.get("alertname", ""), "label 'alertname'"
    else:
        found = _NAME.fullmatch(name)
        label = (found["plain"] or found["quoted"]) if found else name
        value, what = event.label(label) or "", f"label {label!r}"
    if not value:
        raise ValueRefused(f"{what} is missing on the alert, and '{{{{ {name} }}}}' needs it")
    if len(value) > MAX_VALUE_CHARS:
        raise ValueRefused(f"{what} is longer than {MAX_VALUE_CHARS} characters")
    return value


def fill_text(text: str, event: AlertEvent, container: str = "") -> str:
    """Fill templates in plain text."""
    return _fill(text, event, lambda value, _at: value, container)


def fill_body(body: Any, event: AlertEvent) -> Any:
    """Fill ``{{ service }}`` into the texts of a JSON value; raises ValueRefused for a name that is not plain.

    What is sent ends up in somebody's script, so nothing else of an alert goes there.
    """
    if faults := body_faults(body):
        raise ValueRefused(f"the body {faults[0]}")
    return _filled_in(body, event)


def _filled_in(value: Any, event: AlertEvent) -> Any:
    if isinstance(value, dict):
        return {name: _filled_in(item, event) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled_in(item, event) for item in value]
    return _fill(value, event, _plain) if isinstance(value, str) else value


def _plain(value: str, _at: int) -> str:
    if not _PLAIN_NAME.fullmatch(value):
        raise ValueRefused(
            f"the alert's service {value[:80]!r} can't be sent elsewhere: only letters, digits, '.', '_' and '-' can"
        )
    return value


def _texts(value: object, path: str) -> Iterator[tuple[str, str, bool]]:
    """Yield the texts of a JSON value with where each stands, and whether it is the name of a field."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{path}.{name}".lstrip("."), str(name), True
            yield from _texts(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path or "it", value, False


def fill_promql(promql: str, event: AlertEvent, container: str = "") -> str:
    """Fill templates in PromQL, escaped for the literal that each stands in."""
    if faults := promql_faults(promql):
        raise ValueRefused(f"the query {faults[0]}")
    literals = list(_literals(promql))

    def escape(value: str, at: int) -> str:
        literal = next(item for item in literals if item.start <= at < item.end)
        if literal.matcher is not None and literal.matcher.endswith("~"):
            value = regex_literal(value)
        return escape_in(literal.quote, value)

    return _fill(promql, event, escape, container)


def fill_url(url: str, event: AlertEvent, container: str = "") -> str:
    """Fill templates in a URL: the author's scheme stands, values are one host label or percent-encoded."""
    found = _URL.fullmatch(url)
    if not found:
        raise ValueRefused("the URL must start with http:// or https://")
    path_from = found.start("rest")

    def escape(value: str, at: int) -> str:
        if at >= path_from:
            return quote(value.encode("utf-8", "replace"), safe="")
        if not _HOST_PART.fullmatch(value):
            # Without this an alert could send the check anywhere: another host, a port, 169.254.169.254.
            raise ValueRefused(f"{value[:80]!r} can't be part of a host name (a letter, then letters, digits, - or _)")
        return value

    filled = _fill(url, event, escape, container)
    if any(part in (".", "..") for part in re.split(r"[/?#]", filled)):
        raise ValueRefused("the URL's path would climb with '.' or '..'")
    return filled


def escape_in(kind: str, value: str) -> str:
    """Escape ``value`` for the inside of a PromQL literal in quotes of ``kind``; a backtick literal escapes nothing."""
    if not is_quotable(value):
        raise ValueRefused("the value holds a NUL or half a surrogate pair, which no query can")
    if kind == "`":
        if any(char in value for char in "`\r\ufffd"):  # Go drops raw carriage returns, and Prometheus refuses U+FFFD
            raise ValueRefused('the value holds a backtick or carriage return, which a `…` literal can\'t; use "…"')
        return value
    if kind == "'":  # here a double quote must not be escaped, and an apostrophe must
        parts = (promql_string(part)[1:-1].replace("'", "\\'") for part in value.split('"'))
        return '"'.join(parts)
    return promql_string(value)[1:-1]


def _fill(text: str, event: AlertEvent, escape: Callable[[str, int], str], container: str = "") -> str:
    """Fill every template in one pass, so that filled-in text is never read as a template."""

    def value(found: re.Match[str]) -> str:
        name = found["inside"].strip()
        if not found["end"] or not _NAME.fullmatch(name):
            raise ValueRefused(f"{found[0]!r} is not a known template; only {KNOWN} are")
        return escape(lookup(name, event, container), found.start())

    return _TEMPLATE.sub(value, text)


def _literals(promql: str) -> Iterator[Literal]:
    """Yield the string literals, comments left out; raises ValueRefused for one that does not end."""
    at, code_from = 0, 0
    while at < len(promql):
        char = promql[at]
        if char == "#":
            at = promql.find("\n", at)
            if at < 0:
                return
        elif char in "\"'`":
            end = _literal_end(promql, at)
            matcher = _MATCHER.search(promql[code_from:at])
            operator = matcher[1] if matcher else None
            if operator == "=" and promql[code_from:at].rstrip().endswith("=="):
                operator = None
            yield Literal(char, at + 1, end, operator)
            at = code_from = end
        at += 1


def _literal_end(promql: str, start: int) -> int:
    kind = promql[start]
    at = start + 1
    while at < len(promql):
        if promql.startswith("{{", at) and (template := _TEMPLATE.match(promql, at)) and template["end"]:
            at = template.end()  # the quotes of {{ labels["service.name"] }} are the template's
            continue
        if promql[at] == kind:
            return at
        if kind != "`" and promql[at] == "\\":
            at += 1
        elif kind != "`" and promql[at] == "\n":
            break
        at += 1
    raise ValueRefused(f"has a string that starts with {kind} and does not end")


def _without_literals(promql: str, literals: list[Literal]) -> str:
    """Return the expression with literals emptied and comments kept: a template in a comment is outside, too."""
    out, at = [], 0
    for literal in literals:
        out.append(promql[at : literal.start])
        at = literal.end
    return "".join(out) + promql[at:]
