"""The endpoints of the Responses API and of the Files API."""

from starlette.datastructures import FormData

from hayserve.access.entry import Entry
from hayserve.access.identity import owner_of
from hayserve.access.rules import Rule
from hayserve.deployments.registry import Registry
from hayserve.errors import StorageUnavailable, TurnTaken
from hayserve.kept.files import File
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.described import (
    EVENTS,
    FORM,
    JSON,
    RUN,
    Described,
    DescribedRoute,
    RuledSocket,
    openai_routes,
)
from hayserve.protocols.form import form_in
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_responses.compact import Compaction
from hayserve.protocols.openai_responses.decode import decode
from hayserve.protocols.openai_responses.done import ThenDone
from hayserve.protocols.openai_responses.file_routes import file_object
from hayserve.protocols.openai_responses.files import (
    read_upload,
    stored_file,
    taker_of,
    upload_in,
    upload_method,
)
from hayserve.protocols.openai_responses.making import Maker
from hayserve.protocols.openai_responses.objects import (
    FileObject,
    ResponseObject,
    UploadForm,
    UploadQuery,
)
from hayserve.protocols.openai_responses.schema import ResponseRequest
from hayserve.protocols.openai_responses.shelf import Shelf
from hayserve.protocols.openai_responses.socket import ResponseSocket
from hayserve.protocols.sse import EventStreamResponse, while_connected
from hayserve.runs.execute import Executor

_CREATED = Described(
    allows=Rule.RUN,
    takes=ResponseRequest,
    answers=ResponseObject,
    answers_as=(JSON, EVENTS),
    errors=(*RUN, TurnTaken, StorageUnavailable),
)
_UPLOADED = Described(
    allows=Rule.RUN,
    takes=UploadForm,
    takes_as=FORM,
    query=UploadQuery,
    answers=FileObject,
    errors=(*RUN, StorageUnavailable),
)


class OpenAIResponses:
    """Serves deployments to clients of OpenAI's Responses API, and takes files for them.

    Args:
        registry: Where deployments are found; the model is the name of one.
        executor: Runs them.
        maker: Has responses made.
        shelf: Has the files.
        reading: How much of a request is read.
    """

    def __init__(
        self,
        registry: Registry,
        executor: Executor,
        *,
        maker: Maker,
        shelf: Shelf,
        entry: Entry,
        reading: Reading | None = None,
    ) -> None:
        self._registry = registry
        self._entry = entry
        self._executor = executor
        self._shelf = shelf
        self._maker = maker
        self._reading = reading or Reading()
        self._create = RunEndpoint(self.create_response, self._reading)
        self._upload = RunEndpoint(self.upload_file, self._reading)

    def routes(self) -> list[DescribedRoute]:
        own = openai_routes(
            ("POST", "/responses", self._create, _CREATED),
            ("POST", "/files", self._upload, _UPLOADED),
        )
        return [*own, *Compaction(self._registry, self._maker, reading=self._reading).routes()]

    def sockets(self) -> list[RuledSocket]:
        """Where responses are asked for over WebSocket."""
        return ResponseSocket(self._maker, reading=self._reading, entry=self._entry).routes()

    async def create_response(self, call: Call) -> None:
        """Ask a model for a response, at once, as a stream or in the background."""
        body = await call.json(any_mb=self._registry.most_body_mb)
        asked = decode(body)
        if not (asked.stream or asked.background):
            await call.answer(to_json(await self._maker.whole(call, asked, body=body)))
            return
        making = await self._maker.begin(call, asked, body=body)
        if not asked.stream:
            await call.answer(to_json(making.kept.body))
            return
        source, opening, encoder = await making.opened(call.receive)
        response = EventStreamResponse(source, opening=opening, encoder=ThenDone(encoder))
        await response(call.scope, call.receive, call.send)

    async def upload_file(self, call: Call) -> None:
        """Keep a file, or give it to the wrapper of the `model` that is named with it.

        The model is named by a query parameter or a form field.
        """
        request = call.form(any_mb=self._registry.most_upload_mb)
        form = await form_in(request)
        try:
            model = request.query_params.get("model") or form.get("model")
            if model:
                await self._hand_over(call, form, model=str(model))
            else:
                await call.answer(to_json(file_object(await self._taken(call, form))))
        finally:
            await request.close()

    async def _taken(self, call: Call, form: FormData) -> File:
        sent = upload_in(form)
        return await self._shelf.take(
            sent.file,
            owner=owner_of(call.scope),
            name=sent.file.filename or "file",
            purpose=sent.purpose,
            media_type=sent.file.content_type,
            keep_seconds=sent.keep_seconds,
        )

    async def _hand_over(self, call: Call, form: FormData, *, model: str) -> None:
        upload = await read_upload(form)
        # Not before all is read: from here to the start of the run, nothing may be replaced.
        deployment = await taker_of(call.scope, self._registry, model=model)
        call.check_upload(upload.content, deployment)
        live = call.start(self._executor, deployment, (upload_method(upload, deployment), {}))
        events = await while_connected(call.receive, live, live.all_events)
        await call.answer(to_json(stored_file(events, run=live.run)))
