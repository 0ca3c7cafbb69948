"""Log events are constants: a word that people search logs for is written in one place."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import sreops

SOURCE = Path(sreops.__file__).parent
_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


def logged(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the first argument of each call of a logger."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or not call.args:
            continue
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "log" and call.func.attr in _METHODS:
            yield call.args[0]
    aliases = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(isinstance(x, ast.Name) and x.id == "log" for x in ast.walk(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree) if aliases else ():  # `level = log.info if … else log.warning`, then `level(EVENT)`
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in aliases and call.args:
            yield call.args[0]


def constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module names at its top."""
    found: dict[str, str] = {}
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        value = getattr(node, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            found |= {target.id: value.value for target in targets if isinstance(target, ast.Name)}
    return found


def faults(sources: dict[str, str]) -> list[str]:
    """Say which calls log a literal, and which event is defined in more than one place."""
    told: list[str] = []
    homes: dict[str, list[str]] = defaultdict(list)
    for path, text in sources.items():
        if "log" not in text:
            continue
        tree = ast.parse(text)
        events = list(logged(tree))
        names = {one.id for one in events if isinstance(one, ast.Name) and one.id.isupper()}
        told += [f"{path}:{one.lineno} logs no constant" for one in events if getattr(one, "id", "") not in names]
        for name, value in constants(tree).items():
            if name in names:
                homes[value].append(f"{path} ({name})")
    return told + [f"{event} is defined in {', '.join(where)}" for event, where in homes.items() if len(where) > 1]


def test_every_log_event_is_a_constant_with_one_home() -> None:
    sources = {str(path.relative_to(SOURCE)): path.read_text() for path in sorted(SOURCE.rglob("*.py"))}
    assert sum(text.count("log.") for text in sources.values()) > 100, "the sources are not where they are looked for"
    assert faults(sources) == []


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        ({"a.py": 'log.info("a.began")'}, "a.py:1 logs no constant"),
        ({"a.py": 'log.warning(f"a.{x}")'}, "a.py:1 logs no constant"),
        ({"a.py": "log.error(event)"}, "a.py:1 logs no constant"),
        ({"a.py": 'level = log.info\nlevel("a.began")'}, "a.py:2 logs no constant"),
        ({"a.py": 'A = "a.b"\nB: Final = "a.b"\nlog.info(A)\nlog.info(B)'}, "a.b is defined in a.py (A), a.py (B)"),
        ({"a.py": 'A = "a.b"\nlog.info(A)', "b.py": 'C = "a.b"\nlog.info(C)'}, "a.b is defined in a.py (A), b.py (C)"),
    ],
)
def test_a_literal_and_a_second_home_are_found(sources: dict[str, str], fault: str) -> None:
    assert faults(sources) == [fault]
