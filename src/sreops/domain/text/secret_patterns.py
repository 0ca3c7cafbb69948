"""What secrets and personal data look like in text. Pure data, and the few checks that a pattern can't make.

Every pattern is fixed and linear: possessive or bounded, and anchored by a look-behind or a literal, so that no
hostile line makes one start over at each of its characters; a test times them.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator


class Hinted:
    """A pattern that is tried only on text that holds one of its hints, which are words in lower case.

    Looking for a word takes a hundredth of the pattern's time. Every ASCII text that the pattern matches must hold a
    hint, in either case. Other text is always tried: ``re.I`` takes some letters of Unicode for those of ASCII.
    """

    def __init__(self, hints: tuple[str, ...], pattern: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self.pattern = re.compile(pattern, flags)
        self._hints = hints

    def sub(self, mask: Callable[[re.Match[str]], str], text: str) -> str:
        """Return the text with each match masked."""
        if text.isascii():
            lowered = text.lower()
            for hint in self._hints:
                if hint in lowered:
                    break
            else:
                return text
        return self.pattern.sub(mask, text)


_W = r"(?<![A-Za-z0-9_])"
# What a value is called: `password`, `DB_PASSWORD2`, `SECRET_KEY_BASE`, `clientSecret`, `AccountKey`; not `max_tokens`.
_NAME = (
    r"[A-Za-z0-9_.-]{0,40}?"
    r"(?:pass(?:word|wd|phrase|wort)?|pwd|kennwort|secret|token|credential|session[_-]?id|"
    r"(?:api|access|account|private|secret|encryption|signing|shared|master)[_-]?key)"
    r"(?:[_-]?(?:base|value|hash|[0-9]{1,3}))?"
)
_NAME_HINTS = ("pass", "pwd", "kennwort", "secret", "token", "credential", "session", "key")
_QUOTE = r"(?:\\{0,7}[\"'])?"  # JSON within JSON has backslashes before its quotes, once per layer twice as many
_PLAIN = r"[^\s,;&\"'(){}\[\]<>][^\s,;&\"'<>]{2,2000}+"
_VALUE = (
    r"((?<!\\)b?\"(?:[^\"\\\n]++|\\.){1,500}+\"|\"[^\"\n]{1,2000}\"|(?<!\\)b?'(?:[^'\\\n]++|\\.){1,500}+'|'[^'\n]{1,2000}'|"
    + _PLAIN
    + r"|b?[\"'][^\"'\n]{1,2000}+\Z)"
)

PASSWORDS = ("pass", "pwd", "kennwort")
"""What stands in a password's name: after it, unlike after "token" or "secret", a word is no prose."""

PLAIN_VALUES = frozenset({"none", "null", "true", "false", "undefined", "redacted", "invalid", "expired", "missing"})

