"""The JSON schema of a function's parameters, as requests carry it.

Rules:

1. Validator and schema are made of the same signature, so what the schema admits is what the function gets.
2. Additional arguments are not allowed. Titles are left out: they repeat the names and cost tokens.
3. A strict schema is what OpenAI's "Structured Outputs" admits: every property of every object is required, there are
   no defaults, ``oneOf`` is ``anyOf``, nothing stands beside a ``$ref``, and every value has a type.
   (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

_NOT_STRICT = frozenset({"default", "discriminator", "title"})


class ParametersSchema(GenerateJsonSchema):
    """Generates schemas without titles for parameters and fields; a default that is not JSON is left out silently."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """None."""

    def field_title_should_be_set(self, schema: object) -> bool:
        """Never."""
        del schema
        return False


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The strict form of a schema.

    Args:
        schema: A JSON schema as pydantic generates it.

    Returns:
        Another one: see the rules of this module.

    Raises:
        TypeError: It has an object with arbitrary members or a value of any type, for which there is no strict form.
    """
    if not schema:
        raise TypeError("a strict schema allows no value of just any type")
    strict = {name: value for name, value in schema.items() if name not in _NOT_STRICT}
    if "oneOf" in strict:
        strict["anyOf"] = strict.pop("oneOf")
    if "$ref" in strict and len(strict) > 1:
        strict["anyOf"] = [{"$ref": strict.pop("$ref")}]
    for name in strict.keys() & {"properties", "$defs"}:
        strict[name] = {member: strict_schema(value) for member, value in strict[name].items()}
    for name in strict.keys() & {"anyOf", "prefixItems"}:
        strict[name] = [strict_schema(value) for value in strict[name]]
    if "items" in strict:
        strict["items"] = strict_schema(strict["items"])
    return _closed(strict) if strict.get("type") == "object" else strict


def _closed(strict: dict[str, Any]) -> dict[str, Any]:
    """An object all of whose members are named and required."""
    if strict.get("additionalProperties") or "patternProperties" in strict:
        raise TypeError("a strict schema allows no object with arbitrary members")
    properties: dict[str, Any] = strict.get("properties", {})
    return {**strict, "properties": properties, "required": list(properties), "additionalProperties": False}
