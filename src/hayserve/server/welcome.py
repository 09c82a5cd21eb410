"""What whoever started the server is told when it is ready."""

import json
import shlex
from typing import Any, cast

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry

_EXAMPLES: dict[str, object] = {
    "string": "Hello!",
    "integer": 1,
    "number": 1.0,
    "boolean": False,
    "array": [],
    "object": {},
}


def welcome(registry: Registry, *, url: str) -> str:
    """What is served and what is not, with a line to try for the first deployment."""
    served, failed = registry.deployments(), registry.failed()
    lines = ["", f"hayserve listens at {url}"]
    lines += [f"  {' = '.join(entry.names)}{_remark(entry)}" for entry in served]
    lines += [f"  {failure.name} failed to load: {failure.error}" for failure in failed]
    if served:
        lines += ["", "Try it:", *(f"  {line}" for line in _trials(served[0], url))]
    elif not failed:
        lines.append("  Nothing is deployed yet: `hayserve deploy FOLDER`.")
    return "\n".join([*lines, ""])


def _remark(deployment: Deployment) -> str:
    return " (deployed earlier)" if deployment.origin == "deployed" else ""


def _trials(deployment: Deployment, url: str) -> list[str]:
    lines: list[str] = []
    signature = deployment.can.signature
    if signature is not None and not signature.uploads:
        schema = signature.request_schema()
        body = {name: _example(schema["properties"][name]) for name in schema.get("required", [])}
        lines.append(_curl(f"{url}/{deployment.name}/run", body))
        if "stream" in schema.get("properties", {}):
            lines.append(_curl(f"{url}/{deployment.name}/run", {**body, "stream": True}))
    if deployment.can.chat is not None:
        body = {
            "model": deployment.names[-1],
            "messages": [{"role": "user", "content": "Hello!"}],
        }
        lines.append(_curl(f"{url}/v1/chat/completions", body))
        lines.append(_curl(f"{url}/v1/chat/completions", {**body, "stream": True}))
    return lines


def _example(field: dict[str, Any]) -> object:
    match field:
        case {"examples": [example, *_]}:
            return cast(object, example)
        case {"anyOf": [*choices]}:
            types = [choice.get("type") for choice in cast(list[dict[str, Any]], choices)]
            kind = next((kind for kind in _EXAMPLES if kind in types), "object")
            return _EXAMPLES[kind]
        case {"type": str(kind)}:
            return _EXAMPLES.get(kind)
        case {"$ref": _}:
            return {}
        case _:  # anything will do
            return _EXAMPLES["string"]


def _curl(url: str, body: dict[str, Any]) -> str:
    streamed = "-N " if body.get("stream") else ""
    return (
        f"curl {streamed}{url} -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(body, ensure_ascii=False, default=str))}"
    )
