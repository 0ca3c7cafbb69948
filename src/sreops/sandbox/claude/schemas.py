"""The part of JSON Schema that structured outputs and strict tools take.

Source: the transformation that the SDK applies (`anthropic/lib/_parse/_transform.py`, 2.12.0), which moves
what is unsupported into descriptions, and build-with-claude/structured-outputs.
"""

from collections.abc import Mapping
from typing import Any

from sreops.sandbox.claude.refusals import BadRequest

_KEYWORDS = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "$ref",
        "$defs",
        "definitions",
        "description",
        "title",
        "format",
        "default",
        "minItems",
        "pattern",
    ]
)
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"])
# Look-around, backreferences and word boundaries: beyond what the grammar compiler takes.
_BEYOND_REGULAR = ("(?=", "(?!", "(?<", r"\b", r"\B", *(rf"\{n}" for n in range(1, 10)))
_OPTIONAL_MAX = 24
_UNIONS_MAX = 16


class SchemaCheck:
    """One pass over one schema; raises what the API would answer."""

    def __init__(self, root: object, where: str) -> None:
        self._where = where
        self._optional = 0
        self._unions = 0
        if not isinstance(root, Mapping):
            raise BadRequest(f"{where}: Input should be a valid dictionary")
        self._root = root

    def run(self) -> None:
        """Check the schema and all it contains."""
        self._check(self._root, (), "")
        for holder in ("$defs", "definitions"):
            for name, schema in self._root.get(holder, {}).items():
                self._check(schema, (f"#/{holder}/{name}",), f".{holder}.{name}")
        if self._optional > _OPTIONAL_MAX:
            self._refuse("", f"{self._optional} optional parameters; at most {_OPTIONAL_MAX} are supported")
        if self._unions > _UNIONS_MAX:
            self._refuse("", f"{self._unions} parameters with union types; at most {_UNIONS_MAX} are supported")

    def _refuse(self, path: str, why: str) -> None:
        raise BadRequest(f"{self._where}{path}: {why}")

    def _check(self, schema: object, open_refs: tuple[str, ...], path: str) -> None:
        if not isinstance(schema, Mapping):
            self._refuse(path, "a schema must be an object")
            return
        unknown = sorted(set(schema) - _KEYWORDS)
        if unknown:
            self._refuse(
                path, f"For '{schema.get('type', 'schema')}' type, properties {', '.join(unknown)} are not supported"
            )
        if "$ref" in schema:
            self._follow(schema["$ref"], open_refs, path)
            return
        self._check_form(schema, path)
        for combined in ("anyOf", "allOf"):
            for number, part in enumerate(schema.get(combined, [])):
                self._check(part, open_refs, f"{path}.{combined}.{number}")
        self._unions += "anyOf" in schema or isinstance(schema.get("type"), list)
        if schema.get("type") == "object":
            self._check_object(schema, open_refs, path)
        if schema.get("type") == "array":
            self._check_array(schema, open_refs, path)

    def _follow(self, ref: object, open_refs: tuple[str, ...], path: str) -> None:
        if not isinstance(ref, str) or not ref.startswith(("#/$defs/", "#/definitions/")):
            self._refuse(path, f"External $ref is not supported: {ref}")
            return
        _, holder, name = ref.split("/", 2)
        if name not in self._root.get(holder, {}):
            self._refuse(path, f"$ref {ref} does not resolve")
        if ref in open_refs:
            self._refuse(path, f"Circular reference detected in schema definitions: {ref}; recursion is not supported")
        self._check(self._root[holder][name], (*open_refs, ref), path)

    def _check_form(self, schema: Mapping[str, Any], path: str) -> None:
        kinds = schema.get("type")
        for kind in kinds if isinstance(kinds, list) else [kinds] if kinds is not None else []:
            if kind not in _TYPES:
                self._refuse(path, f"unknown type {kind!r}")
        if kinds is None and not {"anyOf", "allOf", "enum", "const"} & set(schema):
            self._refuse(path, "Schema must have a 'type', 'anyOf', 'allOf', 'enum' or 'const'")
        if any(isinstance(value, dict | list) for value in schema.get("enum", [])):
            self._refuse(path, "enum may hold strings, numbers, booleans and null only")
        if "enum" in schema and not schema["enum"]:
            self._refuse(path, "enum must not be empty")
        if schema.get("format") is not None and schema["format"] not in _FORMATS:
            self._refuse(path, f"String format '{schema['format']}' is not supported")
        if any(part in schema.get("pattern", "") for part in _BEYOND_REGULAR):
            self._refuse(path, f"pattern {schema['pattern']!r} is not supported")

    def _check_object(self, schema: Mapping[str, Any], open_refs: tuple[str, ...], path: str) -> None:
        if schema.get("additionalProperties") is not False:
            self._refuse(path, "For 'object' type, 'additionalProperties' must be explicitly set to false")
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        for name in required:
            if name not in properties:
                self._refuse(path, f"required names {name!r}, which is no property")
        self._optional += len(set(properties) - set(required))
        for name, part in properties.items():
            self._check(part, open_refs, f"{path}.properties.{name}")

    def _check_array(self, schema: Mapping[str, Any], open_refs: tuple[str, ...], path: str) -> None:
        if schema.get("minItems", 0) not in (0, 1):
            self._refuse(path, "For 'array' type, 'minItems' values other than 0 or 1 are not supported")
        if "items" in schema:
            self._check(schema["items"], open_refs, f"{path}.items")
