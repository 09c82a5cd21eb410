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

from hayserve.deployments.registry import Registry
from hayserve.protocols.described import DescribedRoute
from hayserve.protocols.rest.components import Components
from hayserve.protocols.rest.operations import operation_of, run_operation
from hayserve.protocols.rest.page import page_of


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
        page = page_of(self.describe(root_path=root_path), root_path=root_path)
        return HTMLResponse(page.encode(errors="replace"))

    def describe(self, *, root_path: str = "") -> dict[str, Any]:
        """The whole document, as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0)."""
        paths: dict[str, dict[str, Any]] = {}
        components = Components()
        ids: set[str] = set()
        for route in self._fixed:
            operation = operation_of(route, components)
            if route.name in ids:  # the same endpoint is there with and without `/v1`
                operation["operationId"] += "_alias"
            ids.add(route.name)
            paths.setdefault(_path(route), {})[route.method.lower()] = operation
        for deployment in self._registry.deployments():
            if deployment.can.signature is None:
                continue
            operation = run_operation(deployment, components)
            for name in deployment.names:
                paths[f"/{name}/run"] = {"post": {**operation, "operationId": f"{name}_run"}}
        document = {
            "openapi": "3.1.0",
            "info": {"title": "hayserve", "version": self._version},
            "paths": paths,
            "components": {"schemas": components.schemas},
        }
        return {**document, "servers": [{"url": root_path}]} if root_path else document


def _path(route: Route) -> str:
    return route.path.replace(":path}", "}")
