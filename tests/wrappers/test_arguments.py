"""What a request's JSON becomes, and what is said where it does not fit."""

import datetime
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Annotated, Any, Literal

import pytest
from haystack.dataclasses import ChatMessage, Document
from pydantic import AfterValidator, BaseModel, Field, create_model

from hayserve.errors import (
    DeployRefused,
    InvalidInput,
    InvalidRequest,
    Problem,
    WrapperFailed,
)
from hayserve.wrappers.signature import signature_of


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int
    names: list[str] = []


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: int


class Engine:
    """A class that JSON says nothing about."""


def run_api(
    question: str,
    *,
    top_k: int = 3,
    when: datetime.date | None = None,
    tags: list[str] = ["a"],  # noqa: B006
) -> None: ...


def test_values_are_coerced_and_unknown_fields_ignored() -> None:
    arguments = signature_of(run_api, name="x").arguments(
        b'{"question": "Why?", "top_k": "7", "when": "2026-01-02", "unknown": 1}'
    )

    assert arguments == {
        "question": "Why?",
        "top_k": 7,
        "when": datetime.date(2026, 1, 2),
        "tags": ["a"],
    }


def test_a_default_is_not_shared_between_requests() -> None:
    signature = signature_of(run_api, name="x")

    signature.arguments(b'{"question": "a"}')["tags"].append("b")

    assert signature.arguments(b'{"question": "a"}')["tags"] == ["a"]


@pytest.mark.parametrize("body", [b"", b" \n", b"{}"])
def test_an_empty_body_gives_the_defaults(body: bytes) -> None:
    def defaults(top_k: int = 3) -> None: ...
    def nothing() -> None: ...

    assert signature_of(defaults, name="x").arguments(body) == {"top_k": 3}
    assert signature_of(nothing, name="x").arguments(body) == {}


def test_every_field_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        signature_of(run_api, name="x").arguments(b'{"top_k": "many", "tags": ["a", 1]}')

    assert caught.value.problems == (
        Problem(("body", "question"), "Field required", "missing"),
        Problem(
            ("body", "top_k"),
            "Input should be a valid integer, unable to parse string as an integer",
            "int_parsing",
        ),
        Problem(("body", "tags", 1), "Input should be a valid string", "string_type"),
    )
    assert "question: Field required; top_k: Input" in caught.value.message
    assert caught.value.param == "body.question"


@pytest.mark.parametrize("body", [b"{", b"[1]", b"null", b'"\xff"'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="The body is not a JSON object") as caught:
        signature_of(run_api, name="x").arguments(body)
    assert not isinstance(caught.value, InvalidInput)


def test_values_that_were_parsed_already_are_taken() -> None:
    assert signature_of(run_api, name="x").arguments_from({"question": "a", "tags": ()}) == {
        "question": "a",
        "top_k": 3,
        "when": None,
        "tags": [],
    }


def test_a_type_that_json_cannot_fill_is_refused_at_deploy() -> None:
    def run_engine(text: str, engine: Engine) -> None: ...

    with pytest.raises(
        DeployRefused, match=r"'engine' of 'run_engine' has the type .*Engine"
    ) as caught:
        signature_of(run_engine, name="x")
    assert caught.value.param == "engine"


def test_a_model_that_names_a_missing_class_is_refused_at_deploy() -> None:
    fields: dict[str, Any] = {"other": ("Missing", ...)}
    unfinished = create_model("Unfinished", **fields)

    def run_unfinished(x: Any = None) -> None: ...

    run_unfinished.__annotations__["x"] = unfinished

    with pytest.raises(
        DeployRefused, match=r"'x' of 'run_unfinished' .* name 'Missing' is not def"
    ):
        signature_of(run_unfinished, name="x")


def test_a_type_that_json_cannot_fill_may_have_a_default() -> None:
    engine = Engine()

    def run_engine(engine: Engine = engine, hook: Callable[[], None] | None = None) -> None: ...

    signature = signature_of(run_engine, name="x")

    assert signature.arguments(b"{}")["hook"] is None
    assert signature.arguments_from({"engine": engine})["engine"] is engine
    assert signature.request_schema()["properties"]["engine"] == {
        "title": "Engine",
        "description": "Parameter 'engine'",
    }
    with pytest.raises(InvalidInput) as caught:
        signature.arguments(b'{"engine": {}}')
    assert [problem.msg for problem in caught.value.problems] == [
        "Input cannot be given in a request; leave it out"
    ]


def test_a_validator_of_the_wrapper_that_breaks_is_its_own_failure() -> None:
    def broken(value: Any) -> Any:
        raise KeyError(value)

    def run_broken(x: Annotated[str, AfterValidator(broken)]) -> None: ...

    with pytest.raises(WrapperFailed, match=r"'run_broken' could not be checked: KeyError: 'a'\."):
        signature_of(run_broken, name="x").arguments(b'{"x": "a"}')


@pytest.mark.parametrize(
    ("annotation", "given", "places"),
    [
        (str | list[str], 3, [("x",), ("x",)]),
        (list[ChatMessage] | str, 3, [("x",), ("x",)]),
        (Document | int, "a", [("x",), ("x",)]),
        (Annotated[str, AfterValidator(str.upper)] | int, [], [("x",), ("x",)]),
        (Cat | str, {"kind": "cat", "lives": 9, "names": [1]}, [("x", "names", 0), ("x",)]),
        (Cat | str, {"kind": "cat"}, [("x", "lives"), ("x",)]),
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog"}, [("x", "tricks")]),
        (dict[str, int], {"str": "a", "list[int]": "b"}, [("x", "str"), ("x", "list[int]")]),
        (dict[int, int], {"a": 1}, [("x", "a")]),
        (tuple[int, str], [1], [("x", 1)]),
    ],
)
def test_a_place_is_told_in_the_words_of_the_input(
    annotation: Any, given: Any, places: list[tuple[str | int, ...]]
) -> None:
    def run_api(x: Any) -> None: ...

    run_api.__annotations__["x"] = annotation
    with pytest.raises(InvalidInput) as caught:
        signature_of(run_api, name="x").arguments_from({"x": given})
    told = [problem.loc for problem in caught.value.problems]
    assert told[: len(places)] == [("body", *place) for place in places]


def test_members_of_a_union_that_agree_are_told_once() -> None:
    def run_api(x: Cat | Dog) -> None: ...

    with pytest.raises(InvalidInput) as caught:
        signature_of(run_api, name="x").arguments(b'{"x": 3}')
    assert [(problem.loc, problem.msg) for problem in caught.value.problems] == [
        (("body", "x"), "Input should be an object")
    ]
    assert caught.value.message == "The input cannot be used. x: Input should be an object."


def test_what_it_takes_is_told_to_whoever_sends_something_else() -> None:
    with pytest.raises(InvalidInput) as caught:
        signature_of(run_api, name="x").arguments(b"{}")
    assert caught.value.hint == "It takes: question (required), top_k, when, tags."


def test_of_many_parameters_some_are_told() -> None:
    fields = inspect.Signature(
        [Parameter(f"p{number}", Parameter.KEYWORD_ONLY) for number in range(13)]
    )

    def run_api(**values: Any) -> None: ...

    vars(run_api)["__signature__"] = fields
    with pytest.raises(InvalidInput) as caught:
        signature_of(run_api, name="x").arguments(b"{}")
    assert caught.value.hint.endswith(", p11 (required), ….")
