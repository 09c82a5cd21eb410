"""What a deployment takes, as its server's OpenAPI document says it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

Kind: TypeAlias = Literal["text", "file", "json"]
Node: TypeAlias = Mapping[str, Any]

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
UNIONS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployment's `/{name}/run`.

    Args:
        name: The deployment's name, or the alias it was asked for by.
        fields: What each of its parameters takes.
        is_form: Whether it takes a form and not JSON.
        is_open: Whether it takes parameters that it does not name, too.
    """

    name: str
    fields: Mapping[str, Kind]
    is_form: bool
    is_open: bool = False

    @property
    def uploads(self) -> list[str]:
        """The parameters that take files."""
        return [field for field, kind in self.fields.items() if kind == "file"]


def endpoint_in(document: Node, name: str) -> Endpoint | None:
    """The endpoint of a deployment; None if the document does not describe it.

    Spec: https://spec.openapis.org/oas/v3.1.0
    """
    content = _at(document, "paths", f"/{name}/run", "post", "requestBody", "content")
    taken = next((form for form in (*FORMS, "application/json") if form in content), None)
    if taken is None:
        return None
    schemas = _at(document, "components", "schemas")
    found = [case for case in _cases(_at(content, taken, "schema"), schemas) if case]
    fields: dict[str, Kind] = {
        field: _kind(cast(Node, schema), schemas)
        for case in found
        for field, schema in _at(case, "properties").items()
        if isinstance(schema, dict)
    }
    is_open = any("properties" not in case or case.get("additionalProperties") for case in found)
    return Endpoint(name, fields, is_form=taken in FORMS, is_open=is_open or not found)


def _kind(schema: Node, schemas: Node) -> Kind:
    cases = [case for case in _cases(schema, schemas) if _types(case) != {"null"}]
    if any(_is_file(case, schemas) for case in cases):
        return "file"
    if cases and all(_types(case) - {"null"} == {"string"} for case in cases):
        return "text"
    return "json"


def _cases(schema: Node, schemas: Node, *, seen: frozenset[str] = frozenset()) -> Iterator[Node]:
    """The schemas that a schema stands for: behind its reference, or the members of its union."""
    if reference := schema.get("$ref"):
        name = str(reference).rpartition("/")[2]
        if name not in seen:  # a type may be a union of itself
            yield from _cases(_at(schemas, name), schemas, seen=seen | {name})
        return
    members = [member for union in UNIONS for member in schema.get(union, ())]
    for member in members:
        yield from _cases(member, schemas, seen=seen)
    if not members:
        yield schema


def _is_file(case: Node, schemas: Node) -> bool:
    items = _cases(_at(case, "items"), schemas)
    return any(one.get("format") == "binary" or "contentMediaType" in one for one in (case, *items))


def _types(case: Node) -> set[str]:
    said: object = case.get("type", [])
    return {said} if isinstance(said, str) else set(cast(list[str], said))


def _at(node: Node, *path: str) -> Node:
    """What lies at a path; nothing where there is none."""
    for step in path:
        below: object = node.get(step)
        node = cast(Node, below) if isinstance(below, dict) else {}
    return node
