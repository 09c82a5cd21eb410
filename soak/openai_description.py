"""Reads OpenAI's own description of its interface, as far as this server serves it.

It is published as `openapi.json` in https://github.com/openai/openai-openapi, which no package
registry has. It is corrected where OpenAI's own servers, packages and examples do otherwise:

- Errors are in it as one object, but are told of with hardly any operation, and with two of them in
  another form than in all examples: each operation has them here.
- A response is also given as a stream, and a file's content is not JSON.
- The messages of a stored completion are those that were sent, and not only the assistant's; a list
  may be empty, and has no first and last id then; a file may be for anything, as it is for "evals".
- Items of tools that no deployment here has are kept in conversations as they were sent.
- `discriminator` stands there without a mapping, so that no type has the name that it names.
- `usage` is null as long as a response is made; an embedding may be a text in base64.
- A stream is described as the one object that each event's data is; tests/e2e/test_openai_types.py
  looks at events.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

VERBS = ("get", "post", "put", "patch", "delete")
_REFUSED = {
    "description": "An error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
}
_OWN_ITEMS = [
    "compaction",
    "function_call",
    "function_call_output",
    "mcp_call",
    "message",
    "reasoning",
]
_OF_NO_TOOL_HERE = {
    "type": "object",
    "properties": {"type": {"type": "string", "not": {"enum": _OWN_ITEMS}}},
    "required": ["type", "id"],
}
_ENDS = ("first_id", "last_id")


def openai_description(path: Path, *, own: Mapping[str, Any]) -> dict[str, Any]:
    """The description, of what `own` describes too.

    Args:
        path: The file.
        own: The server's own description.
    """
    document: dict[str, Any] = _without_discriminators(json.loads(path.read_text()))
    items = document["paths"].items()
    paths = {place: _operations(item, place, own) for place, item in items if "?" not in place}
    document["paths"] = {place: item for place, item in paths.items() if item}
    document.pop("security", None)
    _correct_schemas(document["components"]["schemas"])
    _correct_answers(document["paths"])
    return document


def _operations(item: Mapping[str, Any], place: str, own: Mapping[str, Any]) -> dict[str, Any]:
    served = _served_at(place, own)
    found = {verb: _with_errors(item[verb]) for verb in VERBS if verb in item and verb in served}
    shared = {name: value for name, value in item.items() if name not in VERBS}
    return {**shared, **found} if found else {}


def _with_errors(operation: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in operation.items() if name != "security"}
    answers = {status: answer for status, answer in operation["responses"].items() if status < "4"}
    return {**known, "responses": {**answers, "4XX": _REFUSED}}


def _served_at(place: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is served there, whatever the parameters of the path are called."""
    for path, operations in own["paths"].items():
        if _shape(path) == _shape(f"/v1{place}"):
            return operations
    return {}


def _shape(path: str) -> list[str]:
    return ["{}" if part.startswith("{") else part for part in path.split("/")]


def _without_discriminators(node: Any) -> Any:
    if isinstance(node, dict):
        fields = cast(dict[str, Any], node).items()
        return {
            name: _without_discriminators(value)
            for name, value in fields
            if not (name == "discriminator" and "propertyName" in value)
        }
    if isinstance(node, list):
        return [_without_discriminators(each) for each in cast(list[Any], node)]
    return node


def _correct_schemas(schemas: dict[str, Any]) -> None:
    for schema in schemas.values():
        for part in (schema, *schema.get("allOf", ())):
            properties: dict[str, Any] = part.get("properties", {})
            for name in properties.keys() & {*_ENDS}:
                properties[name] = _nullable(properties[name])
            if properties.get("usage", {}).get("$ref") == "#/components/schemas/ResponseUsage":
                properties["usage"] = _nullable(properties["usage"])
    schemas["ChatCompletionMessageList"]["properties"]["data"]["items"] = {
        "type": "object",
        "required": ["id", "role"],
    }
    embedding = schemas["Embedding"]["properties"]["embedding"]
    schemas["Embedding"]["properties"]["embedding"] = {"anyOf": [embedding, {"type": "string"}]}
    schemas["OpenAIFile"]["properties"]["purpose"] = {"type": "string"}
    items = schemas["ConversationItem"]
    items["anyOf"] = [*items.pop("oneOf"), _OF_NO_TOOL_HERE]


def _nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _correct_answers(paths: Mapping[str, Any]) -> None:
    given = paths["/responses/{response_id}"]["get"]["responses"]["200"]
    given["content"]["text/event-stream"] = {}
    for operation in (operation for item in paths.values() for operation in item.values()):
        content: dict[str, Any] = operation["responses"]["200"].get("content", {})
        if "text/event-stream" in content:
            content["text/event-stream"] = {}
    paths["/files/{file_id}/content"]["get"]["responses"]["200"]["content"] = {"*/*": {}}
