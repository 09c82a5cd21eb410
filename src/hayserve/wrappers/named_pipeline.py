"""A pipeline with named inputs and outputs, as the methods of a wrapper."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import Signature
from typing import Any

from haystack import Pipeline

from hayserve.wrappers.citations import citations_in
from hayserve.wrappers.conversation import ConversationInput, conversation_input
from hayserve.wrappers.messages import chat_messages_from_openai
from hayserve.wrappers.methods import described
from hayserve.wrappers.pipeline_io import InputResolution, OutputResolution, values_of
from hayserve.wrappers.streaming import AsyncPipelineStream, async_streaming_generator
from hayserve.wrappers.streaming_targets import (
    StreamingComponents,
    answer_of,
    find_all_streaming_components,
)
from hayserve.wrappers.unsaid import calls_in, executed_in

_ANSWERS = frozenset({"replies", "reply", "answers", "answer", "last_message"})


@dataclass(frozen=True)
class NamedPipeline:
    """A pipeline, what callers give it, and what they get.

    Args:
        pipeline: The pipeline.
        inputs: Its inputs, by the names that callers use.
        outputs: Its outputs, by the names that callers see; empty for what `Pipeline.run` returns.
        streaming_components: The components that stream, as for `streaming_generator`.
        description: What it does, for people and models.
    """

    pipeline: Pipeline
    inputs: Mapping[str, InputResolution]
    outputs: Mapping[str, OutputResolution] = field(default_factory=dict[str, OutputResolution])
    streaming_components: StreamingComponents = None
    description: str = ""

    @property
    def include_outputs_from(self) -> set[str] | None:
        """The components that the outputs come from; None if none are declared."""
        return {output.component for output in self.outputs.values()} or None

    def methods(self) -> dict[str, Callable[..., Any]]:
        """The methods that a wrapper of this pipeline has, by name.

        A pipeline that has an input for the conversation and something to say is a chat model too.
        """
        methods: dict[str, Callable[..., Any]] = {"run_api_async": self._run_method()}
        conversation = conversation_input(self.inputs)
        if conversation is not None and self._has_an_answer():
            methods["run_chat_completion_async"] = self._chat_method(conversation)
        return methods

    async def run(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Run the pipeline: named inputs in, named outputs out.

        An output is None where the pipeline took a way around its component.
        """
        return self._named(await self._result_for(arguments))

    def stream(self, arguments: Mapping[str, Any]) -> AsyncPipelineStream:
        return async_streaming_generator(
            self.pipeline,
            pipeline_run_args=values_of(arguments, self.inputs),
            streaming_components=self.streaming_components,
            include_outputs_from=self.include_outputs_from,
        )

    @cached_property
    def can_stream(self) -> bool:
        return bool(find_all_streaming_components(self.pipeline))

    @cached_property
    def answer(self) -> str | None:
        """The declared output that is the answer: the one called so, or else the only one."""
        for name, output in self.outputs.items():
            if {name, output.name} & _ANSWERS:
                return name
        return next(iter(self.outputs)) if len(self.outputs) == 1 else None

    def _has_an_answer(self) -> bool:
        if self.can_stream:
            return True
        names = {name for fields in self.pipeline.outputs().values() for name in fields}
        names |= {*self.outputs, *(output.name for output in self.outputs.values())}
        return bool(names & _ANSWERS)

    async def _result_for(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return await self.pipeline.run_async(
            values_of(arguments, self.inputs), include_outputs_from=self.include_outputs_from
        )

    def _named(self, result: dict[str, Any]) -> dict[str, Any]:
        if not self.outputs:
            return result
        return {
            name: result.get(output.component, {}).get(output.name)
            for name, output in self.outputs.items()
        }

    def _run_method(self) -> Callable[..., Any]:
        async def run_api_async(**arguments: Any) -> dict[str, Any]:
            return await self.run(arguments)

        parameters = [resolution.parameter(name) for name, resolution in self.inputs.items()]
        return described(
            run_api_async,
            Signature(parameters, return_annotation=dict[str, Any]),
            description=self.description or "Run the pipeline.",
            inputs={
                name: f"Goes to {', '.join(resolution.targets)}."
                for name, resolution in self.inputs.items()
            },
        )

    def _chat_method(self, conversation: ConversationInput) -> Callable[..., Any]:
        async def run_chat_completion_async(
            model: str,  # noqa: ARG001 - in the contract
            messages: list[dict[str, Any]],
            body: dict[str, Any],  # noqa: ARG001 - in the contract
        ) -> AsyncPipelineStream | Iterator[Any] | str:
            said = conversation.value_for(chat_messages_from_openai(messages))
            arguments = {conversation.name: said}
            if self.can_stream:
                return self.stream(arguments)
            return self._answer_of(await self._result_for(arguments))

        return run_chat_completion_async

    def _answer_of(self, result: dict[str, Any]) -> Iterator[Any] | str:
        """The text, or a stream if there is more than that to the answer."""
        named = self._named(result)
        said = self._answer_in(named)
        executed, calls = executed_in(self.pipeline, result), calls_in(self.pipeline, result)
        cited = citations_in(named)
        if not (executed or calls or cited):
            return said
        return iter([*executed, *([said] if said else []), *calls, *cited])

    def _answer_in(self, result: Mapping[str, Any]) -> str:
        if self.answer is None:
            return answer_of(result)
        said = result[self.answer]
        return "" if said is None else answer_of({self.answer: {"replies": said}})
