import json
from typing import Any

import pytest

from hayserve.errors import InvalidInput, InvalidRequest, NotCapable
from hayserve.protocols.openai_chat.decode import chat_call, names_files, read_request
from protocols.openai_chat.served import Wrapper, deployed

USER = {"role": "user", "content": "Hello"}


class Chat(Wrapper):
    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return "Hi"


class Responding(Wrapper):
    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return "Hi"


class Api(Wrapper):
    def run_api(self) -> str:
        return "Hi"


def sent(**fields: Any) -> bytes:
    return json.dumps({"model": "it", "messages": [USER], **fields}).encode()


def test_the_wrapper_gets_everything_that_the_client_sent() -> None:
    tool = {"type": "function", "function": {"name": "weather"}}
    options = {"include_usage": True, "new": None}
    data = sent(temperature=0.5, tools=[tool], stream_options=options, user=None, n=1)
    method, arguments = chat_call(read_request(data), deployed("it", Chat()))
    assert method.name == "run_chat_completion"
    assert arguments == {
        "model": "it",
        "messages": [USER],
        "body": {
            "model": "it",
            "messages": [USER],
            "stream": False,
            "stream_options": options,
            "temperature": 0.5,
            "tools": [tool],
            "user": None,
            "n": 1,
        },
    }


@pytest.mark.parametrize("content", [None, "", "text", [{"type": "text", "text": "x"}], 1])
def test_the_content_of_a_message_is_the_wrappers_business(content: object) -> None:
    message = {"role": "user", "content": content, "extra": {"a": [1]}}
    assert read_request(sent(messages=[message])).messages == [message]


def test_null_is_as_good_as_nothing() -> None:
    request = read_request(sent(stream=None, stream_options=None, n=None))
    assert (request.body()["stream"], request.wants_usage) == (False, False)
    assert not read_request(sent(stream_options={})).wants_usage
    assert read_request(sent(stream_options={"include_usage": True})).wants_usage


@pytest.mark.parametrize(
    ("fields", "where", "kind"),
    [
        ({"messages": []}, "messages", "too_short"),
        ({"messages": "Hello"}, "messages", "list_type"),
        ({"messages": [USER, "Hello"]}, "messages.1", "dict_type"),
        ({"messages": [{"content": "Hello"}]}, "messages.0.role", "missing"),
        ({"messages": [USER, {"role": 1}]}, "messages.1.role", "missing"),
        ({"model": None}, "model", "string_type"),
        ({"stream": "often"}, "stream", "bool_parsing"),
        ({"stream_options": []}, "stream_options", "dict_type"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(fields: dict[str, Any], where: str, kind: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_request(sent(**fields))
    assert refused.value.param == where
    assert [problem.type for problem in refused.value.problems] == [kind]
    assert refused.value.message.startswith(f"The request cannot be used: '{where}': ")


def test_all_fields_that_are_missing_are_named() -> None:
    with pytest.raises(InvalidInput, match="'model': Field required; 'messages': Field required"):
        read_request(b"{}")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"text"', b"\xff"])
def test_a_body_that_is_not_a_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="The body is not a JSON object: ") as refused:
        read_request(data)
    assert refused.value.param is None


@pytest.mark.parametrize("n", [0, 2])
def test_one_request_gets_one_answer(n: int) -> None:
    with pytest.raises(InvalidRequest, match=f"'n' is {n}") as refused:
        read_request(sent(n=n))
    assert refused.value.param == "n"


@pytest.mark.parametrize("name", ["logprobs", "top_logprobs"])
def test_nobody_says_how_likely_words_are(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'{name}' cannot be given") as refused:
        read_request(sent(**{name: 1}))
    assert refused.value.param == name
    assert read_request(sent(**{name: 0})).model == "it"


def test_what_is_noted_of_a_completion_that_is_kept_is_looked_at() -> None:
    notes = {"metadata": {"topic": ["x"]}}
    with pytest.raises(InvalidRequest) as refused:
        read_request(sent(store=True, **notes))
    assert refused.value.param == "metadata"
    assert read_request(sent(**notes)).body()["metadata"] == {"topic": ["x"]}


@pytest.mark.parametrize(
    ("content", "names_file"),
    [
        ("file", False),
        (None, False),
        ([], False),
        (["file", {"type": "text", "text": "file"}], False),
        ([{"type": "text"}, {"type": "file", "file": {"file_id": "file-1"}}], True),
    ],
)
def test_a_file_is_looked_for_only_in_parts(content: Any, names_file: bool) -> None:
    message = {"role": "user", "content": content}
    assert names_files(read_request(sent(messages=[USER, message]))) is names_file


def test_a_deployment_that_only_responds_is_given_items() -> None:
    method, arguments = chat_call(read_request(sent(max_tokens=5)), deployed("it", Responding()))
    items = [{"type": "message", "role": "user", "content": "Hello"}]
    assert method.name == "run_response"
    assert arguments == {
        "model": "it",
        "input_items": items,
        "body": {"model": "it", "input": items, "stream": False, "max_output_tokens": 5},
    }


def test_a_deployment_that_cannot_chat_says_what_it_can() -> None:
    with pytest.raises(NotCapable, match="cannot chat") as refused:
        chat_call(read_request(sent()), deployed("it", Api()))
    assert refused.value.hint == "It answers POST /it/run instead."
