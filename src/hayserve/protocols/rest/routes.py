"""Serves `POST /{name}/run`, typed by each deployment's own signature."""

import logging
from functools import partial
from typing import Any

from starlette.responses import Response

from hayserve.access.rules import Rule
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.errors import WrapperFailed
from hayserve.events import Event, RunFinished, StreamOpened
from hayserve.protocols.allowed import deployment_for
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.described import RuledRoute
from hayserve.protocols.rest.decode import read_form, served_by
from hayserve.protocols.rest.encode import SSEEncoder, TextEncoder, error_of
from hayserve.protocols.sse import GRACE_SECONDS, EventStreamResponse, while_connected
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun
from hayserve.wrappers.signature import Signature

logger = logging.getLogger("hayserve.protocols.rest")

_TEXT_HEADERS = {"content-type": "text/plain; charset=utf-8", "x-accel-buffering": "no"}


class Rest:
    """The REST face of every deployment.

    Args:
        registry: Where deployments are found.
        executor: What runs them.
        reading: How much of a request is read.
    """

    def __init__(
        self, registry: Registry, executor: Executor, reading: Reading | None = None
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._run = RunEndpoint(self.run, reading or Reading())

    def routes(self) -> list[RuledRoute]:
        return [RuledRoute("/{name}/run", self._run, method="POST", allows=Rule.RUN, name="run")]

    async def run(self, call: Call) -> None:
        """Run a deployment."""
        deployment = await deployment_for(
            call.scope, self._registry, call.scope["path_params"]["name"]
        )
        # From before its body is read to the end of the answer: a response that a wrapper made may
        # read its files as it is sent.
        with deployment.uses.held():
            await self._read_and_answer(call, deployment)

    async def _read_and_answer(self, call: Call, deployment: Deployment) -> None:
        _, signature = served_by(deployment)
        if not signature.uploads:
            body = await call.json(own_mb=deployment.limits.max_body_mb)
            await self._answer(call, deployment, signature.arguments(body))
            return
        request = call.form(own_mb=deployment.limits.max_upload_mb)
        try:
            await self._answer(call, deployment, await read_form(request, signature))
        finally:
            await request.close()  # what was uploaded, which a stream may read until it ends

    async def _answer(self, call: Call, deployment: Deployment, arguments: dict[str, Any]) -> None:
        method, signature = served_by(deployment)
        live = call.start(self._executor, deployment, (method, arguments))
        opening = partial(live.opening, grace=GRACE_SECONDS)
        events = await while_connected(call.receive, live, opening)
        error = error_of(events[-1])
        if error is not None and all(isinstance(event, StreamOpened) for event in events[:-1]):
            raise error
        first = events[0]
        if isinstance(first, RunFinished) and not isinstance(first.result, Response):
            await call.answer(_encoded(live, first.result, signature))
            return
        response = _response(live, events, asks_for_events=_asks_for_events(call))
        if method.loop is not None and isinstance(first, RunFinished):
            await method.loop.answer(response, call.scope, receive=call.receive, send=call.send)
            return
        await response(call.scope, call.receive, call.send)


def _asks_for_events(call: Call) -> bool:
    return b"text/event-stream" in call.header(b"accept")


def _response(live: LiveRun, events: list[Event], *, asks_for_events: bool) -> Response:
    first = events[0]
    if isinstance(first, StreamOpened):
        return _stream(live, events, sse=asks_for_events or first.sse)
    assert isinstance(first, RunFinished)
    assert isinstance(first.result, Response)
    return first.result


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
