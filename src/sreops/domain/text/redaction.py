"""Redaction: what must not leave in evidence (secrets, personal data), and what must not act in it (control text).

What secrets look like stands in ``secret_patterns``.
"""

import re
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable

from sreops.domain.text import secret_patterns as patterns

# CSI, OSC (ended by BEL or ST; an unended one swallows at most 300 characters), and two-byte escapes.
_ANSI = re.compile(
    "\x1b(?:\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\\][^\x07\x1b]{0,300}(?:\x07|\x1b\\\\)?|[()*+][A-Za-z0-9]|[@-Z\\\\^_=>c])"
    "|\x9b[0-?]{0,64}[@-~]"
)
_KEPT_CONTROLS = "\n\t"
# What Unicode has shown as nothing (Default_Ignorable_Code_Point) besides format characters: fillers, selectors of
# variants, and what no character has yet.
_IGNORABLE = frozenset(
    (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2065, 0x3164, *range(0xFE00, 0xFE10), 0xFFA0,
     *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000))
)  # fmt: skip


def _is_hidden(character: str) -> bool:
    if character in _KEPT_CONTROLS:
        return False
    # Cc control, Cf format (bidi, zero width, tags), Cs surrogate, Co private, Zl/Zp line and paragraph separators.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or ord(character) in _IGNORABLE


def strip_ansi(text: str) -> str:
    """Return the text without terminal escape sequences."""
    if "\x1b" not in text and "\x9b" not in text:
        return text  # as nearly every line of a log: to search it for the pattern takes ten times as long
    return _ANSI.sub("", text)


def clean(text: str) -> str:
    """Return the text without ANSI sequences, control, invisible and bidirectional characters; newline and tab stay."""
    if text.isascii() and text.isprintable():
        return text
    shown = strip_ansi(text)  # and each character that is left is asked for once, however often it stands there
    return shown.translate({ord(letter): None if _is_hidden(letter) else ord(letter) for letter in set(shown)})


def one_line(text: str, limit: int = 300) -> str:
    """Return clean text on one line, cut with an ellipsis."""
    flat = " ".join(clean(text[: limit * 8]).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


_PLACEHOLDER = re.compile(r"<(secret|token|jwt|private-key|aws-key|card|iban|email)-([0-9]{1,6})>")


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

    def _private_keys(self, text: str) -> str:
        shown, at = [], 0
        for start, end in patterns.private_keys(text):
            shown += [text[at:start], self._placeholder("private-key", patterns.key_itself(text[start:end]))]
            at = end
        return "".join([*shown, text[at:]])

    def _second(self, found: re.Match[str]) -> str:
        return found[1] + self._placeholder("secret", found[2])

    def _named(self, found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        before = "b" if value[:2] in ("b'", 'b"') else ""
        quote = value[len(before)] if value[len(before)] in "\"'" else ""
        closing = quote if value.endswith(quote) else ""  # none at a cut
        whole = value[len(before) + len(quote) : len(value) - len(closing)]
        bare = whole.rstrip("\\" if quote else "\\)}]")  # of an escaped quote that ends it, or of what encloses it
        if not bare or bare.lower() in patterns.PLAIN_VALUES or (bare.startswith("<") and bare.endswith(">")):
            return found[0]
        if not quote and (bare.startswith(("${", "$(")) or (bare.isalpha() and _is_prose(name))):
            return found[0]
        if not quote and bare.endswith(":") and "\n" in name:
            return found[0]  # the next key of a list
        return f"{name}{before}{quote}{self._placeholder('secret', bare)}{whole[len(bare) :]}{closing}"

    def _said(self, found: re.Match[str]) -> str:
        return found[0] if found[2].isalpha() and not found[1].startswith("-") else self._named(found)

    def _cookies(self, found: re.Match[str]) -> str:
        def one(pair: re.Match[str]) -> str:
            return pair[0] if pair[1].lower() in patterns.COOKIE_ATTRIBUTES else self._second(pair)

        given = patterns.COOKIE.sub(one, found[2])
        bare = given.lstrip()
        if "=" not in bare and not bare.startswith("<") and any(letter.isdigit() for letter in bare):
            first, blank, rest = bare.partition(" ")
            given = given.removesuffix(bare) + self._placeholder("secret", first) + blank + rest
        return found[1] + given

    def _url(self, found: re.Match[str]) -> str:
        end = patterns.url_password_end(found[2])
        if not end and found[2].endswith("…") and not found[2][:-1].isdigit() and "/" not in found[2]:
            end = len(found[2]) - 1  # cut off within it
        if not end:
            return found[0]
        rest = patterns.URL_PASSWORD.sub(self._url, found[2][end:])
        return found[1] + self._placeholder("secret", found[2][:end]) + rest

    def _basic(self, found: re.Match[str]) -> str:
        return self._second(found) if patterns.is_basic(found[2]) else found[0]

    def _cards(self, found: re.Match[str]) -> str:
        run, shown, at = found[0], [], 0
        for start, end in patterns.cards(run):
            digits = "".join(letter for letter in run[start:end] if letter.isdigit())
            shown += [run[at:start], self._placeholder("card", digits)]
            at = end
        return "".join([*shown, run[at:]])

    def _iban(self, found: re.Match[str]) -> str:
        return self._placeholder("iban", "".join(found[0].split())) if patterns.is_iban(found[0]) else found[0]

    def _email(self, found: re.Match[str]) -> str:
        return self._placeholder("email", found[0].replace("%40", "@"))

    def redact(self, text: str) -> str:
        """Return the text with keys, tokens, JWTs, passwords, cards, accounts and e-mail addresses masked."""
        if "PRIVATE KEY" in text:
            text = self._private_keys(text)
        for kind, pattern in patterns.WHOLE:
            text = pattern.sub(self._whole(kind), text)
        if "://" in text:
            text = patterns.URL_PASSWORD.sub(self._url, text)
        text = patterns.BASIC.sub(self._basic, text)
        for after in patterns.AFTER:
            text = after.sub(self._second, text)
        text = patterns.COOKIES.sub(self._cookies, text)
        text = patterns.PAIRED.sub(self._named, text)
        text = patterns.NAMED.sub(self._named, text)
        text = patterns.SAID.sub(self._said, text)
        if "@" in text:
            text = patterns.EMAIL.sub(self._email, text)
        if "%40" in text:
            text = patterns.EMAIL_IN_URL.sub(self._email, text)
        return patterns.DIGITS.sub(self._cards, patterns.IBAN.sub(self._iban, text))


def _is_prose(name: str) -> bool:
    """Say whether a name may stand in a sentence, such as "invalid token: unexpected EOF"; no compound does."""
    bare = name.rstrip(" \t\r\n\\")
    is_compound = any(mark in bare for mark in "_-.\"'") or "\n" in name
    return bare.endswith(":") and not is_compound and not any(word in bare.lower() for word in patterns.PASSWORDS)


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
