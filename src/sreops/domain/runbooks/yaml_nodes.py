"""YAML as nodes with lines and fields: what the runbooks file is checked on, fault by fault.

Nodes are composed but never constructed: no tag makes an object, no scalar overflows, and every value keeps its line.
"""

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sreops.errors import RunbooksInvalid

MAX_FILE_CHARS = 1_000_000
MAX_DEPTH = 20
MAX_PROBLEMS = 50
_NUMBER = re.compile(r"[-+]?\d{1,15}(\.\d{0,15})?([eE][-+]?\d{1,2})?", re.ASCII)
_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"


@dataclass
class Faults:
    """Collects faults as ``file:line: field: what``, so that one reading names them all."""

    path: str
    problems: list[str] = field(default_factory=list)

    def add(self, node: Node, place: str, what: str) -> None:
        """Note a fault of ``node``, which is the value of field ``place``."""
        self.problems.append(f"{self.path}:{line_of(node)}: {place or 'file'}: {what}")

    def check(self) -> None:
        """Raise RunbooksInvalid where there is any fault."""
        if self.problems:
            more = len(self.problems) - MAX_PROBLEMS
            cut = [f"{self.path}: … and {more} more problems"] if more > 0 else []
            raise RunbooksInvalid([*self.problems[:MAX_PROBLEMS], *cut])


def line_of(node: Node) -> int:
    """Return the line of a node, from 1."""
    return int(node.start_mark.line) + 1


def compose(text: str, *, path: str) -> Node:
    """Compose the one document of ``text``; raises RunbooksInvalid, whatever the text is."""
    if len(text) > MAX_FILE_CHARS:
        raise RunbooksInvalid([f"{path}:1: file: is longer than {MAX_FILE_CHARS} characters"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ruamel warns where it reads on; what matters is checked here
            _check_events(text, path)
            root: Node | None = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = mark.line + 1 if mark is not None else 1
        said = exc.problem or exc.context or "can't be read"
        raise RunbooksInvalid([f"{path}:{line}: file: is not YAML: {said}"]) from exc
    except RunbooksInvalid:
        raise
    except Exception as exc:  # the scanner slips on malformed input in ways of its own: OverflowError, …
        said = str(exc).partition("\n")[0] or type(exc).__name__
        raise RunbooksInvalid([f"{path}:1: file: is not YAML: {said}"]) from exc
    if root is None:
        raise RunbooksInvalid([f"{path}:1: file: is empty; it needs 'version: 1' and 'runbooks:'"])
    return root


def _check_events(text: str, path: str) -> None:
    """Refuse what would be costly or ambiguous to compose: depth, aliases, tags."""
    depth = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        what = ""
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                what = f"is nested deeper than {MAX_DEPTH} levels"
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if isinstance(event, AliasEvent):
            what = f"alias '*{event.anchor}': aliases are not read here, write the value out"
        elif (tag := getattr(event, "tag", None)) not in (None, "!"):
            what = f"tag '{tag}': tags are not read here"
        if what:
            raise RunbooksInvalid([f"{path}:{event.start_mark.line + 1}: file: {what}"])


class Reader:
    """Reads typed values out of nodes; a wrong one is noted in ``faults`` and read as None."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def mapping(
        self, node: Node, place: str, *, known: Sequence[str] | None = None, required: Sequence[str] = ()
    ) -> dict[str, Node] | None:
        """Read a mapping with text keys; ``known`` None takes any key."""
        if not isinstance(node, MappingNode):
            self.faults.add(node, place, f"must be a mapping, not {described(node)}")
            return None
        values: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, ScalarNode):
                self.faults.add(key_node, place, "a key must be text")
                continue
            key = str(key_node.value)
            where = f"{place}.{key}" if place else key
            if key in values:
                self.faults.add(key_node, where, f"stands here a second time; first on line {lines[key]}")
            elif known is not None and key not in known:
                self.faults.add(key_node, where, f"is not a field; {one_of(key, known)}")
            else:
                values[key], lines[key] = value, line_of(key_node)
        for key in required:
            if key not in values:
                self.faults.add(node, f"{place}.{key}" if place else key, "is missing")
        return values

    def sequence(self, node: Node, place: str, *, empty_ok: bool = True) -> list[Node]:
        """Read a list."""
        if not isinstance(node, SequenceNode):
            self.faults.add(node, place, f"must be a list, not {described(node)}")
            return []
        if not node.value and not empty_ok:
            self.faults.add(node, place, "must not be empty")
        return list(node.value)

    def text(self, node: Node, place: str, *, plain_ok: bool = False, max_chars: int = 10_000) -> str | None:
        """Read text; ``plain_ok`` takes numbers and booleans as they are written."""
        if not isinstance(node, ScalarNode) or (node.tag != _STR and not (plain_ok and node.tag != _NULL)):
            self.faults.add(node, place, f"must be text, not {described(node)}")
            return None
        value = str(node.value)
        if node.style == ">":
            value = value.replace("\a", "")  # ruamel marks the folds of a folded text with BEL
        if not value.strip():
            self.faults.add(node, place, "must not be empty")
            return None
        if len(value) > max_chars:
            self.faults.add(node, place, f"is longer than {max_chars} characters")
            return None
        return value

    def texts(self, node: Node, place: str, *, plain_ok: bool = False) -> list[tuple[Node, str, str]]:
        """Read one text or a list of texts, as ``(node, place, text)``."""
        if isinstance(node, SequenceNode):
            items = [(item, f"{place}[{n}]") for n, item in enumerate(self.sequence(node, place, empty_ok=False))]
        else:
            items = [(node, place)]
        read = [(item, where, self.text(item, where, plain_ok=plain_ok)) for item, where in items]
        return [(item, where, text) for item, where, text in read if text is not None]

    def number(self, node: Node, place: str, *, least: float, most: float, whole: bool = False) -> float | None:
        """Read a decimal number from ``least`` to ``most``."""
        kind = "a whole number" if whole else "a number"
        plain = isinstance(node, ScalarNode) and node.style in (None, "") and _NUMBER.fullmatch(str(node.value))
        value = float(node.value) if plain else math.nan
        if math.isnan(value) or (whole and not value.is_integer()):
            self.faults.add(node, place, f"must be {kind}, not {described(node)}")
            return None
        if not least <= value <= most:
            self.faults.add(node, place, f"must be {kind} from {least:g} to {most:g}, not {node.value}")
            return None
        return value

    def flag(self, node: Node, place: str) -> bool | None:
        """Read ``true`` or ``false``."""
        if not isinstance(node, ScalarNode) or node.style not in (None, "") or node.value not in ("true", "false"):
            self.faults.add(node, place, f"must be true or false, not {described(node)}")
            return None
        return bool(node.value == "true")

    def choice(self, node: Node, place: str, choices: Sequence[str], noun: str) -> str | None:
        """Read one of ``choices``; ``noun`` says of what, with its article."""
        value = self.text(node, place, plain_ok=True)
        if value is not None and value not in choices:
            self.faults.add(node, place, f"{value[:80]!r} is not {noun}; {one_of(value, choices)}")
            return None
        return value


def described(node: Node) -> str:
    """Describe a value that is not what was expected."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.tag == _NULL:
        return "nothing"
    return repr(str(node.value)[:80])


def one_of(value: str, choices: Sequence[str]) -> str:
    """Say what may stand there, and what was probably meant."""
    near = get_close_matches(value[:80], choices, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}one of {', '.join(choices)}"
