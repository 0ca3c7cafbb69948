"""How badly: severities from their many spellings, in labels and in annotations. Pure."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from sreops.domain.alerts.alert import Severity

RANK: Final = {Severity.critical: 0, Severity.warning: 1, Severity.info: 2}
"""Critical first."""
SEVERITY_OF_RANK: Final = {rank: severity for severity, rank in RANK.items()}

SEVERITY_NAMES: Final = ("severity", "priority", "urgency", "criticality", "level")
"""The labels, then the annotations, that may say how bad it is, in any case of letters: the first understood one."""

_LOGS_OWN: Final = "level"
"""It often is a log line's: what logs an error every hour is not on fire, so by itself it says warning at most."""

_SPELLINGS: Final = {
    Severity.critical: (
        "critical crit fatal emergency emerg disaster blocker page pager error err severe high highest major urgent "
        "alert immediate red p0 p1 sev0 sev1 s0 s1 severity0 severity1 priority0 priority1 0 1"
    ),
    Severity.warning: (
        "warning warn minor medium moderate average degraded ticket yellow amber orange p2 p3 sev2 sev3 s2 s3 "
        "severity2 severity3 priority2 priority3 2 3"
    ),
    # no bare 4 and 5: of some senders they are the worst, and only what says that it is information is information
    Severity.info: "info information informational notice low lowest debug trivial none ok p4 p5 sev4 sev5 s4 s5",
}
_SEVERITY_OF: Final = {word: severity for severity, words in _SPELLINGS.items() for word in words.split()}
_SHOWN_CHARS: Final = 40
_WORDS: Final = re.compile(r"[a-z]+[0-9]*|[0-9]+(?:\.[0-9]+)?")
_WHOLE_NUMBER: Final = re.compile(r"(?<=[0-9])\.0+\Z")  # 2.0, as a sender writes a number
_MOST_WORDS: Final = 4
_NEGATIONS: Final = frozenset({"non", "not", "no", "never", "ish"})


def severity_of(text: str) -> Severity | None:
    """Return the severity that a word means (``crit``, ``P1``, ``sev-1``, ``ticket`` …), or None.

    Of several words (``P1 - Critical``) it is the worst that one of them means.
    """
    text = _WHOLE_NUMBER.sub("", text.strip())
    whole = _SEVERITY_OF.get(text) or _SEVERITY_OF.get("".join(char for char in text.lower() if char.isalnum()))
    return whole or _of_words(_WORDS.findall(text.lower()[:_SHOWN_CHARS]))


def _of_words(words: list[str]) -> Severity | None:
    if len(words) > _MOST_WORDS or not _NEGATIONS.isdisjoint(words):
        return None
    found = {_SEVERITY_OF[word] for word in words if word in _SEVERITY_OF}
    return next((severity for severity in Severity if severity in found), None)


class ReadSeverity(NamedTuple):
    """How bad an alert is; ``note`` is for whoever reads the event, ``told`` for its sender."""

    severity: Severity
    note: str = ""
    told: str = ""


_PLAIN: Final = {word: ReadSeverity(severity) for word, severity in _SEVERITY_OF.items()}


def read_severity(labels: Mapping[str, str], annotations: Mapping[str, str], default: Severity) -> ReadSeverity:
    """Return how bad it is; what is missing or not understood is ``default``.

    Only what says that it is information is information.
    """
    if (plain := labels.get("severity")) and (understood := _PLAIN.get(plain)):
        return understood
    not_understood = []
    for kind, texts in (("label", labels), ("annotation", annotations)):
        lowered = {name.lower(): text.strip() for name, text in texts.items()}
        for name in SEVERITY_NAMES:
            text = lowered.get(name, "")
            severity = severity_of(text) if text else None
            if severity is None:
                if text and kind == "label":
                    not_understood.append(f"{name}={text[:_SHOWN_CHARS]}")
                continue
            said = f"read from the {kind} {name}" if (kind, name) != ("label", "severity") else ""
            if name == _LOGS_OWN and severity is Severity.critical:
                note = f"{said}, which says warning at most"
                return ReadSeverity(Severity.warning, note, f"severity {note}")
            return ReadSeverity(severity, said)
    why = f"{', '.join(not_understood)} is not understood" if not_understood else "missing"
    read_as = f"read as {default.value} (SREOPS_DEFAULT_SEVERITY)"
    return ReadSeverity(default, f"{why}, {read_as}", f"no severity that is understood, {read_as}")
