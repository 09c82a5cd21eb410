"""The endpoints of the Responses API and of the Files API."""

import time
from functools import partial

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hayserve.deployments.registry import Registry
from hayserve.errors import InvalidRequest
from hayserve.protocols.json_body import check_json
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_error import failure_before_words
from hayserve.protocols.openai_request import model_named
from hayserve.protocols.openai_responses.decode import decode, run_of
from hayserve.protocols.openai_responses.encode import (
    ResponseEncoder,
    as_stream,
    whole_response,
)
from hayserve.protocols.openai_responses.files import (
    Upload,
    read_upload,
    stored_file,
    taker_of,
    upload_run,
)
from hayserve.protocols.openai_responses.response_object import new_response
from hayserve.protocols.sse import GRACE_SECONDS, EventStreamResponse, while_connected
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun


class OpenAIResponses:
    """Serves deployments to clients of OpenAI's Responses API, and takes files for them.

    Nothing is kept between requests: `store` is accepted and the response says that it was not
    stored; what needs a stored response is refused.

    Args:
        registry: Where deployments are found; the model is the name of one.
        executor: Runs them.
    """

    def __init__(self, registry: Registry, executor: Executor) -> None:
        self._registry = registry
        self._executor = executor

    def routes(self) -> list[Route]:
        return [
            Route("/v1/responses", self.create_response, methods=["POST"]),
            Route("/responses", self.create_response, methods=["POST"]),
            Route("/v1/files", self.upload_file, methods=["POST"]),
            Route("/files", self.upload_file, methods=["POST"]),
        ]

    async def create_response(self, request: Request) -> Response:
        """Ask a model for a response, at once or as a stream."""
        body = await request.body()
        check_json(request.headers, body)
        asked = decode(body)
        deployment = await model_named(self._registry, asked.model)
        run_id: str = request.state.run_id
        run = run_of(asked, deployment, run_id=run_id, headers=request.headers)
        response = new_response(asked.model_dump(), run_id=run_id, created_at=int(time.time()))
        live = self._executor.start(run)
        if asked.stream:
            encoder = ResponseEncoder(response, run_id=run_id, events=wants_events(request.headers))
            return await _stream(request, live, encoder)
        events = await while_connected(request.receive, live, live.all_events)
        whole = whole_response(as_stream(events, run=run), response=response, run_id=run_id)
        return Response(to_json(whole), media_type="application/json")

    async def upload_file(self, request: Request) -> Response:
        """Give an uploaded file to a wrapper.

        The query parameter or form field `model` picks the deployment. Without one it is the
        first, in the order of deployment, that takes files.
        """
        upload, model = await _read_upload(request)
        # Not before all is read: from here to the start of the run, nothing may be replaced.
        deployment = await taker_of(self._registry, model=model)
        run = upload_run(upload, deployment, run_id=request.state.run_id)
        live = self._executor.start(run)
        events = await while_connected(request.receive, live, live.all_events)
        return JSONResponse(stored_file(events, run=run))


async def _read_upload(request: Request) -> tuple[Upload, str | None]:
    """What was uploaded, and the model that was asked for."""
    try:
        async with request.form() as form:
            model = request.query_params.get("model") or form.get("model")
            return await read_upload(form), str(model) if model else None
    except HTTPException as error:
        raise InvalidRequest(
            f"The form cannot be read: {error.detail}", hint="Send multipart/form-data."
        ) from error


async def _stream(request: Request, live: LiveRun, encoder: ResponseEncoder) -> Response:
    read = partial(live.opening, grace=GRACE_SECONDS)
    opening = await while_connected(request.receive, live, read)
    failure = failure_before_words(opening)
    if failure is not None:
        raise failure
    return EventStreamResponse(live, opening=as_stream(opening, run=live.run), encoder=encoder)


def wants_events(headers: Headers) -> bool:
    """Whether the client shows wrappers' own events; others may stumble over an unknown event."""
    if headers.get("x-hayserve-events", "").lower() == "true":
        return True
    return any(name.startswith("x-openwebui-") for name in headers)
