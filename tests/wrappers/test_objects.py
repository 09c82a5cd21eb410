"""Haystack objects and models in a request."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import pytest
from haystack.dataclasses import ByteStream, ChatMessage, Document, GeneratedAnswer, ToolCall
from haystack.tools.tool import Tool
from haystack.utils import Secret
from pydantic import BaseModel, ConfigDict, Field, RootModel

from hayserve.errors import DeployRefused, InvalidInput
from hayserve.wrappers.objects import is_made_from_dict
from hayserve.wrappers.signature import Signature, signature_of


def taking(annotation: Any) -> Signature:
    def run_api(x: Any) -> None: ...

    run_api.__annotations__ = {"x": annotation}
    return signature_of(run_api, name="x")


def read(annotation: Any, value: Any) -> Any:
    return taking(annotation).arguments_from({"x": value})["x"]


class Point:
    """A plain class that knows how to be made."""

    def __init__(self, x: int) -> None:
        self.x = x

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**data)


@dataclass
class Range:
    first: int
    last: int = 0


class Note(BaseModel):
    text: str


class Query(BaseModel):
    """A question about documents."""

    model_config = ConfigDict(extra="allow")

    documents: list[Document] = Field(alias="docs", min_length=1)
    history: list[ChatMessage] = []
    top_k: int = 3
    sub: "list[Query]" = []


class Conversation(RootModel[list[ChatMessage]]):
    pass


def test_models_and_dataclasses_arrive_as_objects() -> None:
    assert read(Note, {"text": "a"}) == Note(text="a")
    assert read(Range, {"first": "1"}) == Range(first=1)
    assert read(dict[str, list[Note] | None], {"a": [{"text": "b"}], "c": None}) == {
        "a": [Note(text="b")],
        "c": None,
    }


def test_a_document_takes_its_flat_form_and_the_nested_one() -> None:
    expected = Document(content="a", meta={"page": 1}, blob=ByteStream(b"x"))

    assert read(Document, expected.to_dict()) == expected
    assert read(Document, expected.to_dict(flatten=False)) == expected
    assert read(list[Document], [{"content": "a"}]) == [Document(content="a")]
    assert read(Document | None, None) is None
    assert read(Document, expected) is expected


def test_a_document_that_does_not_fit_says_which_field() -> None:
    with pytest.raises(InvalidInput) as caught:
        taking(list[Document]).arguments(b'{"x": [{"content": 3}, 4]}')

    assert [(problem.loc, problem.type) for problem in caught.value.problems] == [
        (("body", "x", 0, "content"), "string_type"),
        (("body", "x", 1), "object_type"),
    ]


def test_a_dataclass_whose_from_dict_wants_another_form_is_read_by_its_fields() -> None:
    answer = read(GeneratedAnswer, {"data": "a", "query": "b", "documents": []})

    assert answer == GeneratedAnswer(data="a", query="b", documents=[])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"role": "user", "content": "a"}, ChatMessage.from_user("a")),
        ({"role": "user", "content": "a", "name": "n"}, ChatMessage.from_user("a", name="n")),
        ({"role": "system", "content": ""}, ChatMessage.from_system("")),
        ({"role": "developer", "content": "a"}, ChatMessage.from_system("a")),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
            ChatMessage.from_user("a"),
        ),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
            ChatMessage.from_assistant(tool_calls=[ToolCall("f", {"a": 1}, id="1")]),
        ),
        (
            {"role": "tool", "content": "a", "tool_call_id": "1"},
            ChatMessage.from_tool("a", origin=ToolCall("", {}, id="1")),
        ),
        (ChatMessage.from_user("a", meta={"b": 1}).to_dict(), None),
        ({"role": "user", "content": [{"text": "a"}]}, ChatMessage.from_user("a")),
        ({"_role": "user", "_content": [{"text": "a"}]}, ChatMessage.from_user("a")),
    ],
)
def test_a_chat_message_takes_openais_form_and_haystacks(
    value: dict[str, Any], message: ChatMessage | None
) -> None:
    assert read(list[ChatMessage], [value]) == [message or ChatMessage.from_dict(value)]


def test_a_chat_message_that_does_not_fit_says_why() -> None:
    with pytest.raises(InvalidInput) as caught:
        taking(list[ChatMessage]).arguments(b'{"x": [{"role": "king", "content": "a"}, "b"]}')

    assert [(problem.loc, problem.msg) for problem in caught.value.problems] == [
        (
            ("body", "x", 0),
            "Input makes no ChatMessage: ValueError: Unsupported role: king",
        ),
        (("body", "x", 1), "Input should be an object"),
    ]


def test_a_chat_messages_schema_is_the_form_that_clients_send() -> None:
    schema = taking(ChatMessage).request_schema()["properties"]["x"]

    assert schema["required"] == ["role"]
    assert list(schema["properties"]) == ["role", "content", "name"]


def test_a_class_of_the_wrapper_is_made_with_its_from_dict() -> None:
    point = read(Annotated[Point, "meta"] | Literal["origin"], {"x": 1})

    assert isinstance(point, Point)
    assert point.x == 1
    assert read(tuple[Point, ...], ({"x": 1},))[0].x == 1
    assert taking(Point).request_schema()["properties"]["x"]["type"] == "object"
    with pytest.raises(InvalidInput, match="Input makes no Point: TypeError"):
        read(Point, {"y": 1})


def test_haystack_objects_inside_a_model_are_objects_and_the_model_is_itself() -> None:
    value = {
        "docs": [{"content": "a", "page": 1}],
        "history": [{"role": "user", "content": "b"}],
        "more": True,
    }

    query = read(Query, value)

    assert type(query) is Query
    assert query == Query(
        docs=[Document(content="a", meta={"page": 1})],
        history=[ChatMessage.from_user("b")],
        more=True,  # pyright: ignore[reportCallIssue]
    )
    assert read(list[Query], [query])[0] is query
    assert read(Conversation, [{"role": "user", "content": "b"}]) == Conversation(
        [ChatMessage.from_user("b")]
    )


def test_a_model_keeps_its_rules_where_it_holds_haystack_objects() -> None:
    with pytest.raises(InvalidInput) as caught:
        taking(dict[str, Query] | None).arguments(b'{"x": {"a": {"docs": [], "top_k": "b"}}}')

    assert [(problem.loc, problem.type) for problem in caught.value.problems] == [
        (("body", "x", "a", "docs"), "too_short"),
        (("body", "x", "a", "top_k"), "int_parsing"),
    ]


def test_what_runs_code_or_reads_secrets_is_not_made_from_a_request() -> None:
    assert is_made_from_dict(Document)
    assert not is_made_from_dict(Tool)
    assert not is_made_from_dict(Secret)
    assert not is_made_from_dict(Note)
    assert not is_made_from_dict(Range)
    with pytest.raises(DeployRefused):
        taking(Secret)
