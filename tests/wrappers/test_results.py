"""What a wrapper returns, as JSON."""

from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Annotated, Any

import pytest
from haystack.dataclasses import ChatMessage, Document
from pydantic import BaseModel, Field, create_model
from starlette.responses import FileResponse, Response

from hayserve.errors import DeployRefused, WrapperFailed
from hayserve.wrappers.base import SSEStream
from hayserve.wrappers.signature import Signature, signature_of


class Note(BaseModel):
    text: str = Field(alias="Text")
    parent: "Note | None" = None


def returning(annotation: Any) -> Signature:
    def run_api() -> Any: ...

    run_api.__annotations__ = {"return": annotation}
    return signature_of(run_api, name="x")


@pytest.mark.parametrize(
    ("annotation", "result", "body"),
    [
        (str, "ä", '{"result":"ä"}'.encode()),
        (int, "7", b'{"result":7}'),
        (None, None, b'{"result":null}'),
        (Any, float("nan"), b'{"result":null}'),
        (dict[str, float], {"a": float("inf")}, b'{"result":{"a":null}}'),
        (bytes, b"a", b'{"result":"a"}'),
        (str, "é\ud800", b'{"result":"\\u00e9\\ud800"}'),
        (Any, {"a": "\ud800", "b": float("nan")}, b'{"result":{"a": "\\ud800", "b": null}}'),
        (Note, {"Text": "a"}, b'{"result":{"Text":"a","parent":null}}'),
        (Any, Note(Text="a"), b'{"result":{"Text":"a","parent":null}}'),
        (Response | dict[str, int], {"a": "1"}, b'{"result":{"a":1}}'),
        (Generator, "not a stream", b'{"result":"not a stream"}'),
    ],
)
def test_a_result_is_coerced_to_what_is_declared(annotation: Any, result: Any, body: bytes) -> None:
    assert returning(annotation).encode(result) == body


@pytest.mark.parametrize("annotation", [Any, list[ChatMessage]])
def test_chat_messages_keep_the_form_that_hayhooks_gives_them(annotation: Any) -> None:
    assert returning(annotation).encode([ChatMessage.from_user("a", meta={"b": 1})]) == (
        b'{"result":[{"_role":"user","_content":[{"text":"a"}],"_name":null,"_meta":{"b":1}}]}'
    )


@pytest.mark.parametrize("annotation", [Any, Document, dict[str, Any] | Document])
def test_documents_are_dicts_of_their_fields(annotation: Any) -> None:
    assert returning(annotation).encode(Document(id="1", content="a", meta={"b": 1})) == (
        b'{"result":{"id":"1","content":"a","blob":null,"meta":{"b":1},"score":null,'
        b'"embedding":null,"sparse_embedding":null}}'
    )


def test_a_result_that_is_not_what_is_declared_fails_and_says_both() -> None:
    with pytest.raises(WrapperFailed) as caught:
        returning(int).encode("seven")
    assert caught.value.message == (
        "'run_api' returned 'seven' (str), which is not the int that it declares: "
        "Input should be a valid integer, unable to parse string as an integer."
    )
    with pytest.raises(WrapperFailed, match=r"not the Note that it declares: at \['Text'\]: Fi"):
        returning(Note).encode({})
    with pytest.raises(
        WrapperFailed, match=r"not the dict\[str, int\] that it declares: at \['a'\]"
    ):
        returning(dict[str, int]).encode({"a": "b"})


@pytest.mark.parametrize("result", [b"\xff", [object()], {"a": ValueError}])
def test_a_result_that_json_cannot_say_fails(result: Any) -> None:
    with pytest.raises(WrapperFailed, match="which cannot become JSON") as caught:
        returning(Any).encode(result)
    assert caught.value.hint


def test_a_result_that_contains_itself_fails() -> None:
    result: list[Any] = []
    result.append(result)

    with pytest.raises(WrapperFailed, match=r"cannot become JSON: .*Circular reference"):
        returning(Any).encode(result)


@pytest.mark.parametrize(
    "annotation",
    [
        Generator,
        Generator[str, None, None],
        AsyncGenerator[str, None],
        Iterator[str],
        SSEStream,
        FileResponse,
        Generator[str, None, None] | Response,
    ],
)
def test_streams_and_responses_have_no_schema(annotation: Any) -> None:
    assert returning(annotation).response_schema() == {}


def test_a_schema_holds_its_own_definitions() -> None:
    schema = returning(list[Note] | SSEStream).response_schema()

    assert schema["properties"] == {"result": {"type": "array", "items": {"$ref": "#/$defs/Note"}}}
    assert list(schema["$defs"]) == ["Note"]


def test_a_schema_says_that_numbers_which_json_does_not_have_become_null() -> None:
    def described(annotation: Any) -> Any:
        return returning(annotation).response_schema()["properties"]["result"]

    nullable = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert described(float) == nullable
    assert described(float | None) == nullable
    assert described(list[float]) == {"type": "array", "items": nullable}
    assert described(Annotated[float, Field(allow_inf_nan=False)]) == {"type": "number"}
    assert described(int) == {"type": "integer"}


def test_a_return_type_that_json_cannot_say_is_refused_at_deploy() -> None:
    class Engine:
        pass

    fields: dict[str, Any] = {"other": ("Missing", ...)}
    unfinished = create_model("Unfinished", **fields)

    with pytest.raises(DeployRefused, match="The return annotation Engine of 'run_api' cannot bec"):
        returning(Engine)
    with pytest.raises(DeployRefused, match="annotation Unfinished of 'run_api' cannot become"):
        returning(unfinished)
