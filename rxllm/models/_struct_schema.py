"""The JSON schema of a struct, for web frameworks: without what is hidden, and without references."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from rxllm.models._json import is_list
from rxllm.models._usage import Usage
from rxllm.models._wire_struct import WireStruct


def schema_of(struct: type[WireStruct]) -> dict[str, Any]:
    """The JSON schema (2020-12), with the schemas of the objects within it in their places."""
    (schema,), components = msgspec.json.schema_components((struct,), schema_hook=_schema_of_other)
    return cast("dict[str, Any]", _resolved(schema, components))


def _schema_of_other(kind: type) -> dict[str, Any]:
    return Usage.model_json_schema() if kind is Usage else {"type": "null"}  # hidden, and left out below


def _resolved(schema: Any, components: dict[str, Any]) -> Any:
    if is_list(schema):
        return [_resolved(each, components) for each in schema]
    if not isinstance(schema, dict):
        return schema
    members = cast("dict[str, Any]", schema)
    if "$ref" in members:
        return _resolved(components[members["$ref"].rpartition("/")[2]], components)
    if "properties" in members:
        shown = {name: each for name, each in members["properties"].items() if not name.startswith("(")}
        # Of what nobody declared, any field may come.
        members = {**members, "properties": shown, "additionalProperties": True}
    return {name: _resolved(each, components) for name, each in members.items()}
