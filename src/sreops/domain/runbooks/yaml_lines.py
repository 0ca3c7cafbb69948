"""YAML read as plain data, with the line of every value: what the runbooks file is checked on.

Nodes are composed but never constructed: no tag makes an object, and no scalar overflows.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sreops.domain.runbooks.fields import Unquoted
from sreops.errors import RunbooksInvalid

MAX_FILE_CHARS = 1_000_000
MAX_DEPTH = 20
_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"

Place = tuple[str | int, ...]
"""Where a value stands: keys and indices from the top, as pydantic's ``loc``."""


@dataclass
class YamlFile:
    """One file's data; ``lines`` has the line (from 1) of every value, ``key_lines`` of every key.

    ``faults`` are what is wrong with its mappings: line, place, words.
    """

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    key_lines: dict[Place, int] = field(default_factory=dict)
    faults: list[tuple[int, Place, str]] = field(default_factory=list)

    def line_of(self, place: Place) -> int:
        """Return the line of the value at ``place``, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(text: str, *, path: str) -> YamlFile:
    """Read the one document of ``text``; raises RunbooksInvalid where it is not YAML, whatever the text is."""
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
        problem = exc.problem or exc.context or "can't be read"
        raise RunbooksInvalid([f"{path}:{line}: file: is not YAML: {problem}"]) from exc
    except RunbooksInvalid:
        raise
    except Exception as exc:  # the scanner slips on malformed input in ways of its own: OverflowError, …
        problem = str(exc).partition("\n")[0] or type(exc).__name__
        raise RunbooksInvalid([f"{path}:1: file: is not YAML: {problem}"]) from exc
    if root is None:
        raise RunbooksInvalid([f"{path}:1: file: is empty; it needs 'version: 1' and 'runbooks:'"])
    file = YamlFile()
    file.data = _data(root, (), file)
    return file


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


def _data(node: Node, place: Place, file: YamlFile) -> Any:
    file.lines[place] = _line(node)
    if isinstance(node, MappingNode):
        return _mapping(node, place, file)
    if isinstance(node, SequenceNode):
        return [_data(item, (*place, index), file) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: MappingNode, place: Place, file: YamlFile) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value in node.value:
        if not isinstance(key_node, ScalarNode):
            file.faults.append((_line(key_node), place, "a key must be text"))
            continue
        key = str(key_node.value)
        if key in values:
            told = f"stands here a second time; first on line {lines[key]}"
            file.faults.append((_line(key_node), (*place, key), told))
            continue
        file.key_lines[(*place, key)] = lines[key] = _line(key_node)
        values[key] = _data(value, (*place, key), file)
    return values


def _scalar(node: Node) -> str | None:
    """Return text; what YAML would read as a number or a boolean stays as it is written."""
    value = str(node.value)
    if node.tag == _NULL:
        return None
    if node.tag != _STR:
        return Unquoted(value)
    return (
        value.replace("\a", "") if getattr(node, "style", None) == ">" else value
    )  # ruamel marks the folds of a folded text with BEL


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
