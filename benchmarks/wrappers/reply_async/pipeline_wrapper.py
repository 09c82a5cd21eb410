"""A chat that answers with a string from an async method."""

from hayhooks import BasePipelineWrapper, get_last_user_message


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    async def run_chat_completion_async(self, model: str, messages: list[dict], body: dict) -> str:
        return f"A wort of advice: {get_last_user_message(messages)}"
