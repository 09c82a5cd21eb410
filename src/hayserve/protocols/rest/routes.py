"""Serves `POST /{name}/run`, typed by each deployment's own signature."""

import logging
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.errors import WrapperFailed
from hayserve.events import Event, RunFinished, StreamOpened
from hayserve.protocols.rest.decode import read_arguments, run_of, served_by
from hayserve.protocols.rest.encode import SSEEncoder, TextEncoder, error_of
from hayserve.protocols.sse import GRACE_SECONDS, EventStreamResponse, while_connected
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun
from hayserve.wrappers.signature import Signature

logger = logging.getLogger("hayserve.protocols.rest")

_TEXT_HEADERS = {"content-type": "text/plain; charset=utf-8", "x-accel-buffering": "no"}
JSON = "application/json"


class Rest:
    """The REST face of every deployment.

    Args:
        registry: Where deployments are found.
        executor: What runs them.
    """

    def __init__(self, registry: Registry, executor: Executor) -> None:
        self._registry = registry
        self._executor = executor

    def routes(self) -> list[Route]:
        return [Route("/{name}/run", self, methods=["POST"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            deployment = await self._registry.for_run(request.path_params["name"])
            # Until the end: a response that a wrapper made may read its files as it is sent.
            with deployment.uses.held():
                response = await self.run(request, deployment)
                await response(scope, receive, send)
        finally:
            await request.close()  # what was uploaded, which a stream may read until it ends

    async def run(self, request: Request, deployment: Deployment) -> Response:
        _, signature = served_by(deployment)
        arguments = await read_arguments(request, signature)
        run = run_of(deployment, arguments, headers=request.headers, run_id=request.state.run_id)
        live = self._executor.start(run)
        opening = partial(live.opening, grace=GRACE_SECONDS)
        events = await while_connected(request.receive, live, opening)
        return _answer(live, events, signature, sse=_asks_for_events(request))


def _asks_for_events(request: Request) -> bool:
    return "text/event-stream" in request.headers.get("accept", "")


def _answer(live: LiveRun, events: list[Event], signature: Signature, *, sse: bool) -> Response:
    error = error_of(events[-1])
    if error is not None and all(isinstance(event, StreamOpened) for event in events[:-1]):
        raise error
    first = events[0]
    if isinstance(first, StreamOpened):
        return _stream(live, events, sse=sse or first.sse)
    assert isinstance(first, RunFinished)
    if isinstance(first.result, Response):
        return first.result
    return Response(_encoded(live, first.result, signature), media_type=JSON)


def _encoded(live: LiveRun, result: object, signature: Signature) -> bytes:
    try:
        return signature.encode(result)
    except WrapperFailed as error:
        run = live.run
        logger.error(  # noqa: TRY400 - the traceback is the cause's
            "result_unusable",
            extra={"run_id": run.id, "deployment": run.deployment, "method": run.method.name},
            exc_info=error.__cause__,
        )
        raise


def _stream(live: LiveRun, events: list[Event], *, sse: bool) -> Response:
    if sse:
        return EventStreamResponse(live, opening=events, encoder=SSEEncoder(live.run.id))
    return EventStreamResponse(
        live, opening=events, encoder=TextEncoder(), headers=_TEXT_HEADERS, keep_alive=b""
    )
