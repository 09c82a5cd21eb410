"""Serves deployments as the models of OpenAI's API: `/v1/chat/completions` and `/v1/models`."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope, Send

from hayserve.access.identity import owner_of
from hayserve.access.rules import Rule
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.errors import NotFound, StorageUnavailable
from hayserve.protocols.agent_request import AgentRequests, Output, chat_outputs
from hayserve.protocols.allowed import deployments_for
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.described import (
    EVENTS,
    JSON,
    RUN,
    Described,
    DescribedRoute,
    openai_routes,
)
from hayserve.protocols.json_answer import json_answer
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_chat.answer import COMPLETION, Label
from hayserve.protocols.openai_chat.completion import completion
from hayserve.protocols.openai_chat.decode import chat_call, names_files, read_request
from hayserve.protocols.openai_chat.encode import ChunkEncoder
from hayserve.protocols.openai_chat.objects import ChatCompletion, Model, ModelList
from hayserve.protocols.openai_chat.ready_made import with_answer
from hayserve.protocols.openai_chat.schema import ChatRequest, Fields
from hayserve.protocols.openai_chat.stored import StoredCompletions
from hayserve.protocols.openai_chat.stored_stream import StoredStream
from hayserve.protocols.openai_error import failure_before_words
from hayserve.protocols.openai_request import answers_instead, model_named, model_seen
from hayserve.protocols.sse import (
    GRACE_SECONDS,
    Encoder,
    EventStreamResponse,
    while_connected,
)
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun
from hayserve.wrappers.asked import Resumed

_CREATED = Described(
    allows=Rule.RUN,
    takes=Fields,
    answers=ChatCompletion,
    answers_as=(JSON, EVENTS),
    errors=(*RUN, StorageUnavailable),
)
_MODELS = Described(allows=Rule.SEE, answers=ModelList)
_MODEL = Described(allows=Rule.SEE, answers=Model, errors=(NotFound,))


class Shelf(Protocol):
    """Has the files that messages name."""

    async def with_contents(
        self, items: Sequence[Mapping[str, Any]], *, owner: str
    ) -> list[Mapping[str, Any]]: ...


class OpenAIChat:
    """Chat completions and the list of models, at `/v1/…` and without the `/v1`.

    Args:
        registry: Where deployments are found, by name or alias.
        executor: What runs them.
        stored: Keeps completions.
        shelf: Has the files that messages name.
        agents: Knows what is asked of agents.
        reading: How much of a request is read.
    """

    def __init__(
        self,
        registry: Registry,
        executor: Executor,
        *,
        stored: StoredCompletions,
        shelf: Shelf,
        agents: AgentRequests,
        reading: Reading | None = None,
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._stored = stored
        self._shelf = shelf
        self._agents = agents
        self._create = RunEndpoint(self.create_completion, reading or Reading())

    def routes(self) -> list[DescribedRoute]:
        return openai_routes(
            ("POST", "/chat/completions", self._create, _CREATED),
            ("GET", "/models", self.list_models, _MODELS),
            ("GET", "/models/{id:path}", self.retrieve_model, _MODEL),
        )

    async def create_completion(self, call: Call) -> None:
        """Ask a model, which answers at once or as a stream."""
        body = await call.json(any_mb=self._registry.most_body_mb)
        asked = read_request(body)
        given = await self._with_files(call, asked) if names_files(asked) else asked
        outputs = chat_outputs(asked.messages)
        resumed = await self._resumed(call, outputs) if outputs else None
        # From here to the start of the run, nothing may be replaced.
        deployment = await model_named(call.scope, self._registry, asked.model)
        call.check_size(body, deployment)
        label = Label(call.run_id, asked.model, created=int(time.time()))
        called = chat_call(given, deployment)
        wishes = self._agents.asked(call, deployment, body=asked.fields, resumed=resumed)
        live = call.start(self._executor, deployment, called, streamed=asked.stream, asked=wishes)
        if asked.stream:
            await self._stream(call, asked, live, label=label)
        else:
            await self._answer(call, asked, live, label=label)

    async def _resumed(self, call: Call, outputs: Sequence[Output]) -> Resumed | None:
        return await self._agents.resumed(outputs, owner=owner_of(call.scope))

    async def _with_files(self, call: Call, asked: ChatRequest) -> ChatRequest:
        """The request with the contents of files in place of their ids."""
        owner = owner_of(call.scope)
        filled = await self._shelf.with_contents(asked.messages, owner=owner)
        return asked.with_messages([{**message} for message in filled])

    async def _answer(self, call: Call, asked: ChatRequest, live: LiveRun, *, label: Label) -> None:
        events = await while_connected(call.receive, live, live.all_events)
        whole = completion(with_answer(events, run=live.run), label)
        if asked.is_stored:
            # What a wrapper has built has any id, and perhaps twice the same.
            whole = {**whole, **label.fields(COMPLETION)}
            await self._stored.keep(call, asked, whole)
        await call.answer(to_json(whole))

    async def _stream(self, call: Call, asked: ChatRequest, live: LiveRun, *, label: Label) -> None:
        encoder = ChunkEncoder(label, include_usage=asked.wants_usage)
        if not asked.is_stored:
            await _stream(call, live, encoder, scope=call.scope, send=call.send)
            return
        keep = partial(self._stored.keep, call, asked)
        storing = StoredStream(encoder, label, keep=keep, send=call.send)
        # What keeps it waits for the database, which needs a task.
        scope: Scope = {**call.scope, "extensions": {}}
        await _stream(call, live, storing, scope=scope, send=storing.send)
        await storing.end()  # the client of a run that goes on without it is sent no last message

    async def list_models(self, request: Request) -> Response:
        """List the models: every deployment that can chat, under each of its names."""
        models = [
            _model(name, deployment)
            for deployment in deployments_for(request.scope, self._registry)
            if _is_model(deployment)
            for name in deployment.names
        ]
        return json_answer({"object": "list", "data": models})

    async def retrieve_model(self, request: Request) -> Response:
        """Describe one model."""
        name: str = request.path_params["id"]
        deployment = model_seen(request.scope, self._registry, name)
        if not _is_model(deployment):
            raise NotFound(
                f"{name!r} is no model: it cannot chat.",
                hint=answers_instead(deployment),
                param="model",
            )
        return json_answer(_model(name, deployment))


async def _stream(call: Call, live: LiveRun, encoder: Encoder, *, scope: Scope, send: Send) -> None:
    read = partial(live.opening, grace=GRACE_SECONDS)
    opening = with_answer(await while_connected(call.receive, live, read), run=live.run)
    failure = failure_before_words(opening)
    if failure is not None:
        raise failure
    response = EventStreamResponse(live, opening=opening, encoder=encoder)
    await response(scope, call.receive, send)


def _is_model(deployment: Deployment) -> bool:
    return deployment.can.chat is not None or deployment.can.response is not None


def _model(name: str, deployment: Deployment) -> dict[str, Any]:
    loaded_at = deployment.loaded_at
    return {
        "id": name,
        "object": "model",
        "created": int(loaded_at.timestamp()) if loaded_at else 0,
        "owned_by": "hayserve",
    }
