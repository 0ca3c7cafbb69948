"""docs/settings.md, made of the settings' own classes: names, defaults, and what is said beside each.

``python tests/settings_page.py`` writes it (``scripts/settings``); ``tests/unit/test_settings_page.py`` holds it.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sreops.domain.model.cost import PRICES
from sreops.setting_names import PREFIX, group_of
from sreops.settings import GitLabActions, GitLabDeployments, McpServer, NotifyChannel, Settings, Webhook

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """\
# Settings

Environment or `.env` (of the folder that sreops is started in), prefix `SREOPS_`, nested by `__`; a group as a whole
may be given as JSON (`SREOPS_LOKI='{"url": "http://loki:3100"}'`). Lists are separated by commas. The end of a name
tells the unit: `_s` seconds, `_bytes`, `_days`. What is empty here is off, or not limited.

A variable with this prefix that is no setting, a file that is named and not there, and an address without scheme or
host stop the start, with "did you mean"; errors tell no value. What Kubernetes injects for a Service named `sreops…`
(`SREOPS_PORT=tcp://…`, `SREOPS_SERVICE_HOST`) and settings of earlier releases are passed over with a warning.

This page is made by `scripts/settings` of the classes in `src/sreops/settings/`.
"""


def page() -> str:
    """Return the page's whole text."""
    parts = [HEAD, *_section("The process", Settings, PREFIX)]
    for field, info in Settings.model_fields.items():
        if (group := group_of(info.annotation)) is not None:
            parts += _section(_title(group), group, f"{PREFIX}{field.upper()}__")
    parts += _section("One of the MCP servers", McpServer, "", in_json=True)
    parts += _section("One of GitLab's projects that may be acted upon", GitLabActions, "", in_json=True)
    parts += _section("One of GitLab's projects whose deployments are read", GitLabDeployments, "", in_json=True)
    parts += _section("One of the webhooks that runbooks may call", Webhook, "", in_json=True)
    parts += _section("One of the receivers", NotifyChannel, "", in_json=True)
    return "\n".join(parts)


def _title(group: type[BaseModel]) -> str:
    return group.__name__.removesuffix("Settings")


def _section(title: str, model: type[BaseModel], prefix: str, *, in_json: bool = False) -> list[str]:
    told = said(model)
    rows = [
        f"| `{_name(field, info, prefix, in_json)}` | {_default(info)} | {_cell(_beside(told.get(field, ''), info))} |"
        for field, info in model.model_fields.items()
        if group_of(info.annotation) is None
    ]
    about = "" if model is Settings else f"{_cell(' '.join(inspect.getdoc(model).split()))}\n"  # type: ignore[union-attr]
    return [f"## {title}\n", *([about] if about else []), "| setting | default | |\n|---|---|---|", *rows, ""]


def _name(field: str, info: FieldInfo, prefix: str, in_json: bool) -> str:
    if isinstance(info.validation_alias, AliasChoices):
        return str(info.validation_alias.choices[0])
    return field if in_json else f"{prefix}{field.upper()}"


def _beside(told: str, info: FieldInfo) -> str:
    """Return what is said of a setting, and of a choice what there is to choose from."""
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    return "; ".join(filter(None, (told, f"one of {', '.join(map(str, choices))}" if choices else "")))


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "(must be given)"
    if value in (None, "", (), {}) or isinstance(value, SecretStr):
        return "as published" if info.annotation == dict[str, next(iter({type(v) for v in PRICES.values()}))] else ""
    return f"`{_shown(value)}`"


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple | list | frozenset):
        return ",".join(sorted(map(_shown, value)) if isinstance(value, frozenset) else map(_shown, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return json.dumps(value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def said(model: type[BaseModel]) -> dict[str, str]:
    """Return what stands beside each field of a class: the comment on its line, or the docstring under it."""
    source = textwrap.dedent(inspect.getsource(model))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    [made] = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    found = {}
    for node, following in _with_next(made.body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            told = comments.get(node.end_lineno or 0, "")
            if not told and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                told = " ".join(str(following.value.value).split())
            found[node.target.id] = told
    return found


def _with_next(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt | None]]:
    yield from zip(body, [*body[1:], None], strict=True)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
