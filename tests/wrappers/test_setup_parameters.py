"""A deployment's parameters become what `setup` declares, or it is refused with what to do."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pytest
from haystack import Pipeline
from haystack.dataclasses import ChatMessage
from haystack.document_stores.in_memory import InMemoryDocumentStore
from pydantic import AfterValidator, BaseModel

from hayserve.errors import DeployRefused
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.plain import wrapper_for
from hayserve.wrappers.setup_parameters import arguments_for, tell


class Tone(StrEnum):
    WARM = "warm"


class Limits(BaseModel):
    tokens: int


def wrapper(setup: Callable[..., Any]) -> BasePipelineWrapper:
    """A wrapper whose `setup` is this function."""
    return type("PipelineWrapper", (BasePipelineWrapper,), {"setup": setup})()


def read(setup: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    return arguments_for(wrapper(setup), parameters, name="it")


def refusal(setup: Callable[..., Any], **parameters: Any) -> DeployRefused:
    with pytest.raises(DeployRefused) as refused:
        read(setup, **parameters)
    assert refused.value.param == "parameters"
    return refused.value


def plain(self: Any) -> None: ...


def usual(self: Any, model: str = "gpt-5-mini", temperature: float = 0.2) -> None: ...


def needy(self: Any, model: str, *, key: str, size: int = 1) -> None: ...


def open_to_all(self: Any, size: int = 1, *args: Any, **others: Any) -> None: ...


def test_who_gives_nothing_gets_the_defaults() -> None:
    assert read(usual) == {}
    assert read(plain) == {}
    assert read(open_to_all) == {}


def test_only_what_was_given_is_passed_on() -> None:
    assert read(usual, temperature=1) == {"temperature": 1.0}


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (int, "3", 3),
        (float, "0.5", 0.5),
        (bool, "true", True),
        (str, 5, "5"),
        (list[int], ["1", 2], [1, 2]),
        (Path, "a/b", Path("a/b")),
        (int | None, None, None),
        (Tone, "warm", Tone.WARM),
        (Literal["a", "b"], "a", "a"),
        (Limits, {"tokens": "7"}, Limits(tokens=7)),
        (Any, "3", "3"),
    ],
)
def test_values_become_what_the_annotation_says(
    annotation: Any, given: object, expected: object
) -> None:
    def setup(self: Any, value: Any) -> None: ...

    setup.__annotations__["value"] = annotation
    assert read(setup, value=given) == {"value": expected}


def test_haystacks_objects_are_made_of_dictionaries() -> None:
    def setup(self: Any, first: ChatMessage) -> None: ...

    message = ChatMessage.from_user("Hi")
    assert read(setup, first=message.to_dict()) == {"first": message}
    assert read(setup, first=message) == {"first": message}


def test_objects_are_taken_as_they_are() -> None:
    def setup(self: Any, store: InMemoryDocumentStore) -> None: ...

    store = InMemoryDocumentStore()
    assert read(setup, store=store)["store"] is store
    assert "InMemoryDocumentStore" in refusal(setup, store="mine").message


def test_a_parameter_without_an_annotation_takes_anything() -> None:
    def setup(self: Any, value: Any) -> None: ...

    del setup.__annotations__["value"]
    assert read(setup, value=[1, "2"]) == {"value": [1, "2"]}


def test_odd_names_are_parameters_like_others() -> None:
    def setup(self: Any, _hidden: int = 1, model_config: int = 1, copy: int = 1) -> None: ...

    given = {"_hidden": "2", "model_config": "3", "copy": "4"}
    assert read(setup, **given) == {"_hidden": 2, "model_config": 3, "copy": 4}


def test_annotations_may_be_texts() -> None:
    def setup(self: Any, value: "int") -> None: ...

    assert read(setup, value="3") == {"value": 3}


def test_a_setup_that_takes_all_takes_all() -> None:
    assert read(open_to_all, size="3", other="4") == {"size": 3, "other": "4"}


def test_a_value_that_does_not_fit_is_told_with_its_place() -> None:
    def setup(self: Any, temperature: float, sizes: list[int]) -> None: ...

    error = refusal(setup, temperature="hot", sizes=["1", "b"])
    assert error.message == (
        "The parameters of 'it' cannot be used. temperature: Input should be a valid number, "
        "unable to parse string as a number; sizes.1: Input should be a valid integer, "
        "unable to parse string as an integer."
    )


def test_an_unknown_name_is_told_the_nearest() -> None:
    error = refusal(usual, temprature=1)
    assert error.message == "'it' does not take the parameter 'temprature'."
    assert error.hint == "Did you mean 'temperature'?"


def test_names_that_are_like_none_are_told_all() -> None:
    error = refusal(usual, x=1, y=2)
    assert error.message == "'it' does not take the parameters 'x', 'y'."
    assert error.hint == "The parameters of its `setup` are 'model', 'temperature'."


def test_a_setup_that_takes_none_is_told_how_to() -> None:
    assert refusal(plain, model="m").hint == (
        "Its `setup` takes none; let it be `def setup(self, model: str) -> None:`."
    )


def test_what_has_no_wrapper_has_no_parameters() -> None:
    with pytest.raises(DeployRefused) as refused:
        arguments_for(wrapper_for(Pipeline()), {"model": "m"}, name="it")
    assert refused.value.message == "'it' does not take the parameter 'model'."
    assert refused.value.hint == (
        "Parameters are for the `setup` of a wrapper, and this is served without one."
    )


def test_what_is_needed_and_not_given_is_told() -> None:
    error = refusal(needy, size=3)
    assert error.message == "'it' needs the parameters 'model', 'key': its `setup` has no default."
    assert error.hint == "Deploy it with `--param model=... --param key=...`."
    assert refusal(needy, key="k").hint == "Deploy it with `--param model=...`."


def test_what_a_decorator_brings_need_not_be_given() -> None:
    def with_key(setup: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(setup)
        def inner(self: Any, **given: Any) -> Any:
            return setup(self, key="k", **given)

        return inner

    setup = with_key(needy)
    assert read(setup) == {}
    assert read(setup, size="2") == {"size": 2}
    assert refusal(setup, modle="m").hint == "Did you mean 'model'?"


def test_a_setup_that_cannot_be_looked_into_is_left_to_itself() -> None:
    broken = wrapper(plain)
    vars(broken)["setup"] = None
    assert arguments_for(broken, {}, name="it") == {}
    with pytest.raises(DeployRefused, match="The signature of `setup` of 'it' cannot be read"):
        arguments_for(broken, {"a": 1}, name="it")


def test_an_annotation_that_cannot_be_read_matters_only_when_something_is_given() -> None:
    def setup(self: Any, value: Any = 1) -> None: ...

    setup.__annotations__["value"] = "Absent"
    assert read(setup) == {}
    with pytest.raises(DeployRefused, match="cannot be read: NameError: name 'Absent'"):
        read(setup, value=1)


def test_a_type_whose_own_check_breaks_is_told() -> None:
    def check(_: int) -> int:
        raise RuntimeError("broken")

    def setup(self: Any, value: Annotated[int, AfterValidator(check)] = 1) -> None: ...

    assert refusal(setup, value=1).message == (
        "The parameters of 'it' cannot be checked: RuntimeError: broken."
    )


def test_a_wrapper_can_read_its_parameters() -> None:
    made = wrapper(usual)
    assert dict(made.parameters) == {}
    tell(made, {"model": "m"})
    assert dict(made.parameters) == {"model": "m"}
    with pytest.raises(TypeError):
        cast(Any, made.parameters)["model"] = "n"


def test_what_a_wrapper_calls_parameters_itself_stays() -> None:
    class OfClass(BasePipelineWrapper):
        parameters = {"a": 1}  # noqa: RUF012 - as wrappers may have it

        def setup(self) -> None: ...

    class OfInstance(BasePipelineWrapper):
        def __init__(self) -> None:  # without the base's: wrappers may forget it
            self.parameters = {"b": 1}

        def setup(self) -> None: ...

    class Computed(BasePipelineWrapper):
        @property
        def parameters(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
            return {"c": 1}

        def setup(self) -> None: ...

    found: list[Any] = []
    for made in (OfClass(), OfInstance(), Computed()):
        tell(made, {"model": "m"})
        found.append(made.parameters)
    assert found == [{"a": 1}, {"b": 1}, {"c": 1}]
