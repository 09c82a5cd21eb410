"""Agents, pipelines and whatever gives one of them, served without a wrapper."""

import json
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder, PromptBuilder
from haystack.components.generators.chat import MockChatGenerator

from hayserve.errors import DeployRefused
from hayserve.events import ModelFinished, RunFinished, StreamOpened, TextDelta
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run, new_id
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.plain import wrapper_for
from hayserve.wrappers.plain_agent import PlainAgentWrapper
from hayserve.wrappers.plain_pipeline import PlainPipelineWrapper

ACCEPTED = (
    "Accepted are a Haystack Agent or Pipeline, a BasePipelineWrapper (the class or an instance), "
    "and a function without arguments that returns one of these."
)


class Greeter(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self, name: str) -> str:
        return f"Hello, {name}"


class Unfinished(BasePipelineWrapper):
    def run_api(self) -> str:
        return ""


@component
class Search:
    @component.output_types(documents=list[str])
    def run(self, query: str, top_k: int = 3, size: int = 1) -> dict[str, Any]:
        return {"documents": [query] * top_k}


@component
class Image:
    """Takes a `size` that is no number."""

    @component.output_types(image=str)
    def run(self, query: str, size: str = "small") -> dict[str, Any]:
        return {"image": f"{query} {size}"}


@component
class Keyword:
    def __init__(self, *, optional: bool) -> None:
        if optional:
            component.set_input_type(self, "class", str, default="")
        else:
            component.set_input_type(self, "class", str)

    @component.output_types(text=str)
    def run(self, **given: Any) -> dict[str, Any]:
        return {"text": "done"}


def retrieval() -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("search", Search())
    pipeline.add_component("prompt", PromptBuilder("{{ query }}: {{ documents | join(' ') }}"))
    pipeline.connect("search.documents", "prompt.documents")
    return pipeline


def an_agent() -> Agent:
    return Agent(chat_generator=MockChatGenerator())


async def answered(wrapper: BasePipelineWrapper, body: dict[str, Any]) -> Any:
    able = capabilities_of(wrapper, name="it")
    assert able.api is not None
    assert able.signature is not None
    arguments = able.signature.arguments(json.dumps(body).encode())
    return json.loads(able.signature.encode(await able.api.function(**arguments)))["result"]


def set_up(thing: object) -> BasePipelineWrapper:
    wrapper = wrapper_for(thing)
    wrapper.setup()
    return wrapper


def test_agents_and_pipelines_are_served_as_they_are() -> None:
    assert isinstance(wrapper_for(an_agent()), PlainAgentWrapper)
    assert isinstance(wrapper_for(retrieval()), PlainPipelineWrapper)


def test_wrappers_are_taken_as_a_class_or_an_instance() -> None:
    greeter = Greeter()
    assert wrapper_for(greeter) is greeter
    assert isinstance(wrapper_for(Greeter), Greeter)


def test_a_function_may_make_what_is_served() -> None:
    assert isinstance(wrapper_for(an_agent), PlainAgentWrapper)
    assert isinstance(wrapper_for(retrieval), PlainPipelineWrapper)


def with_an_argument(name: str) -> Agent:
    raise NotImplementedError


async def async_factory() -> Agent:
    raise NotImplementedError


def broken() -> Agent:
    raise LookupError("no model")


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (3, f"An object of the type 'int' cannot be served. {ACCEPTED}"),
        (
            nothing,
            f"'nothing' gave an object of the type 'NoneType', which cannot be served. {ACCEPTED}",
        ),
        (with_an_argument, f"'with_an_argument' cannot be called without arguments. {ACCEPTED}"),
        (dict, f"'dict' cannot be called without arguments. {ACCEPTED}"),
        (
            async_factory,
            f"'async_factory' is an async function. Make it a plain function. {ACCEPTED}",
        ),
        (broken, "'broken' failed: LookupError: no model. It is called once, at deploy."),
        (
            Unfinished,
            (
                "'Unfinished' failed: TypeError: Can't instantiate abstract class Unfinished with "
                "abstract method setup. It is called once, at deploy."
            ),
        ),
    ],
)
def test_anything_else_is_refused(thing: object, said: str) -> None:
    with pytest.raises(DeployRefused) as refused:
        wrapper_for(thing)
    assert str(refused.value) == said


