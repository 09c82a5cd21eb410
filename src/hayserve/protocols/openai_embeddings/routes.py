"""Serves deployments that embed texts to OpenAI's clients: `/v1/embeddings`.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

from functools import partial

import anyio.to_thread

from hayserve.access.rules import Rule
from hayserve.deployments.registry import Registry
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.described import RUN, Described, DescribedRoute, openai_routes
from hayserve.protocols.openai_embeddings.decode import embedding_call, read_request
from hayserve.protocols.openai_embeddings.encode import embeddings
from hayserve.protocols.openai_embeddings.schema import EmbeddingList, EmbeddingsRequest
from hayserve.protocols.openai_request import model_named
from hayserve.protocols.sse import while_connected
from hayserve.runs.execute import Executor

# More embeddings than these are written in a thread, because that takes its time.
FEW = 16
_CREATED = Described(allows=Rule.RUN, takes=EmbeddingsRequest, answers=EmbeddingList, errors=RUN)


class OpenAIEmbeddings:
    """Embeddings, at `/v1/embeddings` and without the `/v1`.

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
        self._create = RunEndpoint(self.create_embeddings, reading or Reading())

    def routes(self) -> list[DescribedRoute]:
        return openai_routes(("POST", "/embeddings", self._create, _CREATED))

    async def create_embeddings(self, call: Call) -> None:
        """Embed a text, or a list of texts."""
        body = await call.json(any_mb=self._registry.most_body_mb)
        asked = read_request(body)
        deployment = await model_named(call.scope, self._registry, asked.model)
        call.check_size(body, deployment)
        live = call.start(self._executor, deployment, embedding_call(asked, deployment))
        events = await while_connected(call.receive, live, live.all_events)
        write = partial(embeddings, events, asked=asked, run=live.run)
        are_few = len(asked.texts) <= FEW
        await call.answer(write() if are_few else await anyio.to_thread.run_sync(write))
