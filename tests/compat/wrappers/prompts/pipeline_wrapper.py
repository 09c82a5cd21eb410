"""Loads a pipeline from the YAML beside it, and answers a chat with a plain string."""
# pyright: basic, reportMissingImports=false

from pathlib import Path

from hayhooks import BasePipelineWrapper, get_last_user_message, log
from hayhooks.server.utils.haystack_compat import AsyncPipeline


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        text = (Path(__file__).parent / "pipeline.yml").read_text()
        self.pipeline = AsyncPipeline.loads(text)

    async def run_api_async(self, question: str) -> str:
        log.trace("Asked {}", question)
        result = await self.pipeline.run_async({"prompt": {"question": question}})
        return result["prompt"]["prompt"]

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> str:
        question = get_last_user_message(messages)
        return self.pipeline.run({"prompt": {"question": question}})["prompt"]["prompt"]
