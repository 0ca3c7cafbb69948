"""Redaction: what must not leave in evidence (secrets, personal data), and what must not act in it (control text).

Every pattern is fixed and linear: possessive or bounded, and anchored by a look-behind, so that no hostile
line makes one start over at each of its characters; a test times them.
"""

import re
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable

# CSI, OSC (ended by BEL or ST; an unended one swallows at most 300 characters), and two-byte escapes.
_ANSI = re.compile(
    "\x1b(?:\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\\][^\x07\x1b]{0,300}(?:\x07|\x1b\\\\)?|[()*+][A-Za-z0-9]|[@-Z\\\\^_=>c])"
    "|\x9b[0-?]{0,64}[@-~]"
)
_KEPT_CONTROLS = "\n\t"


def _is_hidden(character: str) -> bool:
    if character in _KEPT_CONTROLS:
        return False
    # Cc control, Cf format (bidi, zero width, tags), Cs surrogate, Co private, Zl/Zp line and paragraph separators.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or _is_blank_filler(character)


def _is_blank_filler(character: str) -> bool:
    code = ord(character)
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or code in (0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0)


class _Hidden(dict[int, int | None]):
    """A translation table that learns each character once."""

    def __missing__(self, code: int) -> int | None:
        value = self[code] = None if _is_hidden(chr(code)) else code
        return value


_HIDDEN = _Hidden()


def strip_ansi(text: str) -> str:
    """Return the text without terminal escape sequences."""
    return _ANSI.sub("", text) if "\x1b" in text or "\x9b" in text else text


def clean(text: str) -> str:
    """Return the text without ANSI sequences, control, invisible and bidirectional characters; newline and tab stay."""
    if text.isascii() and text.isprintable():
        return text
    return strip_ansi(text).replace("\r\n", "\n").translate(_HIDDEN)


def one_line(text: str, limit: int = 300) -> str:
    """Return clean text on one line, cut with an ellipsis."""
    flat = " ".join(clean(text[: limit * 8]).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


_W = r"(?<![A-Za-z0-9_])"
_NAME_OF_ONE = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|"
    r"client[_-]?secret|auth[_-]?token|credential|session[_-]?id|cookie|set-cookie|x-api-key)"
)
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "private-key",
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s:,\\-]{0,8000}(?:-----END [A-Z ]{0,30}KEY-----)?"
        ),
    ),
    ("jwt", re.compile(_W + r"eyJ[A-Za-z0-9_-]{8,4000}+\.[A-Za-z0-9_-]{4,8000}+(?:\.[A-Za-z0-9_-]{0,4000}+)?")),
    (
        "token",
        re.compile(
            _W + r"(?:sk-ant-|sk-|pk_live_|sk_live_|rk_live_|ghp_|gho_|ghs_|ghu_|github_pat_|glpat-|gldt-|glsa_|glc_|"
            r"xox[abeoprs]-|hvs\.|AIza|npm_|pypi-|dop_v1_|shpat_|SG\.)[A-Za-z0-9_.-]{12,400}+"
        ),
    ),
    ("aws-key", re.compile(_W + r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
)
_URL_PASSWORD = re.compile(
    r"(?<![A-Za-z0-9+.-])([a-z][a-z0-9+.-]{1,20}://[^\s:/?#@\"']{0,120}:)([^\s@/\"']{1,200})@", re.I
)
_AUTHORIZATION = re.compile(
    r"\b(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:bearer|basic|token|digest)?\s{0,4})([^\s\"',;]{4,4000}+)", re.I
)
_BEARER = re.compile(r"\b(bearer\s{1,4})([A-Za-z0-9._~+/=-]{12,4000}+)", re.I)
_NAMED = re.compile(
    r"(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]{0,40}?"
    + _NAME_OF_ONE
    # JSON within JSON has backslashes before its quotes, once per layer twice as many
    + r"(?:\\{0,7}[\"'])?\s{0,3}(?:=|:|=>)\s{0,3}\\{0,7})"
    r"(\"[^\"\n]{1,2000}\"|'[^'\n]{1,2000}'|[^\s,;&\"'(){}\[\]<>]{3,2000}+)",
    re.I,
)
_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}")
_CARD = re.compile(r"(?<![0-9A-Za-z.-])[0-9](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z]|[ -][0-9])")
_PLACEHOLDER = re.compile(r"<(secret|token|jwt|private-key|aws-key|card|email)-([0-9]{1,6})>")
_PLAIN_VALUES = frozenset({"none", "null", "true", "false", "undefined", "redacted", "invalid", "expired", "missing"})


