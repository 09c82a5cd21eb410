"""Serves `POST /{name}/run`, typed by each deployment's own signature."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hayserve.deployments.registry import Registry
from hayserve.errors import RunFailed as RunFailedError
from hayserve.events import Event, RunCancelled, RunFailed, RunFinished, StreamOpened
from hayserve.protocols.rest.decode import read_arguments, run_of, served_by
from hayserve.protocols.rest.encode import SSEEncoder, TextEncoder
from hayserve.protocols.sse import GRACE_SECONDS, EventStreamResponse
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun
from hayserve.wrappers.signature import Signature

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
        return [Route("/{name}/run", self.run, methods=["POST"])]

    async def run(self, request: Request) -> Response:
        deployment = self._registry.get(request.path_params["name"])
        _, signature = served_by(deployment)
        arguments = await read_arguments(request, signature)
        run = run_of(deployment, arguments, headers=request.headers, run_id=request.state.run_id)
        live = self._executor.start(run)
        try:
            events = await live.opening(grace=GRACE_SECONDS)
        except BaseException:
            live.cancel()
            raise
        return _answer(live, events, signature)


def _answer(live: LiveRun, events: list[Event], signature: Signature) -> Response:
    last = events[-1]
    if isinstance(last, RunFailed) and all(isinstance(e, StreamOpened) for e in events[:-1]):
        raise last.error
    if isinstance(last, RunCancelled) and len(events) == 1:
        raise RunFailedError(f"The run was stopped: {last.reason}.")
    first = events[0]
    if isinstance(first, StreamOpened):
        return _stream(live, events, sse=first.sse)
    assert isinstance(first, RunFinished)
    if isinstance(first.result, Response):
        return first.result
    return Response(signature.encode(first.result), media_type=JSON)


def _stream(live: LiveRun, events: list[Event], *, sse: bool) -> Response:
    if sse:
        return EventStreamResponse(live, opening=events, encoder=SSEEncoder())
    return EventStreamResponse(
        live, opening=events, encoder=TextEncoder(), headers=_TEXT_HEADERS, keep_alive=b""
    )
