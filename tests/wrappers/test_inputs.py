from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Optional

import pytest
from haystack import Document, Pipeline, component
from haystack.components.joiners import BranchJoiner
from haystack.dataclasses import ByteStream, ChatMessage
from pydantic import BaseModel, PydanticUserError

from hayserve.errors import InvalidInput, Problem
from hayserve.wrappers.inputs import coerce_pipeline_inputs


class Person(BaseModel):
    name: str
    age: int


@dataclass
class Place:
    city: str
    zip: int = 0


class Unknown:
    """Nothing that pydantic can build."""


@dataclass
class Opaque:
    thing: Unknown


@component
class Echo:
    def __init__(self, type_: Any, **more: Any) -> None:
        component.set_input_types(self, value=type_, **more)
        component.set_output_types(self, value=object)

    def run(self, **kwargs: Any) -> dict[str, Any]:
        return {"value": kwargs.get("value")}


def pipeline(**components: Any) -> Pipeline:
    built = Pipeline()
    for name, one in components.items():
        built.add_component(name, one)
    return built


def coerced(type_: Any, value: Any) -> Any:
    echo = pipeline(echo=Echo(type_))
    return coerce_pipeline_inputs(echo, {"echo": {"value": value}})["echo"]["value"]


ADA = Person(name="Ada", age=36)
BERLIN = Place(city="Berlin", zip=10115)
HELLO = ChatMessage.from_user("Hello")


@pytest.mark.parametrize(
    ("cls", "data", "expected"),
    [
        (ChatMessage, HELLO.to_dict(), HELLO),
        (ChatMessage, {"role": "user", "content": "Hello"}, HELLO),
        (Document, {"content": "A", "id": "1"}, Document(content="A", id="1")),
        (Person, {"name": "Ada", "age": 36}, ADA),
        (Place, {"city": "Berlin", "zip": 10115}, BERLIN),
    ],
)
def test_a_dict_becomes_an_object_of_the_inputs_class(cls: Any, data: Any, expected: Any) -> None:
    assert coerced(cls, data) == expected
    assert coerced(cls | None, data) == expected
    assert coerced(Optional[cls], data) == expected  # noqa: UP045  the older form of a union
    assert coerced(Annotated[cls, "described"], data) == expected
    assert coerced(list[cls], [data, data]) == [expected, expected]
    assert coerced(Sequence[cls], [data]) == [expected]
    assert coerced(list[cls] | str, [data]) == [expected]
    assert coerced(list[list[cls]], [[data]]) == [[expected]]


def test_only_the_dicts_of_a_list_are_replaced() -> None:
    stream = ByteStream(data=b"hello")
    sources = ["a.txt", stream.to_dict(), stream]
    assert coerced(list[str | ByteStream], sources) == ["a.txt", stream, stream]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (dict[str, Any], {"a": 1}),
        (dict[str, Person], {"ada": {"name": "Ada", "age": 36}}),
        (Any, {"a": 1}),
        (list[ChatMessage] | str, "Hello"),
        (list[ChatMessage], []),
        (Person, None),
        (Person, ADA),
        (Person | Place, ADA),
    ],
)
def test_everything_else_is_left_as_it_is(type_: Any, value: Any) -> None:
    assert coerced(type_, value) is value or coerced(type_, value) == value


def test_the_given_data_is_not_changed() -> None:
    data = {"echo": {"value": [HELLO.to_dict()]}}
    coerce_pipeline_inputs(pipeline(echo=Echo(list[ChatMessage])), data)
    assert data == {"echo": {"value": [HELLO.to_dict()]}}


def test_inputs_may_be_given_without_their_component() -> None:
    people = pipeline(echo=Echo(list[Person], count=int), other=Echo(str))
    data = {"value": [{"name": "Ada", "age": 36}], "count": 5, "unknown": [{"a": 1}]}
    assert coerce_pipeline_inputs(people, data) == {
        "value": [ADA],
        "count": 5,
        "unknown": [{"a": 1}],
    }


