"""The JSON Schema of the runbooks file, so that editors complete and check it while it is written."""

from typing import Any

from sreops.domain.runbooks.file import RunbooksFile
from sreops.domain.runbooks.params import PARAMS
from sreops.domain.runbooks.runbook import StepAction

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema; ``params`` follow the step's ``action``."""
    schema = RunbooksFile.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for params in set(PARAMS.values()):
        params_schema = params.model_json_schema()
        definitions.update(params_schema.pop("$defs", {}))
        definitions[f"{params.__name__}Params"] = params_schema
    definitions["Step"]["allOf"] = [
        {
            "if": {"properties": {"action": {"const": action.value}}, "required": ["action"]},
            "then": {"properties": {"params": {"$ref": f"#/$defs/{PARAMS[action].__name__}Params"}}},
        }
        for action in StepAction
    ]
    schema["properties"]["version"] = {"const": 1}
    return {"$schema": DRAFT, "title": "sreops runbooks", **{k: v for k, v in schema.items() if k != "title"}}
