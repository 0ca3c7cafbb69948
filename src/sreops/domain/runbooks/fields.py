"""The types of a runbook's fields: each says in plain words what must stand there, and in JSON Schema for editors."""

import math
import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from sreops.domain.text.patterns import PatternInvalid, check_glob, check_pattern

_NUMBER = re.compile(r"[-+]?\d{1,15}(\.\d{0,15})?([eE][-+]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d{1,15}", re.ASCII)
_SHOWN_CHARS = 80
_ID = re.compile(r"[A-Za-z0-9_.-]+")


class Unquoted(str):
    """A scalar that YAML reads as a number or a boolean, as it is written in the file."""

    __slots__ = ()


def fault(what: str) -> PydanticCustomError:
    """Return the error that says ``what`` of a field."""
    return PydanticCustomError("runbook_field", "{what}", {"what": what})


def described(value: object) -> str:
    """Describe a value that is not what was expected."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else repr(str(value)[:_SHOWN_CHARS])


def one_of(value: str, choices: Sequence[str]) -> str:
    """Say what may stand there, and what was probably meant."""
    near = get_close_matches(value[:_SHOWN_CHARS], choices, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}one of {', '.join(choices)}"


def text_field(max_chars: int = 10_000, *, as_written: bool = False) -> Any:
    """Return the validator of a text that says something; ``as_written`` takes numbers and booleans too."""

    def read(value: object) -> str:
        if not isinstance(value, str) or (isinstance(value, Unquoted) and not as_written):
            raise fault(f"must be text, not {described(value)}")
        if not value.strip():
            raise fault("must not be empty")
        if len(value) > max_chars:
            raise fault(f"is longer than {max_chars} characters")
        return str(value)

    return BeforeValidator(read)


def number_field(least: float, most: float, *, whole: bool = False) -> Any:
    """Return the validator of a decimal number from ``least`` to ``most``."""
    kind = "a whole number" if whole else "a number"

    def read(value: object) -> float | int:
        number = _number(value)
        if math.isnan(number) or (whole and not number.is_integer()):
            raise fault(f"must be {kind}, not {described(value)}")
        if not least <= number <= most:
            raise fault(f"must be {kind} from {least:g} to {most:g}, not {value}")
        return int(number) if whole else number

    return BeforeValidator(read)


def as_json(value: object) -> object:
    """Return a value of the file as JSON has it: what is written as a number or a boolean is one."""
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if not isinstance(value, Unquoted):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    number = _number(value)
    if math.isnan(number):
        return str(value)
    return int(value) if _WHOLE.fullmatch(value) else number


def _number(value: object) -> float:
    """Return the number that is written there; NaN where none is."""
    if isinstance(value, Unquoted) and _NUMBER.fullmatch(value):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _bounds(least: float, most: float, kind: str = "number") -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "minimum": least, "maximum": most})


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, Unquoted) or value not in ("true", "false"):
        raise fault(f"must be true or false, not {described(value)}")
    return value == "true"


def _one_or_more(value: object) -> object:
    """Read one text as a list of one; numbers in a list stay as they are written."""
    if isinstance(value, list | tuple):
        if not value:
            raise fault("must not be empty")
        return tuple(value)
    return (value,) if isinstance(value, str) or value is None else value


def _checked(check: Callable[[str], None]) -> AfterValidator:
    def read(text: str) -> str:
        try:
            check(text)
        except PatternInvalid as exc:
            raise fault(f"{text[:_SHOWN_CHARS]!r} {exc}") from exc
        return text

    return AfterValidator(read)


def _id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise fault(f"{value!r} may hold only letters, digits, '_', '.' and '-'")
    return value


def choice_field(choices: Sequence[str], noun: str) -> Any:
    """Return the validator of one of ``choices``; ``noun`` says of what, with its article."""
    read_text = text_field(as_written=True).func

    def read(value: object) -> object:
        if isinstance(value, str) and value in choices:
            return str(value)
        text = read_text(value)
        raise fault(f"{text[:_SHOWN_CHARS]!r} is not {noun}; {one_of(text, choices)}")

    return BeforeValidator(read)


MAX_WAIT_S = 3600.0
MAX_SECONDS = 7 * 86400.0
_TEXTS = WithJsonSchema(
    {"anyOf": [{"type": ["string", "number", "boolean"]}, {"type": "array", "items": {}, "minItems": 1}]}
)

Text = Annotated[str, text_field()]
Line = Annotated[str, text_field(200)]
RunbookId = Annotated[str, AfterValidator(_id), text_field(100)]
Flag = Annotated[bool, BeforeValidator(_flag)]
WaitSeconds = Annotated[float, number_field(0, MAX_WAIT_S), _bounds(0, MAX_WAIT_S)]
TimeoutSeconds = Annotated[float, number_field(0.1, MAX_WAIT_S), _bounds(0.1, MAX_WAIT_S)]
Seconds = Annotated[float, number_field(0, MAX_SECONDS), _bounds(0, MAX_SECONDS)]
Priority = Annotated[int, number_field(-1000, 1000, whole=True), _bounds(-1000, 1000, "integer")]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more), _TEXTS]
Globs = Annotated[tuple[Annotated[str, _checked(check_glob), text_field()], ...], BeforeValidator(_one_or_more), _TEXTS]
LabelGlobs = Annotated[
    tuple[Annotated[str, _checked(check_glob), text_field(as_written=True)], ...],
    BeforeValidator(_one_or_more),
    _TEXTS,
]
Patterns = Annotated[
    tuple[Annotated[str, _checked(check_pattern), text_field()], ...], BeforeValidator(_one_or_more), _TEXTS
]
