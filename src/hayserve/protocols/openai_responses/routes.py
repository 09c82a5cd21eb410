"""The endpoints of the Responses API and of the Files API."""

import time
from functools import partial

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route

from hayserve.deployments.registry import Registry
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.form import form_in
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_error import failure_before_words
from hayserve.protocols.openai_request import model_named
from hayserve.protocols.openai_responses.decode import decode, response_call
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
    upload_method,
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
        reading: How much of a request is read.
    """

    def __init__(
        self, registry: Registry, executor: Executor, reading: Reading | None = None
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._create = RunEndpoint(self.create_response, reading or Reading())
        self._upload = RunEndpoint(self.upload_file, reading or Reading())

    def routes(self) -> list[Route]:
        return [
            Route(f"{prefix}{path}", endpoint, methods=["POST"], name=name)
            for path, endpoint, name in (
                ("/responses", self._create, "create_response"),
                ("/files", self._upload, "upload_file"),
            )
            for prefix in ("/v1", "")
        ]

    async def create_response(self, call: Call) -> None:
        """Ask a model for a response, at once or as a stream."""
        body = await call.json(any_mb=self._registry.most_body_mb)
        asked = decode(body)
        deployment = await model_named(self._registry, asked.model)
        call.check_size(body, deployment)
        called = response_call(asked, deployment)
        run_id, streamed = call.run_id, bool(asked.stream)
        response = new_response(asked.model_dump(), run_id=run_id, created_at=int(time.time()))
        live = call.start(self._executor, deployment, called, streamed=streamed)
        if streamed:
            events = wants_events(call.headers())
            encoder = ResponseEncoder(response, run_id=run_id, events=events)
            await _stream(call, live, encoder)
            return
        said = await while_connected(call.receive, live, live.all_events)
        whole = whole_response(as_stream(said, run=live.run), response=response, run_id=run_id)
        await call.answer(to_json(whole))

    async def upload_file(self, call: Call) -> None:
        """Give an uploaded file to a wrapper.

        The query parameter or form field `model` picks the deployment. Without one it is the
        first, in the order of deployment, that takes files.
        """
        upload, model = await _read_upload(call.form(any_mb=self._registry.most_upload_mb))
        # Not before all is read: from here to the start of the run, nothing may be replaced.
        deployment = await taker_of(self._registry, model=model)
        call.check_upload(upload.content, deployment)
        live = call.start(self._executor, deployment, (upload_method(upload, deployment), {}))
        events = await while_connected(call.receive, live, live.all_events)
        await call.answer(to_json(stored_file(events, run=live.run)))


async def _read_upload(request: Request) -> tuple[Upload, str | None]:
    """What was uploaded, and the model that was asked for."""
    form = await form_in(request)
    try:
        model = request.query_params.get("model") or form.get("model")
        return await read_upload(form), str(model) if model else None
    finally:
        await request.close()


async def _stream(call: Call, live: LiveRun, encoder: ResponseEncoder) -> None:
    read = partial(live.opening, grace=GRACE_SECONDS)
    opening = await while_connected(call.receive, live, read)
    failure = failure_before_words(opening)
    if failure is not None:
        raise failure
    said = as_stream(opening, run=live.run)
    response = EventStreamResponse(live, opening=said, encoder=encoder)
    await response(call.scope, call.receive, call.send)


def wants_events(headers: Headers) -> bool:
    """Whether the client shows wrappers' own events; others may stumble over an unknown event."""
    if headers.get("x-hayserve-events", "").lower() == "true":
        return True
    return any(name.startswith("x-openwebui-") for name in headers)
