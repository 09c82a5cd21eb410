"""A chat that yields 200 strings."""

from collections.abc import Iterator

from hayhooks import BasePipelineWrapper

from benchmarks.calls import TOKEN, TOKENS


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> Iterator[str]:
        for _ in range(TOKENS):
            yield TOKEN
