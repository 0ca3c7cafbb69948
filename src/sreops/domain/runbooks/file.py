"""The runbooks file: read with file, line and field of every fault."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sreops.domain.runbooks.fields import described, fault, number_field, one_of
from sreops.domain.runbooks.params import PARAMS
from sreops.domain.runbooks.runbook import Condition, Example, Runbook, Step, StepAction, SubjectGlobs, When
from sreops.domain.runbooks.windows import TimeWindow
from sreops.domain.runbooks.yaml_lines import Place, YamlFile, read_yaml
from sreops.errors import RunbooksInvalid

MAX_RUNBOOKS = 1000
MAX_PROBLEMS = 50


def _known_version(value: int) -> int:
    if value != 1:
        raise fault(f"is {value}, and only 1 is known")
    return value


def _not_too_many(value: object) -> object:
    if isinstance(value, list) and len(value) > MAX_RUNBOOKS:
        raise fault(f"has {len(value)} entries, more than {MAX_RUNBOOKS}")
    return value


class RunbooksFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Annotated[int, AfterValidator(_known_version), number_field(0, 1e9, whole=True)]
    runbooks: Annotated[tuple[Runbook, ...], BeforeValidator(_not_too_many)]


_MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "": RunbooksFile,
    "runbooks": Runbook,
    "when": When,
    "not_when": When,
    "subject": SubjectGlobs,
    "examples": Example,
    "steps": Step,
    "verify": Condition,
    "not_during": TimeWindow,
}
"""By the field that holds it: whose fields may stand there."""


def load_runbooks(text: str, *, path: str) -> tuple[Runbook, ...]:
    """Read the runbooks in ``text``, in file order.

    Raises RunbooksInvalid, whatever the text is, with every fault as ``path:line: field: what``.
    """
    file = read_yaml(text, path=path)
    _read_params(file)
    _check_ids(file)
    read = None
    try:
        read = RunbooksFile.model_validate(file.data)
    except ValidationError as exc:
        file.faults += [_told(error, (), file) for error in exc.errors(include_url=False)]
    if file.faults or read is None:
        raise RunbooksInvalid(_in_order(file, path))
    return read.runbooks


def _read_params(file: YamlFile) -> None:
    """Read the ``params`` of every step by its action, in place."""
    for place, step in _steps(file.data):
        action = step.get("action")
        if action not in set(StepAction):
            continue  # told with the other fields
        try:
            params = PARAMS[StepAction(action)].model_validate(step.get("params", {}))
            step["params"] = params.model_dump(exclude_unset=True)
        except ValidationError as exc:
            for error in exc.errors(include_url=False):
                line, where, what = _told(error, (*place, "params"), file)
                needs = f"is missing: {action} needs it" if error["type"] == "missing" else what
                file.faults.append((line, where, needs))


def _runbooks(data: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what may be a runbook, with its index; nothing where there are too many."""
    runbooks = data.get("runbooks") if isinstance(data, dict) else None
    if isinstance(runbooks, list) and len(runbooks) <= MAX_RUNBOOKS:
        yield from ((index, runbook) for index, runbook in enumerate(runbooks) if isinstance(runbook, dict))


def _steps(data: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    for index, runbook in _runbooks(data):
        steps = runbook.get("steps")
        for number, step in enumerate(steps if isinstance(steps, list) else ()):
            if isinstance(step, dict):
                yield ("runbooks", index, "steps", number), step


def _check_ids(file: YamlFile) -> None:
    first: dict[str, int] = {}
    for index, runbook in _runbooks(file.data):
        name = runbook.get("id")
        if not isinstance(name, str):
            continue
        place: Place = ("runbooks", index, "id")
        if name in first:
            told = f"{name!r} is the id of the runbook on line {first[name]}, too"
            file.faults.append((file.line_of(place), place, told))
        first.setdefault(name, file.line_of(place[:2]))


def _told(error: ErrorDetails, prefix: Place, file: YamlFile) -> tuple[int, Place, str]:
    """Return line, place and words of one of pydantic's errors."""
    place: Place = (*prefix, *error["loc"])
    while place and isinstance(place[-1], int) and place not in file.lines:
        place = place[:-1]  # one text is read as a list of one
    kind, line = error["type"], file.line_of(place)
    if kind == "runbook_field":
        return line, place, str(error["ctx"]["what"])
    if kind == "missing":
        return line, place, "is missing"
    if kind == "extra_forbidden":
        return file.key_lines.get(place, line), place, f"is not a field; {one_of(str(place[-1]), _fields(place, file))}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return line, place, f"must be a mapping, not {described(error['input'])}"
    if kind in ("tuple_type", "list_type"):
        return line, place, f"must be a list, not {described(error['input'])}"
    return line, place, error["msg"][:1].lower() + error["msg"][1:]


def _fields(place: Place, file: YamlFile) -> list[str]:
    """Return the names that may stand beside the one at ``place``."""
    holder = next((part for part in reversed(place[:-1]) if isinstance(part, str)), "")
    if holder != "params":
        return list(_MODELS[holder].model_fields)
    step = next(step for at, step in _steps(file.data) if at == place[:-2])
    return list(PARAMS[StepAction(step["action"])].model_fields)


def _in_order(file: YamlFile, path: str) -> list[str]:
    faults = sorted(file.faults, key=lambda problem: problem[0])
    more = len(faults) - MAX_PROBLEMS
    problems = [f"{path}:{line}: {_field(place)}: {what}" for line, place, what in faults[:MAX_PROBLEMS]]
    return [*problems, f"{path}: … and {more} more problems"] if more > 0 else problems


def _field(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    return text or "file"
