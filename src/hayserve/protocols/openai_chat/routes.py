"""Serves deployments as the models of OpenAI's API: `/v1/chat/completions` and `/v1/models`."""

import time
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.errors import NotFound
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_chat.answer import Label
from hayserve.protocols.openai_chat.completion import completion
from hayserve.protocols.openai_chat.decode import chat_call, read_request
from hayserve.protocols.openai_chat.encode import ChunkEncoder
from hayserve.protocols.openai_chat.ready_made import with_answer
from hayserve.protocols.openai_error import failure_before_words
from hayserve.protocols.openai_request import model_named
from hayserve.protocols.sse import GRACE_SECONDS, EventStreamResponse, while_connected
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun


class OpenAIChat:
    """Chat completions and the list of models, at `/v1/…` and without the `/v1`.

    Args:
        registry: Where deployments are found, by name or alias.
        executor: What runs them.
        reading: How much of a request is read.
    """

    def __init__(
        self, registry: Registry, executor: Executor, reading: Reading | None = None
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._create = RunEndpoint(self.create_completion, reading or Reading())

    def routes(self) -> list[Route]:
        return [
            route
            for prefix in ("/v1", "")
            for route in (
                Route(
                    f"{prefix}/chat/completions",
                    self._create,
                    methods=["POST"],
                    name="create_completion",
                ),
                Route(f"{prefix}/models", self.list_models),
                Route(f"{prefix}/models/{{id:path}}", self.retrieve_model),
            )
        ]

    async def create_completion(self, call: Call) -> None:
        """Ask a model, which answers at once or as a stream."""
        body = await call.json(any_mb=self._registry.most_body_mb)
        asked = read_request(body)
        deployment = await model_named(self._registry, asked.model)
        call.check_size(body, deployment)
        label = Label(call.run_id, asked.model, created=int(time.time()))
        streamed = asked.stream
        live = call.start(
            self._executor, deployment, chat_call(asked, deployment), streamed=streamed
        )
        if streamed:
            encoder = ChunkEncoder(label, include_usage=asked.wants_usage)
            await _stream(call, live, encoder)
            return
        events = await while_connected(call.receive, live, live.all_events)
        await call.answer(to_json(completion(with_answer(events, run=live.run), label)))

    async def list_models(self, request: Request) -> Response:  # noqa: ARG002 - what a route calls
        """List the models: every deployment that can chat, under each of its names."""
        models = [
            _model(name, deployment)
            for deployment in self._registry.deployments()
            if _is_model(deployment)
            for name in deployment.names
        ]
        return _json({"object": "list", "data": models})

    async def retrieve_model(self, request: Request) -> Response:
        """Describe one model."""
        name: str = request.path_params["id"]
        deployment = await model_named(self._registry, name)
        if not _is_model(deployment):
            raise NotFound(
                f"{name!r} is no model: it cannot chat.",
                hint=f"It answers POST /{deployment.name}/run instead.",
                param="model",
            )
        return _json(_model(name, deployment))


async def _stream(call: Call, live: LiveRun, encoder: ChunkEncoder) -> None:
    read = partial(live.opening, grace=GRACE_SECONDS)
    opening = with_answer(await while_connected(call.receive, live, read), run=live.run)
    failure = failure_before_words(opening)
    if failure is not None:
        raise failure
    response = EventStreamResponse(live, opening=opening, encoder=encoder)
    await response(call.scope, call.receive, call.send)


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


def _json(value: dict[str, Any]) -> Response:
    return Response(to_json(value), media_type="application/json")
