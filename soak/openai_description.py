"""Reads OpenAI's own description of its interface, as far as this server serves it.

It is published as `openapi.json` in https://github.com/openai/openai-openapi, which no package
registry has.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERBS = ("get", "post", "put", "patch", "delete")
_REFUSED = {
    "description": "An error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}},
}


def openai_description(path: Path, *, own: Mapping[str, Any]) -> dict[str, Any]:
    """The description, of what `own` describes too.

    Errors are in it as one object, and with hardly any operation: so they are added to each.

    Args:
        path: The file.
        own: The server's own description.
    """
    document: dict[str, Any] = json.loads(path.read_text())
    paths = {place: _operations(item, place, own) for place, item in document["paths"].items()}
    document["paths"] = {place: item for place, item in paths.items() if item}
    document.pop("security", None)
    return document


def _operations(item: Mapping[str, Any], place: str, own: Mapping[str, Any]) -> dict[str, Any]:
    served = _served_at(place, own)
    found = {verb: _with_errors(item[verb]) for verb in VERBS if verb in item and verb in served}
    shared = {name: value for name, value in item.items() if name not in VERBS}
    return {**shared, **found} if found else {}


def _with_errors(operation: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in operation.items() if name != "security"}
    return {**known, "responses": {**operation["responses"], "4XX": _REFUSED}}


def _served_at(place: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is served there, whatever the parameters of the path are called."""
    for path, operations in own["paths"].items():
        if _shape(path) == _shape(f"/v1{place}"):
            return operations
    return {}


def _shape(path: str) -> list[str]:
    return ["{}" if part.startswith("{") else part for part in path.split("/")]
