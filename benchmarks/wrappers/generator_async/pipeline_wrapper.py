"""A chat that yields 200 strings from an async generator."""

from collections.abc import AsyncIterator

from hayhooks import BasePipelineWrapper

from benchmarks.calls import TOKEN, TOKENS


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    async def run_chat_completion_async(
        self, model: str, messages: list[dict], body: dict
    ) -> AsyncIterator[str]:
        return tokens()


async def tokens() -> AsyncIterator[str]:
    for _ in range(TOKENS):
        yield TOKEN
