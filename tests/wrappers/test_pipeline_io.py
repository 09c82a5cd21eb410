"""How the inputs of a pipeline are called for which nobody chose names."""

import json
from typing import Any

import pytest
from haystack import Pipeline, component
from haystack.components.builders import PromptBuilder

from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from hayserve.wrappers.pipeline_io import Target, input_for, values_of
from hayserve.wrappers.plain import wrapper_for


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


@component
class Typed:
    def __init__(self, *, name: str, type_: type) -> None:
        component.set_input_type(self, name, type_)

    @component.output_types(text=str)
    def run(self, **given: Any) -> dict[str, Any]:
        raise NotImplementedError


def retrieval() -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("search", Search())
    pipeline.add_component("prompt", PromptBuilder("{{ query }}: {{ documents | join(' ') }}"))
    pipeline.connect("search.documents", "prompt.documents")
    return pipeline


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


def test_targets_that_disagree_on_their_default_have_none_that_callers_see() -> None:
    one = Target("a", "x", int, required=False, default=1)
    other = Target("b", "x", int, required=False, default=2)
    assert input_for([one]).default == 1
    assert input_for([one, other]).default is None
    resolution = {"x": input_for([one, other])}
    assert values_of({"x": None}, resolution) == {}
    assert values_of({"x": 1}, resolution) == {"a": {"x": 1}, "b": {"x": 1}}
