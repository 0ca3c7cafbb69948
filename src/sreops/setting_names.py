"""What a variable's name means: a setting, what Kubernetes put there, a setting of an earlier release, or a slip."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel

from sreops.domain.text.redaction import one_line

PREFIX = "SREOPS_"

RETIRED: Mapping[str, str] = {
    "SREOPS_WEBHOOK__MAX_ALERTS": "there is no cap on alerts any more, only SREOPS_WEBHOOK__MAX_BODY_BYTES",
    "SREOPS_WORKER__TOPICS": "SREOPS_WORK_ON says which severities are worked on",
}
"""Settings that an earlier release had, and what holds now: they are passed over with a warning."""

OF_OUR_TOOLS = (
    "SREOPS_BENCH_",
    "SREOPS_CRASH",
    "SREOPS_EXTRAS",
    "SREOPS_REQUIRE_SERVERS",
    "SREOPS_SERVERS_DIR",
    "SREOPS_TEST_",
)
"""How the names begin that the project's own tests, benches and image build read: no settings, and no slips."""

# kubernetes.io/docs/concepts/containers/container-environment: for a Service "sreops", and for each whose name begins
# so ("sreops-postgres"), every pod of the namespace gets these.
_INJECTED = re.compile(
    r"SREOPS_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_LINKED = re.compile(r"SREOPS_(?:[A-Z0-9_]+_)?PORT")
_LINK = re.compile(r"(?:tcp|udp|sctp)://\S+")


@dataclass(frozen=True)
class NamesRead:
    """What the names came to: ``problems`` stop the start, ``warnings`` tell what was passed over."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def put_there_by_kubernetes(name: str, value: str) -> bool:
    """Say whether Kubernetes set this variable for a Service whose name begins with ours."""
    linked = _LINKED.fullmatch(name.upper()) is not None and _LINK.fullmatch(value) is not None
    return linked or _INJECTED.fullmatch(name.upper()) is not None


def read_names(variables: Mapping[str, str | None], settings: type[BaseModel], *, origin: str = "") -> NamesRead:
    """Judge the names of all variables that begin with ``SREOPS_``; ``origin`` is the file that they stand in."""
    problems, warnings = [], []
    known = {name.upper() for name in setting_names(settings)}
    where = f"{origin}: " if origin else ""
    for given, value in variables.items():
        name = given.upper()
        if not name.startswith(PREFIX) or name.startswith(OF_OUR_TOOLS):
            continue
        if put_there_by_kubernetes(name, value or ""):
            warnings.append(f"{where}{name} was set by Kubernetes for a Service, and is passed over")
            continue
        group = _path(name, settings)
        if group is None and name in RETIRED:
            warnings.append(f"{where}{name} was a setting of an earlier release, and is passed over: {RETIRED[name]}")
        elif group is None:
            problems.append(f"{where}{one_line(name)}: there is no such setting{_meant(name, known)}")
        else:
            problems += [
                f"{where}{name}: its JSON holds {one_line(key)!r}, which is no setting{_meant(full, known)}"
                for full, key in _unknown_keys(name, group, value or "")
            ]
    return NamesRead(tuple(problems), tuple(warnings))


def setting_names(settings: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """Yield the variable of every setting and of every group, groups as a whole included."""
    for field, info in settings.model_fields.items():
        if isinstance(info.validation_alias, AliasChoices):
            yield from (str(alias) for alias in info.validation_alias.choices)
        name = f"{prefix}{field.upper()}"
        yield name
        if (group := group_of(info.annotation)) is not None:
            yield from setting_names(group, f"{name}__")


def group_of(annotation: Any) -> type[BaseModel] | None:
    """Return the group that a field holds, or None where it holds a value."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _path(name: str, settings: type[BaseModel]) -> Any:
    """Return the type that a name leads to, or None where it leads nowhere."""
    found: Any = settings
    for word in name.removeprefix(PREFIX).split("__"):
        if (group := group_of(found)) is not None:
            fields = {field.upper(): info.annotation for field, info in group.model_fields.items()}
            if word not in fields:
                return None
            found = fields[word]
        elif getattr(found, "__origin__", None) is dict:
            found = get_args(found)[1]  # any key
        else:
            return None
    return found


def _unknown_keys(name: str, found: Any, value: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of a group that was given as JSON and that are no settings, with the variable they stand for."""
    group = group_of(found)
    if group is None:
        return
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return  # pydantic-settings says so
    if isinstance(parsed, dict):
        for key in parsed:
            if key not in group.model_fields:
                yield f"{name}__{key.upper()}", key


def _meant(name: str, known: set[str]) -> str:
    """Say which setting was probably meant."""
    if flat := [setting for setting in sorted(known) if _flat(setting) == _flat(name)]:
        return f"; did you mean {flat[0]}?"
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else "; docs/settings.md lists all of them"


def _flat(name: str) -> str:
    return re.sub("_+", "", name)
