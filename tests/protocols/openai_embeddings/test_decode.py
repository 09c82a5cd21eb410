"""What a request for embeddings asks for, and what is wrong with it."""

import json
from typing import Any

import pytest

from hayserve.errors import InvalidRequest, NotCapable
from hayserve.protocols.openai_embeddings.decode import embedding_call, read_request
from hayserve.protocols.openai_embeddings.schema import Asked
from protocols.openai_embeddings.served import Lengths, Wrapper, deployed


class Sized(Wrapper):
    def run_embedding(
        self, model: str, texts: list[str], body: dict[str, Any], *, dimensions: int = 0
    ) -> list[list[float]]:
        raise NotImplementedError


class Api(Wrapper):
    def run_api(self) -> str:
        raise NotImplementedError


def asked(**fields: Any) -> Asked:
    return read_request(json.dumps({"model": "it", "input": "a", **fields}).encode())


@pytest.mark.parametrize(("given", "texts"), [("a", ["a"]), (["a", "b"], ["a", "b"])])
def test_one_text_is_a_list_of_one(given: Any, texts: list[str]) -> None:
    assert asked(input=given).texts == texts


@pytest.mark.parametrize(
    ("encoding", "in_base64"), [("float", False), ("base64", True), (None, False)]
)
def test_numbers_are_written_as_asked(encoding: str | None, in_base64: bool) -> None:
    assert asked(encoding_format=encoding).in_base64 is in_base64


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "is neither a text nor a list of texts"),
        (None, "is neither a text nor a list of texts"),
        ([], "has 0 texts, and has to have 1 to 2048"),
        (["a"] * 2049, "has 2049 texts, and has to have 1 to 2048"),
        ("", "has no text at index 0"),
        (["a", ""], "has no text at index 1"),
        (["a", None], "has no text at index 1"),
        ([1, 2], "has tokens, and deployments embed texts"),
        ([[1, 2]], "has tokens, and deployments embed texts"),
    ],
)
def test_an_input_that_is_no_text_is_refused(given: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(input=given)
    assert refused.value.message == f"'input' {said}."
    assert refused.value.param == "input"


def test_who_sends_tokens_is_told_how_to_send_texts() -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(input=[1])
    assert "check_embedding_ctx_length=False" in refused.value.hint


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"user": 3}, "user"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="The body is not a JSON object"):
        read_request(body)


def test_the_wrapper_gets_all_that_was_sent() -> None:
    request = asked(user="me", mood="good", encoding_format="base64")
    method, arguments = embedding_call(request, deployed(Lengths()))
    assert method.name == "run_embedding"
    assert arguments == {
        "model": "it",
        "texts": ["a"],
        "body": {
            "model": "it",
            "input": "a",
            "user": "me",
            "mood": "good",
            "encoding_format": "base64",
        },
    }


def test_dimensions_are_for_a_method_that_takes_them() -> None:
    _, arguments = embedding_call(asked(dimensions=8), deployed(Sized()))
    assert arguments["dimensions"] == 8
    _, arguments = embedding_call(asked(), deployed(Sized()))
    assert "dimensions" not in arguments


def test_dimensions_are_refused_where_no_method_takes_them() -> None:
    with pytest.raises(InvalidRequest) as refused:
        embedding_call(asked(dimensions=8), deployed(Lengths()))
    assert refused.value.message == (
        "'dimensions' is 8, and 'it' does not let callers choose how long embeddings are."
    )
    assert refused.value.param == "dimensions"


def test_a_deployment_that_cannot_embed_says_so() -> None:
    with pytest.raises(NotCapable) as refused:
        embedding_call(asked(), deployed(Api()))
    assert str(refused.value) == (
        "'it' defines no `run_embedding`, so it cannot embed. It can: run_api."
    )
    assert refused.value.param == "model"
