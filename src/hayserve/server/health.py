"""Says whether the server lives, and whether it serves everything that it should."""

from typing import Required

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from hayserve.access.identity import identity_in
from hayserve.access.rules import Rule
from hayserve.deployments.registry import Registry
from hayserve.protocols.described import Described, DescribedRoute, described_routes


class Life(TypedDict):
    """That the process answers."""

    status: str


class Readiness(TypedDict, total=False):
    """Whether all that should be served is, what is still loading and what failed, with why."""

    status: Required[str]
    loading: list[str]
    failed: dict[str, str]


_LIVES = Described(allows=Rule.OPEN, answers=Life)
_READY = Described(allows=Rule.OPEN, answers=Readiness, statuses=(200, 503))


class Health:
    """What a load balancer or an orchestrator asks.

    Args:
        registry: What is served, what is still loading and what failed.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[DescribedRoute]:
        return described_routes(
            ("GET", "/healthz", self.healthz, _LIVES),
            ("GET", "/readyz", self.readyz, _READY),
        )

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
        known = {"loading": loading, "failed": failed} if _may_know(request) else {}
        return JSONResponse(
            {"status": status, **known}, status_code=200 if status == "ready" else 503
        )


def _may_know(request: Request) -> bool:
    """Whether whoever asks may know the names of all that is served."""
    scopes = identity_in(request.scope).scopes
    return scopes.runs_all or scopes.may_deploy
