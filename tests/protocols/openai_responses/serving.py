"""A server with nothing but the Responses API, in process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.errors import HayserveError
from hayserve.protocols.openai_error import error_object
from hayserve.protocols.openai_responses.routes import OpenAIResponses
from hayserve.protocols.statuses import status_of
from hayserve.runs.execute import Executor
from hayserve.runs.run import new_ids
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.run_limits import RunLimits


class _RunIds:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["run_id"] = new_ids(1)[0]
        await self._app(scope, receive, send)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HayserveError)
    body = error_object(error, run_id=request.state.run_id)
    return JSONResponse(body, status_of(error).openai)


@asynccontextmanager
async def serving_app(**wrappers: BasePipelineWrapper) -> AsyncGenerator[Starlette]:
    registry = Registry()
    for name, wrapper in wrappers.items():
        wrapper.setup()
        can = capabilities_of(wrapper, name=name)
        limits = RunLimits.of(wrapper.limits)
        registry.put(Deployment(name, wrapper, can, aliases=(f"{name}-alias",), limits=limits))
    executor = Executor()
    async with executor.running():
        yield Starlette(
            routes=OpenAIResponses(registry, executor).routes(),
            middleware=[Middleware(_RunIds)],
            exception_handlers={HayserveError: _answer_error},
        )


@asynccontextmanager
async def serving(**wrappers: BasePipelineWrapper) -> AsyncGenerator[httpx2.AsyncClient]:
    async with (
        serving_app(**wrappers) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as client,
    ):
        yield client