WHOLE: tuple[tuple[str, re.Pattern[str]], ...] = (
    # JWS has three parts, JWE five
    ("jwt", re.compile(_W + r"eyJ[A-Za-z0-9_-]{8,4000}+\.[A-Za-z0-9_-]{4,8000}+(?:\.[A-Za-z0-9_-]{0,8000}+){0,3}")),
    (
        "token",
        re.compile(
            _W + r"(?:(?:sk-ant-|sk-|pk_live_|sk_live_|rk_live_|gh[oprsu]_|github_pat_|glpat-|gldt-|glsa_|glc_|"
            r"xox[abeoprs]-|xapp-|hvs\.|AIza|ya29\.|npm_|pypi-|dop_v1_|shpat_|SG\.|AGE-SECRET-KEY-)"
            r"(?:[A-Za-z0-9_.-]{12,400}+|[A-Za-z0-9_.-]{1,11}+(?=…?\Z))|hf_[A-Za-z0-9]{24,80}+|(?:dapi|SK)[0-9a-f]{32}(?![A-Za-z0-9]))"
        ),
    ),
    ("aws-key", re.compile(_W + r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
)
"""(kind, pattern) of what is a secret by its own look."""

AFTER: tuple[Hinted, ...] = (
    Hinted(  # schemes whose parameters go to the end of the line
        ("authorization",),
        r"\b(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:digest|oauth|hawk|signature|aws4-[a-z0-9-]{1,30})\s{1,4})"
        r"((?!<secret-)[^\n]{4,4000}+)",
        re.I,
    ),
    Hinted(
        ("authorization",),
        r"\b(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
        r"(?:(?:bearer|basic|token|negotiate|ntlm|api-?key|hmac)\s{1,4})?+)(?!(?:digest|oauth|hawk|signature|aws4-))"
        r"([^\s\"',;<]{4,4000}+)",
        re.I,
    ),
    Hinted(("bearer",), r"\b(bearer\s{1,4})([A-Za-z0-9._~+/=-]{12,4000}+)", re.I),
    Hinted(("jdbc:oracle:",), r"(jdbc:oracle:[a-z]{2,6}:[^\s/@:]{1,100}/)([^\s@<]{1,200})(?=@)", re.I),
    Hinted(
        ("hooks.slack.com/",), r"(hooks\.slack\.com/(?:services|workflows|triggers)/)([A-Za-z0-9/_-]{8,200}+)", re.I
    ),
    Hinted(("discord",), r"(discord(?:app)?\.com/api/webhooks/[0-9]{1,30}/)([A-Za-z0-9_-]{8,200}+)", re.I),
    Hinted(("webhook.office.com/",), r"(webhook\.office\.com/webhookb2/)([A-Za-z0-9/@_-]{8,400}+)", re.I),
    Hinted((":aa",), r"(?<![0-9])([0-9]{6,12}:)(AA[A-Za-z0-9_-]{32,34})(?![A-Za-z0-9_-])"),  # Telegram's bots
    Hinted(
        ("sig", "security-token"),
        r"([?&](?:sig|signature|x-(?:amz|goog)-(?:signature|security-token))=)([^&\s\"'<>#]{8,4000}+)",
        re.I,
    ),
    Hinted(("auth",), r"([\"']auth[\"']\s{0,3}:\s{0,3}[\"'])([A-Za-z0-9+/=]{8,2000}+)"),  # Docker's config.json
    Hinted(("secret access key",), r"(secret access key\W{1,5})([A-Za-z0-9/+=]{40})(?![A-Za-z0-9/+=])", re.I),
    Hinted((";",), r"(;\s{0,2}(?:password|pwd)\s{0,2}=\s{0,2})([^;\n\"'<]{1,200}+)(?=;)", re.I),  # may hold blanks
    Hinted(("-u",), r"(?<![^\s\"'])((?:-u|--user)\s{1,3}[\"']?[^\s:\"']{1,100}:)([^\s\"'<]{1,200}+)"),
    Hinted(("mysql",), r"\b(mysql(?:dump|admin)?\b[^\n|;]{0,200}?\s-p)([^\s<]{3,200}+)"),
    Hinted(("'",), r"\b((?:password|passwd|identified\s{1,3}by)\s{1,4}')([^'\n<]{1,200}+)(?=')", re.I),  # SQL
    Hinted(_NAME_HINTS, r"(<" + _NAME + r">)([^<\n]{1,2000}+)(?=</)", re.I),
)
"""(what stands before, the secret): two groups."""

NAMED = Hinted(
    _NAME_HINTS,
    r"(?<![A-Za-z0-9_.-])(" + _NAME + _QUOTE + r"\s{0,3}(?:=>|=|:|%3[DdAa])"
    # on the next line only where that is indented, as YAML goes on
    r"(?:[ \t]{0,3}(?:[|>][-+]?[ \t]{0,3})?\r?\n[ \t]{1,20}|[ \t]{0,8})\\{0,7})" + _VALUE,
    re.I,
)
PAIRED = Hinted(  # an entry of a list of variables: its name, then its value
    ("name",),
    r"(\bname" + _QUOTE + r"\s{0,3}[:=]\s{0,3}" + _QUOTE + _NAME + _QUOTE + r"\s{0,3},?\s{0,20}" + _QUOTE + r"value"
    + _QUOTE + r"\s{0,3}[:=]\s{0,3}\\{0,7})" + _VALUE,
    re.I,
)  # fmt: skip
SAID = Hinted(  # without a sign between: an option, or a sentence; what is all letters there is prose
    _NAME_HINTS,
    r"(?<![A-Za-z0-9_.-])(--?" + _NAME + r"\s{1,3}|password\s{1,3}(?:is|was)\s{1,3})" + _VALUE,
    re.I,
)
COOKIES = Hinted(
    ("cookie",), r"\b((?:set-)?cookie" + _QUOTE + r"\s{0,3}[:=]\s{0,3}" + _QUOTE + r")([^\n\"'\\]{3,4000}+)", re.I
)
COOKIE = re.compile(r"([^=;\s]{1,100}=)([^;\s<]{1,4000}+)")
COOKIE_ATTRIBUTES = frozenset({"path=", "domain=", "expires=", "max-age=", "samesite=", "version="})
URL_PASSWORD = re.compile(
    r"(?<![A-Za-z0-9+.-])([a-z][a-z0-9+.-]{1,20}://[^\s:/?#@\"'<>]{0,120}:)([^\s\"'<>]{1,300}+)", re.I
)
BASIC = Hinted(("basic",), r"\b(basic\s{1,4})([A-Za-z0-9+/]{8,2000}+={0,2})(?![A-Za-z0-9+/=])", re.I)
EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}+@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}")
EMAIL_IN_URL = re.compile(
    r"(?<![A-Za-z0-9._+-])[A-Za-z0-9._+-]{1,64}+%40[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}"
)
DIGITS = re.compile(r"(?<![0-9A-Za-z.])[0-9](?:[ \u00a0\u202f-]?[0-9]){12,120}+(?![0-9A-Za-z])")
IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ \u00a0]?[A-Z0-9]{4}){2,7}(?:[ \u00a0]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_GROUP = re.compile(r"[0-9]+")
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,30}KEY(?: BLOCK)?-----")
_KEY_TEXT = re.compile(r"(?:[A-Za-z0-9+/=\s,:-]|\\[nr])*+")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{1,200}")
_KEY_TOKEN = re.compile(r"[A-Za-z0-9+/=]{32,200}")
_KEY_HEADERS = ("Proc-Type:", "DEK-Info:", "Version:", "Comment:", "Hash:")
_MOST_KEY_LINES = 600