def test_a_dict_may_be_given_for_an_input_without_its_component() -> None:
    data = {"value": {"name": "Ada", "age": 36}}
    assert coerce_pipeline_inputs(pipeline(echo=Echo(Person)), data) == {"value": ADA}


def test_a_component_that_does_not_exist_is_left_to_the_pipeline() -> None:
    data = {"nobody": {"value": {"name": "Ada", "age": 36}}, "value": {"a": 1}}
    assert coerce_pipeline_inputs(pipeline(echo=Echo(Person)), data) == data


def test_no_inputs_stay_no_inputs() -> None:
    assert coerce_pipeline_inputs(pipeline(echo=Echo(Person)), {}) == {}


def test_inputs_that_are_connected_may_be_given_by_component() -> None:
    connected = pipeline(first=Echo(Person), second=Echo(Any, person=Person))
    connected.connect("first.value", "second.value")
    data = {"second": {"person": {"name": "Ada", "age": 36}}}
    assert coerce_pipeline_inputs(connected, data) == {"second": {"person": ADA}}


def test_a_variadic_input_takes_what_it_joins() -> None:
    joiner = pipeline(joiner=BranchJoiner(list[ChatMessage]))
    data = {"value": [HELLO.to_dict()], "other": 1}
    assert coerce_pipeline_inputs(joiner, data) == {"value": [HELLO], "other": 1}


def test_a_union_of_several_classes_is_ambiguous() -> None:
    with pytest.raises(ValueError, match="ambiguous") as refused:
        coerced(Person | Place, {"name": "Ada"})
    assert str(refused.value) == (
        "The input 'value' of component 'echo' is ambiguous: a dict could become any of Person, "
        "Place (echo.value). Pass an object that is already built."
    )


def test_an_input_of_several_components_with_different_classes_is_ambiguous() -> None:
    both = pipeline(first=Echo(Person), second=Echo(list[Place]))
    with pytest.raises(ValueError, match=r"Person, Place \(first.value, second.value\)"):
        coerce_pipeline_inputs(both, {"value": [{"name": "Ada"}]})


def test_an_input_of_several_components_with_one_class_is_not() -> None:
    both = pipeline(first=Echo(Person), second=Echo(list[Person]))
    data = {"value": [{"name": "Ada", "age": 36}]}
    assert coerce_pipeline_inputs(both, data) == {"value": [ADA]}


def test_what_does_not_fit_a_model_is_refused_by_component_and_input() -> None:
    with pytest.raises(InvalidInput) as refused:
        coerced(list[Person], [{"name": "Ada", "age": 36}, {"age": "old"}])
    assert refused.value.problems == (
        Problem(("echo", "value", 1, "name"), "Field required", "missing"),
        Problem(
            ("echo", "value", 1, "age"),
            "Input should be a valid integer, unable to parse string as an integer",
            "int_parsing",
        ),
    )
    assert refused.value.param == "echo.value.1.name"
    assert refused.value.message == (
        "The input 'value' of component 'echo' cannot be used: Field required (and 1 more)"
    )


def test_what_from_dict_does_not_take_is_refused_by_component_and_input() -> None:
    with pytest.raises(InvalidInput) as refused:
        coerced(list[ChatMessage], [{"role": "nobody", "content": "A"}])
    assert refused.value.problems == (
        Problem(("echo", "value", 0), "ValueError: 'nobody' is not a valid ChatRole", "from_dict"),
    )
    assert refused.value.message == (
        "The input 'value' of component 'echo' cannot be used: "
        "ValueError: 'nobody' is not a valid ChatRole"
    )


def test_the_problems_of_all_inputs_are_listed() -> None:
    both = pipeline(first=Echo(Person), second=Echo(Place))
    with pytest.raises(InvalidInput) as refused:
        coerce_pipeline_inputs(both, {"first": {"value": {"name": "A"}}, "second": {"value": {}}})
    assert [problem.loc for problem in refused.value.problems] == [
        ("first", "value", "age"),
        ("second", "value", "city"),
    ]


def test_a_class_that_nothing_can_build_is_not_blamed_on_the_caller() -> None:
    with pytest.raises(PydanticUserError):
        coerced(Opaque, {"thing": {}})
