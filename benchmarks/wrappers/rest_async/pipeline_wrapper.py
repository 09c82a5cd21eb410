"""A plain call of an async method."""

from hayhooks import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    async def run_api_async(self, question: str) -> str:
        return f"A wort of advice: {question}"