def url_password_end(rest: str) -> int:
    """Return where the password ends in what follows ``scheme://user:``; 0 where that is a port, or nothing."""
    slash = rest.find("/")
    if rest[: slash if slash >= 0 else len(rest)].split("?")[0].isdigit():
        return 0
    at = rest.rfind("@", 0, slash) if slash >= 0 else rest.rfind("@")
    return max(0, at if at >= 0 else rest.find("@"))


def is_basic(text: str) -> bool:
    """Say whether this is ``user:password`` in base64, as in HTTP's basic authentication."""
    try:
        return b":" in base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False


def is_card(digits: str) -> bool:
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


def cards(run: str) -> Iterator[tuple[int, int]]:
    """Yield where cards stand in a run of digits, blanks and hyphens: one group of digits, or three to five."""
    groups = [(found.start(), found.end()) for found in _GROUP.finditer(run)]
    at = 0
    while at < len(groups):
        for count in (1, 3, 4, 5):
            those = groups[at : at + count]
            if len(those) == count and (count == 1 or all(3 <= end - start <= 7 for start, end in those)):
                start, end = those[0][0], those[-1][1]
                if is_card("".join(run[a:b] for a, b in those)):
                    yield start, end
                    at += count
                    break
        else:
            at += 1


def is_iban(text: str) -> bool:
    """Say whether the check digits are right (ISO 13616: modulo 97)."""
    bare = "".join(text.split())
    return 15 <= len(bare) <= 34 and int("".join(str(int(letter, 36)) for letter in bare[4:] + bare[:4])) % 97 == 1


def private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Yield where private keys stand, also those that are cut off, or that have a log's prefix before each line."""
    after = 0
    for begins in _KEY_BEGINS.finditer(text):
        if begins.start() < after:
            continue
        after = _key_end(text, begins.end())
        yield begins.start(), after


def _key_end(text: str, at: int) -> int:
    line_end = _line_end(text, at)
    here = _KEY_ENDS.search(text, at, line_end)
    if here:
        return here.end()
    if text[at:line_end].strip():  # all in one line, as in JSON, and cut off
        found = _KEY_TEXT.match(text, at, line_end)
        return found.end() if found else at
    end = at
    for _ in range(_MOST_KEY_LINES):
        start, line_end = line_end + 1, _line_end(text, line_end + 1)
        if start > len(text):
            break
        last = _KEY_ENDS.search(text, start, line_end)
        if last:
            return last.end()
        if not _of_a_key(text[start:line_end].strip()) and not _KEY_ENDS.search(
            text, line_end, _line_end(text, line_end + 1)
        ):
            break
        end = line_end
    return end


def _of_a_key(line: str) -> bool:
    last = line.rsplit(None, 1)[-1] if line else ""
    return (
        not line or bool(_KEY_LINE.fullmatch(line)) or bool(_KEY_TOKEN.fullmatch(last)) or line.startswith(_KEY_HEADERS)
    )


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def key_itself(block: str) -> str:
    """Return what is the same of a private key however it was written down: its longest pieces of base64."""
    pieces: list[str] = re.findall(r"[A-Za-z0-9+/=]{16,}", block.replace("\\n", "\n"))
    return "".join(pieces) or block
