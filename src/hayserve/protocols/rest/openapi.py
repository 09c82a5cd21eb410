"""Describes what is served: `/openapi.json` for programs and `/docs` for people.

Both are made from the registry when they are asked for, each deployment by itself, so that one
that cannot be described does not take the others with it.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry

_REF = "#/$defs/"
_HIDDEN = ("HEAD", "OPTIONS")


class OpenAPI:
    """The description of the server's interface.

    Args:
        registry: The deployments, each of which has a typed `/{name}/run`.
        fixed: The routes that are there whatever is deployed.
        version: The server's version.
    """

    def __init__(self, registry: Registry, fixed: Sequence[Route], *, version: str) -> None:
        self._registry = registry
        self._fixed = fixed
        self._version = version

    def routes(self) -> list[Route]:
        return [
            Route("/openapi.json", self.document, methods=["GET"]),
            Route("/docs", self.page, methods=["GET"]),
            Route("/redoc", self.page, methods=["GET"]),
        ]

    async def document(self, request: Request) -> Response:
        """The OpenAPI 3.1 description of everything that is served."""
        described = self.describe(root_path=request.scope.get("root_path", ""))
        # In ASCII, which can carry what is not valid Unicode.
        return Response(json.dumps(described), media_type="application/json")

    async def page(self, request: Request) -> Response:
        """This page."""
        root_path: str = request.scope.get("root_path", "")
        page = _page(self.describe(root_path=root_path), root_path=root_path)
        return HTMLResponse(page.encode(errors="replace"))

    def describe(self, *, root_path: str = "") -> dict[str, Any]:
        """The whole document, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0)."""
        paths: dict[str, Any] = {}
        schemas: dict[str, Any] = {}
        for route in self._fixed:
            paths.setdefault(_path(route), {}).update(_operations(route, taken=_ids_in(paths)))
        for deployment in self._registry.deployments():
            if deployment.can.signature is None:
                continue
            operation = _run_operation(deployment, schemas)
            for name in deployment.names:
                paths[f"/{name}/run"] = {"post": {**operation, "operationId": f"{name}_run"}}
        document = {
            "openapi": "3.1.0",
            "info": {"title": "hayserve", "version": self._version},
            "paths": paths,
            "components": {"schemas": schemas},
        }
        return {**document, "servers": [{"url": root_path}]} if root_path else document


def _path(route: Route) -> str:
    return route.path.replace(":path}", "}")


def _ids_in(paths: Mapping[str, Any]) -> set[str]:
    return {entry["operationId"] for operations in paths.values() for entry in operations.values()}


def _operations(route: Route, *, taken: Collection[str]) -> dict[str, Any]:
    doc = (route.endpoint.__doc__ or "").strip()
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.param_convertors
    ]
    operation: dict[str, Any] = {
        "summary": doc.partition("\n")[0] or route.name.replace("_", " ").capitalize(),
        "responses": {"200": {"description": "Success"}},
    }
    if parameters:
        operation["parameters"] = parameters
    [verb] = [method for method in route.methods or () if method not in _HIDDEN]
    # The same endpoint is there with and without `/v1`.
    operation["operationId"] = f"{route.name}_alias" if route.name in taken else route.name
    return {verb.lower(): operation}


def _run_operation(deployment: Deployment, schemas: dict[str, Any]) -> dict[str, Any]:
    signature = deployment.can.signature
    assert signature is not None
    content_type = "multipart/form-data" if signature.uploads else "application/json"
    name = _component_name(deployment.name)
    request = _component(signature.request_schema(), schemas, f"{name}RunRequest")
    answer = signature.response_schema()
    response = _component(answer, schemas, f"{name}RunResponse") if answer else {}
    return {
        "summary": deployment.description or f"Run {deployment.name}",
        "tags": ["deployments"],
        "requestBody": {"required": True, "content": {content_type: {"schema": request}}},
        "responses": {
            "200": {
                "description": "The answer",
                **({"content": {"application/json": {"schema": response}}} if answer else {}),
            },
            "422": {"description": "The request is not what the deployment takes"},
            "500": {"description": "The wrapper failed"},
        },
    }


def _component_name(name: str) -> str:
    """`name` in the letters that the name of a component may have; as domain names do it."""
    return name if name.isascii() else f"xn--{name.encode('punycode').decode()}"


def _component(schema: Mapping[str, Any], schemas: dict[str, Any], name: str) -> dict[str, Any]:
    """Put a schema and its local definitions among the components; gives a reference to it."""
    definitions = schema.get("$defs", {})
    refs = {f"{_REF}{local}": f"#/components/schemas/{name}.{local}" for local in definitions}
    body = {key: value for key, value in schema.items() if key != "$defs"}
    schemas[name] = _sound(body, refs)
    for local, definition in definitions.items():
        schemas[f"{name}.{local}"] = _sound(definition, refs)
    return {"$ref": f"#/components/schemas/{name}"}


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


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:.75rem;overflow:auto}h2{font-size:1.05rem;margin-top:2rem}"
)


def _page(described: Mapping[str, Any], *, root_path: str) -> str:
    schemas = described["components"]["schemas"]
    sections = [
        f"<h2><code>{verb.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])}</p>{_body(operation, schemas, url=root_path + path)}"
        for path, operations in described["paths"].items()
        for verb, operation in operations.items()
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>hayserve</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>hayserve {escape(described['info']['version'])}</h1>"
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
        f"{''.join(sections)}</html>"
    )


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Any], *, url: str) -> str:
    if "requestBody" not in operation:
        return ""
    [(content_type, content)] = operation["requestBody"]["content"].items()
    schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    shown = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f"<p>{escape(content_type)} to {escape(url)}</p><pre>{shown}</pre>"
