"""The runbooks file: read with file, line and field of every fault (schema: design §3)."""

from collections.abc import Callable, Mapping
from typing import Any

from ruamel.yaml.nodes import Node

from sreops.domain.runbooks.condition import parse_condition
from sreops.domain.runbooks.runbook import Autonomy, Condition, Runbook, Step, StepAction, When
from sreops.domain.runbooks.template import promql_faults, template_faults, url_faults
from sreops.domain.runbooks.yaml_nodes import Faults, Reader, compose, line_of
from sreops.domain.text.patterns import PatternInvalid, check_glob, check_pattern

MAX_RUNBOOKS = 1000
MAX_WAIT_S = 3600.0
MAX_SECONDS = 7 * 86400.0
MAX_REPLICAS = 1000

_PARAMS: Mapping[StepAction, tuple[tuple[str, ...], tuple[str, ...]]] = {
    StepAction.restart_container: (("container",), ()),
    StepAction.start_container: (("container",), ()),
    StepAction.scale_container: (("container", "replicas"), ("replicas",)),
    StepAction.check_health: (("container",), ()),
    StepAction.wait: (("seconds",), ("seconds",)),
    StepAction.query_prometheus: (("promql", "condition"), ("promql",)),
    StepAction.http_check: (("url", "status"), ("url",)),
    StepAction.notify: (("message",), ("message",)),
}
"""What each action takes and what it needs."""


def load_runbooks(text: str, *, path: str) -> tuple[Runbook, ...]:
    """Read the runbooks in ``text``, in file order.

    Raises RunbooksInvalid, whatever the text is, with every fault as ``path:line: field: what``.
    """
    faults = Faults(path)
    reader = Reader(faults)
    root = reader.mapping(compose(text, path=path), "", known=("version", "runbooks"), required=("version", "runbooks"))
    faults.check()
    assert root is not None
    version = reader.number(root["version"], "version", least=0, most=1e9, whole=True)
    if version is not None and version != 1:
        faults.add(root["version"], "version", f"is {version:g}, and only 1 is known")
    nodes = reader.sequence(root["runbooks"], "runbooks")
    if len(nodes) > MAX_RUNBOOKS:
        faults.add(root["runbooks"], "runbooks", f"has {len(nodes)} entries, more than {MAX_RUNBOOKS}")
        nodes = []
    runbooks: list[Runbook] = []
    first_line: dict[str, int] = {}
    for index, node in enumerate(nodes):
        runbook = _RunbookReader(reader, f"runbooks[{index}]").read(node)
        if runbook is None:
            continue
        if runbook.id in first_line:
            what = f"{runbook.id!r} is the id of the runbook on line {first_line[runbook.id]}, too"
            faults.add(node, f"runbooks[{index}].id", what)
        first_line.setdefault(runbook.id, line_of(node))
        runbooks.append(runbook)
    faults.check()
    return tuple(runbooks)


