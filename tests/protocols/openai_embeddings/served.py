"""Serves wrappers to a test: the real routes, runs and error answers, without a socket."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.protocols.openai_embeddings.routes import OpenAIEmbeddings
from hayserve.runs.execute import Executor
from hayserve.server.error_responses import handlers
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.run_limits import RunLimits
from protocols.doors import OPEN


class Wrapper(BasePipelineWrapper):
    """A wrapper with nothing to set up."""

    def setup(self) -> None: ...


class Lengths(Wrapper):
    """Embeds a text as its length and its first letter."""

    def run_embedding(
        self, model: str, texts: list[str], body: dict[str, object]
    ) -> list[list[float]]:
        return [[len(text), ord(text[0])] for text in texts]


def deployed(wrapper: BasePipelineWrapper, name: str = "it") -> Deployment:
    wrapper.setup()
    can = capabilities_of(wrapper, name=name)
    limits = RunLimits.of(wrapper.limits)
    return Deployment(name, wrapper, can, aliases=(f"{name}-alias",), limits=limits)


@asynccontextmanager
async def served(*wrappers: BasePipelineWrapper) -> AsyncGenerator[AsyncClient]:
    """A client of a server on which the first wrapper is called `it`, the second `it2`, …"""
    registry, executor = Registry(), Executor()
    for number, wrapper in enumerate(wrappers, 1):
        registry.put(deployed(wrapper, "it" if number == 1 else f"it{number}"))
    async with executor.running():
        app = Starlette(
            routes=OpenAIEmbeddings(registry, executor).routes(),
            middleware=OPEN,
            exception_handlers=handlers(),
        )
        async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
            yield client
