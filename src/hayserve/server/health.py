"""Says whether the server lives, and whether it serves everything that it should."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hayserve.deployments.registry import Registry


class Health:
    """What a load balancer or an orchestrator asks.

    Args:
        registry: What is served, what is still loading and what failed.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    async def healthz(self, _: Request) -> Response:
        """Say that the process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Say whether all that should be served is; 503 while not, and when the server stops."""
        if getattr(request.app.state, "is_stopping", False):
            return JSONResponse({"status": "stopping"}, status_code=503)
        loading = sorted(self._registry.loading)
        failed = {failure.name: failure.error.message for failure in self._registry.failed()}
        status = "starting" if loading else "degraded" if failed else "ready"
        return JSONResponse(
            {"status": status, "loading": loading, "failed": failed},
            status_code=200 if status == "ready" else 503,
        )