def _is_card(digits: str) -> bool:
    """Say whether the digits have a card's first digit, length and Luhn sum (ISO/IEC 7812-1)."""
    if not 13 <= len(digits) <= 19 or digits[0] not in "3456":
        return False
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


class Redactor:
    """Masks secrets and personal data; the same value gets the same placeholder as long as the object lives.

    So that "the token that failed is the one that was rotated" can still be seen in what is left.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    @property
    def count(self) -> int:
        """How many different values were masked so far."""
        return len(self._known)

    def skip(self, texts: Iterable[str]) -> None:
        """Never give a placeholder again that stands in these texts: another redactor, now gone, gave it out."""
        for text in texts:
            for kind, number in _PLACEHOLDER.findall(text):
                self._counts[kind] = max(self._counts.get(kind, 0), int(number))

    def _placeholder(self, kind: str, value: str) -> str:
        known = self._known.get((kind, value))
        if known is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            known = self._known[(kind, value)] = f"<{kind}-{self._counts[kind]}>"
        return known

    def _whole(self, kind: str) -> Callable[[re.Match[str]], str]:
        return lambda found: self._placeholder(kind, found[0])

    def _named(self, found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        quote = value[0] if value[0] in "\"'" else ""
        whole = value.strip(quote) if quote else value
        bare = whole.rstrip("\\")  # of an escaped quote that ends it
        if not bare or bare.lower() in _PLAIN_VALUES or (bare.startswith("<") and bare.endswith(">")):
            return found[0]
        if not quote and bare.isalpha() and name.rstrip().endswith(":") and "pass" not in name.lower():
            return found[0]  # prose, such as "invalid token: unexpected EOF"
        return f"{name}{quote}{self._placeholder('secret', bare)}{whole[len(bare) :]}{quote}"

    def _card(self, found: re.Match[str]) -> str:
        digits = found[0].replace(" ", "").replace("-", "")
        return self._placeholder("card", digits) if _is_card(digits) else found[0]

    def _second(self, kind: str, after: str = "") -> Callable[[re.Match[str]], str]:
        def mask(found: re.Match[str]) -> str:
            if found[2].startswith("<"):
                return found[0]
            return f"{found[1]}{self._placeholder(kind, found[2])}{after}"

        return mask

    def redact(self, text: str) -> str:
        """Return the text with keys, tokens, JWTs, passwords, cards and e-mail addresses masked."""
        for kind, pattern in _PATTERNS:
            text = pattern.sub(self._whole(kind), text)
        if "://" in text:
            text = _URL_PASSWORD.sub(self._second("secret", "@"), text)
        text = _AUTHORIZATION.sub(self._second("secret"), text)
        text = _BEARER.sub(self._second("secret"), text)
        text = _NAMED.sub(self._named, text)
        if "@" in text:
            text = _EMAIL.sub(self._whole("email"), text)
        return _CARD.sub(self._card, text)


class Redactors:
    """One redactor per incident for as long as it is worked on: a value keeps its placeholder from node to node."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._kept: OrderedDict[str, Redactor] = OrderedDict()

    def of(self, incident_id: str) -> Redactor:
        """Return the incident's redactor; those that were not asked for the longest are let go."""
        redactor = self._kept.pop(incident_id, None) or Redactor()
        self._kept[incident_id] = redactor
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return redactor


def redact(text: str) -> str:
    """Mask one text by itself; use a Redactor where placeholders must agree over several texts."""
    return Redactor().redact(text)
