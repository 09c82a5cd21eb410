"""Imports as in Hayhooks: the base class by its long path, and what lies beside this file."""
# pyright: basic, reportMissingImports=false

from hayhooks.server.logger import log
from hayhooks.server.utils.base_pipeline_wrapper import BasePipelineWrapper
from haystack import Pipeline

from . import SIGNATURE
from .phrases import Greeter


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None:
        self.pipeline = Pipeline()
        self.pipeline.add_component("greeter", Greeter())

    def run_api(self, name: str, times: int = 1) -> dict[str, str]:
        """
        Greet somebody.

        Args:
            name: Who is greeted.
            times: How often.
        """
        log.info("Greeting {}", name)
        result = self.pipeline.run({"greeter": {"name": name, "times": times}})
        return {"greeting": result["greeter"]["greeting"], "signed": SIGNATURE}
