"""A plain call of a plain method."""

from hayhooks import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        pass

    def run_api(self, question: str) -> str:
        return f"A wort of advice: {question}"