class _RunbookReader:
    """Reads one runbook; ``place`` is its field path."""

    def __init__(self, reader: Reader, place: str) -> None:
        self.reader = reader
        self.faults = reader.faults
        self.place = place

    def read(self, node: Node) -> Runbook | None:
        """Return the runbook, or None where it has a fault."""
        before = len(self.faults.problems)
        known = ("id", "title", "when", "not_when", "autonomy", "cooldown_s", "steps", "verify", "docs")
        fields = self.reader.mapping(node, self.place, known=known, required=("id", "when", "steps"))
        if fields is None:
            return None
        readers: dict[str, Callable[[Node, str], Any]] = {
            "id": self._id,
            "title": lambda n, p: self.reader.text(n, p, max_chars=200),
            "when": self._when,
            "not_when": self._when,
            "autonomy": self._autonomy,
            "cooldown_s": lambda n, p: self.reader.number(n, p, least=0, most=MAX_SECONDS),
            "steps": self._steps,
            "verify": self._verify,
            "docs": self.reader.text,
        }
        values = {name: readers[name](value, f"{self.place}.{name}") for name, value in fields.items()}
        if len(self.faults.problems) > before:
            return None
        return Runbook(**values)

    def _id(self, node: Node, place: str) -> str | None:
        value = self.reader.text(node, place, max_chars=100)
        if value is not None and not all(char.isascii() and (char.isalnum() or char in "_.-") for char in value):
            self.faults.add(node, place, f"{value!r} may hold only letters, digits, '_', '.' and '-'")
        return value

    def _autonomy(self, node: Node, place: str) -> Autonomy | None:
        value = self.reader.choice(node, place, [member.value for member in Autonomy], "an autonomy")
        return Autonomy(value) if value is not None else None

    def _when(self, node: Node, place: str) -> When | None:
        fields = self.reader.mapping(node, place, known=("alertname", "labels", "root_cause", "logs"))
        if fields is None:
            return None
        values: dict[str, Any] = {}
        for name, value in fields.items():
            where = f"{place}.{name}"
            if name == "labels":
                values[name] = self._labels(value, where)
            else:
                check = check_glob if name == "alertname" else check_pattern
                values[name] = self._patterns(value, where, check)
        return When(**values)

    def _labels(self, node: Node, place: str) -> dict[str, tuple[str, ...]]:
        fields = self.reader.mapping(node, place)
        if fields is not None and not fields:
            self.faults.add(node, place, "must not be empty")
        return {
            name: self._patterns(value, f"{place}.{name}", check_glob, plain_ok=True)
            for name, value in (fields or {}).items()
        }

    def _patterns(
        self, node: Node, place: str, check: Callable[[str], None], *, plain_ok: bool = False
    ) -> tuple[str, ...]:
        values = []
        for item, where, text in self.reader.texts(node, place, plain_ok=plain_ok):
            try:
                check(text)
            except PatternInvalid as exc:
                self.faults.add(item, where, f"{text[:80]!r} {exc}")
            values.append(text)
        return tuple(values)

    def _steps(self, node: Node, place: str) -> tuple[Step, ...]:
        nodes = self.reader.sequence(node, place, empty_ok=False)
        steps = [self._step(item, f"{place}[{index}]") for index, item in enumerate(nodes)]
        return tuple(step for step in steps if step is not None)

    def _step(self, node: Node, place: str) -> Step | None:
        known = ("action", "params", "required", "timeout_s")
        fields = self.reader.mapping(node, place, known=known, required=("action",))
        if fields is None or "action" not in fields:
            return None
        before = len(self.faults.problems)
        name = self.reader.choice(
            fields["action"], f"{place}.action", [member.value for member in StepAction], "an action"
        )
        values: dict[str, Any] = {}
        if "required" in fields:
            values["required"] = self.reader.flag(fields["required"], f"{place}.required")
        if "timeout_s" in fields:
            where = f"{place}.timeout_s"
            values["timeout_s"] = self.reader.number(fields["timeout_s"], where, least=0.1, most=MAX_WAIT_S)
        if name is None:
            return None
        action = StepAction(name)
        values["params"] = self._params(action, fields.get("params"), node, f"{place}.params")
        return Step(action=action, **values) if len(self.faults.problems) == before else None

    def _params(self, action: StepAction, node: Node | None, step: Node, place: str) -> dict[str, Any]:
        known, required = _PARAMS[action]
        if node is None:
            for name in required:
                self.faults.add(step, f"{place}.{name}", f"is missing: {action.value} needs it")
            return {}
        fields = self.reader.mapping(node, place, known=known, required=required) or {}
        return {name: self._param(name, value, f"{place}.{name}") for name, value in fields.items()}

    def _param(self, name: str, node: Node, place: str) -> Any:
        if name == "seconds":
            return self.reader.number(node, place, least=0, most=MAX_WAIT_S)
        if name in ("replicas", "status"):
            least, most = (1, MAX_REPLICAS) if name == "replicas" else (100, 599)
            whole = self.reader.number(node, place, least=least, most=most, whole=True)
            return None if whole is None else int(whole)
        if name == "condition":
            return self._condition_text(node, place)
        value = self.reader.text(node, place)
        check = {"promql": promql_faults, "url": url_faults}.get(name, template_faults)
        for fault in check(value) if value is not None else ():
            self.faults.add(node, place, fault)
        return value

    def _verify(self, node: Node, place: str) -> tuple[Condition, ...]:
        conditions = []
        for index, item in enumerate(self.reader.sequence(node, place)):
            where = f"{place}[{index}]"
            known = ("promql", "condition", "for_s")
            before = len(self.faults.problems)
            fields = self.reader.mapping(item, where, known=known, required=("promql", "condition"))
            if fields is None:
                continue
            values: dict[str, Any] = {}
            if "for_s" in fields:
                values["for_s"] = self.reader.number(fields["for_s"], f"{where}.for_s", least=0, most=MAX_WAIT_S)
            for name in ("promql", "condition"):
                if name in fields:
                    values[name] = self._param(name, fields[name], f"{where}.{name}")
            if len(self.faults.problems) == before:
                conditions.append(Condition(**values))
        return tuple(conditions)

    def _condition_text(self, node: Node, place: str) -> str | None:
        value = self.reader.text(node, place, plain_ok=True)
        if value is not None:
            try:
                parse_condition(value)
            except ValueError as exc:
                self.faults.add(node, place, str(exc))
        return value
