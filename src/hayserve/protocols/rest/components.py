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
        self._put({name: schema}, {local: f"{name}_{local}" for local in definitions}, definitions)
        return _reference(name)

    def _put(
        self, schemas: Mapping[str, Any], names: Mapping[str, str], definitions: Mapping[str, Any]
    ) -> None:
        refs = {f"{_REF}{local}": _reference(name)["$ref"] for local, name in names.items()}
        named = {names[local]: definition for local, definition in definitions.items()}
        for name, schema in {**schemas, **named}.items():
            self.schemas[name] = _titled(_sound(schema, refs), name)

    def add_type(self, described: Any, *, mode: JsonSchemaMode) -> Schema:
        """The same for one of the server's own types; their names are not used twice."""
        schema = schema_of(described, mode)
        definitions = schema.get("$defs", {})
        self._put({schema["title"]: schema}, {local: local for local in definitions}, definitions)
        return _reference(schema["title"])


@cache
def schema_of(described: Any, mode: JsonSchemaMode) -> Schema:
    """The JSON Schema of one of the server's own types."""
    return TypeAdapter(described).json_schema(mode=mode)


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _titled(schema: Any, name: str) -> Any:
    """Under its name alone: programs that make classes of schemas call them by their titles."""
    if not isinstance(schema, dict):
        return schema
    fields = cast(Schema, schema)
    known = {key: value for key, value in fields.items() if key != "$defs"}
    return {**known, "title": name} if "title" in known else known


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
