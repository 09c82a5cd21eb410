"""Describes what is served: `/openapi.json` for programs and `/docs` for people.

Both are made from the registry when they are asked for, each deployment by itself, so that one
that cannot be described does not take the others with it.
"""

import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from hayserve.access.rules import Rule
from hayserve.deployments.registry import Registry
from hayserve.protocols.allowed import Scope, deployments_for
from hayserve.protocols.described import DescribedRoute, RuledRoute
from hayserve.protocols.rest.components import Components
from hayserve.protocols.rest.operations import operation_of, run_operation
from hayserve.protocols.rest.page import POLICY, page_of

# Source: https://spec.openapis.org/oas/v3.1.0#security-scheme-object
_KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, or a token."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key."},
}


class OpenAPI:
    """The description of the server's interface.

    Args:
        registry: The deployments, each of which has a typed `/{name}/run`.
        fixed: The routes that are there whatever is deployed.
        version: The server's version.
    """

    def __init__(
        self, registry: Registry, fixed: Sequence[DescribedRoute], *, version: str
    ) -> None:
        self._registry = registry
        self._fixed = fixed
        self._version = version

    def routes(self) -> list[Route]:
        return [
            RuledRoute("/openapi.json", self.document, method="GET", allows=Rule.SEE),
            RuledRoute("/docs", self.page, method="GET", allows=Rule.SEE),
            RuledRoute("/redoc", self.page, method="GET", allows=Rule.SEE),
        ]

    async def document(self, request: Request) -> Response:
        """The OpenAPI 3.1 description of everything that is served."""
        described = self.describe(request.scope)
        # In ASCII, which can carry what is not valid Unicode.
        return Response(json.dumps(described), media_type="application/json")

    async def page(self, request: Request) -> Response:
        """This page."""
        root_path: str = request.scope.get("root_path", "")
        page = page_of(self.describe(request.scope), root_path=root_path)
        headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
        return HTMLResponse(page.encode(errors="replace"), headers=headers)

    def describe(self, scope: Scope) -> dict[str, Any]:
        """The whole document for who has sent a request, as OpenAPI 3.1.

        Source: https://spec.openapis.org/oas/v3.1.0
        """
        root_path: str = scope.get("root_path", "")
        paths: dict[str, dict[str, Any]] = {}
        components = Components()
        ids: set[str] = set()
        for route in self._fixed:
            operation = operation_of(route, components)
            if route.name in ids:  # the same endpoint is there with and without `/v1`
                operation["operationId"] += "_alias"
            ids.add(route.name)
            paths.setdefault(_path(route), {})[route.method.lower()] = operation
        for deployment in deployments_for(scope, self._registry):
            if deployment.can.signature is None:
                continue
            operation = run_operation(deployment, components)
            for name in deployment.names:
                paths[f"/{name}/run"] = {"post": {**operation, "operationId": f"{name}_run"}}
        document: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {"title": "hayserve", "version": self._version},
            "paths": paths,
            "components": {"schemas": components.schemas, "securitySchemes": _KEYS},
            # Where running needs no key, no key may be shown.
            "security": [*({name: []} for name in _KEYS), {}],
        }
        return {**document, "servers": [{"url": root_path}]} if root_path else document


def _path(route: Route) -> str:
    return route.path.replace(":path}", "}")
