"""Originals become lean ones wherever they are."""

from typing import Any

from haystack import Pipeline, SuperComponent
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import (
    AzureOpenAIChatGenerator,
    FallbackChatGenerator,
    OpenAIChatGenerator,
)
from haystack.dataclasses import ChatMessage
from haystack.tools import ComponentTool, Toolset
from haystack.utils import Secret

from generators.recorded import generator_of, stream, streamed, upstream
from hayserve.generators import LeanOpenAIChatGenerator, make_lean

KEY = Secret.from_token("key")


def original(**arguments: Any) -> OpenAIChatGenerator:
    return OpenAIChatGenerator(KEY, **arguments)


def is_lean(generator: object) -> bool:
    return type(generator) is LeanOpenAIChatGenerator


def test_the_generator_of_an_agent() -> None:
    agent = Agent(chat_generator=original(model="m", timeout=3.0))

    assert make_lean(agent) == 1

    assert isinstance(agent.chat_generator, LeanOpenAIChatGenerator)
    assert (agent.chat_generator.model, agent.chat_generator.timeout) == ("m", 3.0)
    assert make_lean(agent) == 0


def test_generators_that_fall_back_on_each_other() -> None:
    fallback = FallbackChatGenerator([original(), original()])

    assert make_lean(Agent(chat_generator=fallback)) == 2
    assert all(is_lean(one) for one in fallback.chat_generators)


def test_generators_of_pipelines_in_pipelines_and_of_tools() -> None:
    inner = Pipeline()
    inner.add_component("llm", original())
    helper = ComponentTool(Agent(chat_generator=original()), name="helper", description="Helps.")
    agent = Agent(chat_generator=original(), tools=Toolset([helper]))
    outer = Pipeline()
    outer.add_component("inner", SuperComponent(inner))
    outer.add_component("agent", agent)

    assert make_lean(outer) == 3
    assert is_lean(inner.get_component("llm"))


def test_generators_that_a_wrapper_has() -> None:
    class Wrapper:
        def __init__(self) -> None:
            self.agents = {"a": Agent(chat_generator=original())}
            self.generators = (original(), original())
            self.same = self.generators
            self.name = "wrapper"

    wrapper = Wrapper()

    assert make_lean(wrapper) == 3
    assert all(is_lean(one) for one in wrapper.generators)


def test_a_generator_itself() -> None:
    generator = original()

    assert make_lean(generator) == 1
    assert is_lean(generator)


def test_other_generators_stay_what_they_are() -> None:
    azure = AzureOpenAIChatGenerator("http://azure", api_key=KEY)

    assert make_lean([azure, 1, None, object()]) == 0
    assert type(azure) is AzureOpenAIChatGenerator


def test_a_pipeline_runs_with_what_was_put_into_it() -> None:
    with upstream(streamed(stream("text"))) as server:
        pipeline = Pipeline()
        prompt = ChatPromptBuilder(template=[ChatMessage.from_user("Hay?")])
        pipeline.add_component("prompt", prompt)
        pipeline.add_component("llm", generator_of(OpenAIChatGenerator, server))
        pipeline.connect("prompt.prompt", "llm.messages")
        chunks: list[object] = []

        assert make_lean(pipeline) == 1
        result = pipeline.run({"llm": {"streaming_callback": chunks.append}})
        pipeline.close()

    assert result["llm"]["replies"][0].text
    assert len(chunks) == 11
