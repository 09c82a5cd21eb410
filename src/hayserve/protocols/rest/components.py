"""Collects the schemas of a description, and puts references in their places."""

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

_REF = "#/$defs/"
Schema = dict[str, Any]


class Components:
    """The schemas that a description refers to."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    def add(self, schema: Mapping[str, Any], *, name: str) -> Schema:
        """Put a schema and its local definitions among them; gives a reference to it."""
        definitions = schema.get("$defs", {})
        refs = {f"{_REF}{local}": f"#/components/schemas/{name}.{local}" for local in definitions}
        body = {key: value for key, value in schema.items() if key != "$defs"}
        self.schemas[name] = _sound(body, refs)
        for local, definition in definitions.items():
            self.schemas[f"{name}.{local}"] = _sound(definition, refs)
        return {"$ref": f"#/components/schemas/{name}"}

    def add_type(self, described: Any, *, mode: JsonSchemaMode) -> Schema:
        """The same for one of the server's own types, under its title."""
        schema = schema_of(described, mode)
        return self.add(schema, name=schema["title"])


@cache
def schema_of(described: Any, mode: JsonSchemaMode) -> Schema:
    """The JSON Schema of one of the server's own types."""
    return TypeAdapter(described).json_schema(mode=mode)


def _sound(schema: Any, refs: Mapping[str, str]) -> Any:
    """`schema` with its references put right; an open one where it is not JSON.

    A wrapper's own types may have put anything into it.
    """
    try:
        sound = _with_refs(schema, refs)
        json.dumps(sound, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return {}
    return sound


def _with_refs(node: Any, refs: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        fields = cast(dict[str, Any], node).items()
        return {key: _with_refs(value, refs) for key, value in fields if not _is_nowhere(value)}
    if isinstance(node, list):
        return [_with_refs(item, refs) for item in cast(list[Any], node)]
    # Also in `discriminator`, whose `mapping` has them as plain texts.
    return refs.get(node, node) if isinstance(node, str) else node


def _is_nowhere(value: object) -> bool:
    """Whether it is a number that JSON does not have, such as an infinite default."""
    return isinstance(value, float) and not math.isfinite(value)
