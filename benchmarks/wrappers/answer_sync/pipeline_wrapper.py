"""An agent whose whole answer is given at once."""

from hayhooks import BasePipelineWrapper, get_last_user_message
from haystack.components.agents import Agent
from haystack.dataclasses import ChatMessage

from benchmarks.models import fast_model


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Agent(chat_generator=fast_model())

    def run_chat_completion(self, model: str, messages: list[dict], body: dict) -> str:
        question = ChatMessage.from_user(get_last_user_message(messages))
        return self.pipeline.run(messages=[question])["last_message"].text