@pytest.mark.anyio
async def test_an_input_of_several_components_is_one_input() -> None:
    wrapper = set_up(retrieval())
    able = capabilities_of(wrapper, name="it")
    assert able.signature is not None
    assert able.signature.request_schema()["required"] == ["query"]
    assert await answered(wrapper, {"query": "cats", "top_k": 2}) == {
        "prompt": {"prompt": "cats: cats cats"}
    }


@pytest.mark.anyio
async def test_inputs_of_one_name_and_two_types_get_their_components_names() -> None:
    pipeline = Pipeline()
    pipeline.add_component("search", Search())
    pipeline.add_component("my-image", Image())
    wrapper = set_up(pipeline)
    able = capabilities_of(wrapper, name="it")
    assert able.signature is not None
    assert list(able.signature.request_schema()["properties"]) == [
        "query",
        "my_image_size",
        "search_size",
        "top_k",
    ]
    result = await answered(wrapper, {"query": "a", "my_image_size": "big"})
    assert result["my-image"] == {"image": "a big"}


def test_a_required_input_that_cannot_be_named_is_refused() -> None:
    pipeline = Pipeline()
    pipeline.add_component("strange", Keyword(optional=False))
    wrapper = wrapper_for(pipeline)
    with pytest.raises(DeployRefused) as refused:
        wrapper.setup()
    assert str(refused.value) == (
        "The required input 'strange.class' of the pipeline cannot be named: 'class' is no name "
        "for an argument. Choose names: declare `inputs` in YAML, or write a wrapper with a "
        "`run_api`."
    )


@pytest.mark.anyio
async def test_an_optional_input_that_cannot_be_named_is_left_out() -> None:
    pipeline = Pipeline()
    pipeline.add_component("strange", Keyword(optional=True))
    pipeline.add_component("prompt", PromptBuilder("{{ x }}"))
    assert await answered(set_up(pipeline), {"x": 1}) == {
        "strange": {"text": "done"},
        "prompt": {"prompt": "1"},
    }


def test_two_required_inputs_cannot_have_one_name() -> None:
    pipeline = Pipeline()
    pipeline.add_component("a", Typed(name="b_x", type_=str))
    pipeline.add_component("a_b", Typed(name="x", type_=int))
    pipeline.add_component("a_b_", Typed(name="x", type_=str))
    pipeline.add_component("other", Typed(name="a_b_x", type_=str))
    wrapper = wrapper_for(pipeline)
    with pytest.raises(DeployRefused, match=r"'other\.a_b_x' .* is taken by another input"):
        wrapper.setup()


@component
class Typed:
    def __init__(self, *, name: str, type_: type) -> None:
        component.set_input_type(self, name, type_)

    @component.output_types(text=str)
    def run(self, **given: Any) -> dict[str, Any]:
        raise NotImplementedError


def test_a_pipeline_that_answers_nothing_is_no_chat_model() -> None:
    assert capabilities_of(set_up(retrieval()), name="it").names() == ["run_api"]


@pytest.mark.anyio
async def test_a_pipeline_with_a_chat_generator_is_a_chat_model() -> None:
    pipeline = Pipeline()
    pipeline.add_component("prompt", ChatPromptBuilder(template=_say("{{ question }}!")))
    pipeline.add_component("llm", MockChatGenerator())
    pipeline.connect("prompt.prompt", "llm.messages")
    able = capabilities_of(set_up(pipeline), name="it")
    assert able.chat is not None
    executor = Executor()
    async with executor.running():
        arguments: dict[str, Any] = {
            "model": "it",
            "messages": [{"role": "user", "content": "Hello"}],
            "body": {},
        }
        live = executor.start(Run(new_id(), "it", able.chat, arguments))
        assert await live.all_events() == [
            StreamOpened(),
            TextDelta("Hello!"),
            ModelFinished("stop"),
            RunFinished(),
        ]


def _say(text: str) -> str:
    return '{% message role="user" %}' + text + "{% endmessage %}"
