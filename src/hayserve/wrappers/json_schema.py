"""JSON Schemas that are made for reading: what cannot be described is left open, nothing raises."""

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    JsonSchemaWarningKind,
)


class _OpenJsonSchema(GenerateJsonSchema):
    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:  # noqa: ARG002 (pydantic's signature)
        return {}

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        """Infinity and what is no number become null, for JSON has no form for them."""
        number = super().float_schema(schema)
        if self.mode == "validation" or schema.get("allow_inf_nan") is False:
            return number
        return {"anyOf": [number, {"type": "null"}]}

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """A default that JSON cannot say is left out of the schema; nobody needs to hear of it."""


def describe(
    described: type[BaseModel] | TypeAdapter[Any], *, mode: JsonSchemaMode
) -> dict[str, Any]:
    """Give the JSON Schema of a model or a type; an open one where its own code raises.

    Spec: https://json-schema.org/draft/2020-12
    """
    adapter = described if isinstance(described, TypeAdapter) else TypeAdapter(described)
    try:
        return _OpenJsonSchema(by_alias=True).generate(adapter.core_schema, mode=mode)
    except Exception:  # noqa: BLE001 (a type may bring its own code for its schema)
        return {}
