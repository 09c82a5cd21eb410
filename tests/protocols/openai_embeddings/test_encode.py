"""What clients read of the embeddings that a wrapper has made."""

import base64
import json
import struct
from array import array
from typing import Any

import numpy as np
import pytest
from openai.types import CreateEmbeddingResponse

from hayserve.errors import RunStopped, WrapperFailed
from hayserve.events import Event, RunCancelled, RunFailed, RunFinished, StreamOpened, Usage
from hayserve.protocols.openai_embeddings.encode import embeddings
from hayserve.protocols.openai_embeddings.schema import Asked
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method

METHOD = Method("run_embedding", print, is_async=False, wants_headers=False)
RUN = Run("0123", "it", METHOD, {})


def answer_to(*events: Event, texts: int = 2, in_base64: bool = False) -> dict[str, Any]:
    asked = Asked("alias", ["a"] * texts, in_base64, dimensions=None, body={})
    answer: dict[str, Any] = json.loads(embeddings(events, asked=asked, run=RUN))
    return answer


def test_each_text_has_its_embedding_in_its_place() -> None:
    answer = answer_to(RunFinished([[0.5, 1], [-2.25, 3]], usage=Usage(input_tokens=7)))
    CreateEmbeddingResponse.model_validate(answer, strict=True)
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]},
            {"object": "embedding", "index": 1, "embedding": [-2.25, 3.0]},
        ],
        "model": "alias",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def test_usage_that_nobody_counted_is_zero() -> None:
    answer = answer_to(RunFinished([[1.0], [2.0]]))
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


def test_base64_is_of_32_bit_numbers_the_lowest_byte_first() -> None:
    answer = answer_to(RunFinished([[0.5, -2.0, 0.1]]), texts=1, in_base64=True)
    [embedding] = answer["data"]
    assert base64.b64decode(embedding["embedding"]) == struct.pack("<3f", 0.5, -2.0, 0.1)


@pytest.mark.parametrize(
    "result",
    [
        ((1, 2), (3, 4)),
        np.array([[1, 2], [3, 4]], dtype=np.float32),
        [np.array([1.0, 2.0]), array("f", [3, 4])],
        [[np.float32(1), np.int64(2)], [3, 4]],
    ],
)
@pytest.mark.parametrize("in_base64", [False, True])
def test_whatever_holds_numbers_is_an_embedding(result: Any, in_base64: bool) -> None:
    first, second = (
        each["embedding"] for each in answer_to(RunFinished(result), in_base64=in_base64)["data"]
    )
    if in_base64:
        first, second = (list(struct.unpack("<2f", base64.b64decode(x))) for x in (first, second))
    assert (first, second) == ([1.0, 2.0], [3.0, 4.0])


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "no list of lists of numbers: 'NoneType' object is not iterable"),
        ("ab", "no list of lists of numbers: cannot use a str"),
        ([1.0, 2.0], "no list of lists of numbers: 'float' object is not iterable"),
        ([["a"], ["b"]], "no list of lists of numbers: must be real number, not str"),
        ({"a": [1.0], "b": [2.0]}, "no list of lists of numbers: cannot use a str"),
        ([b"12345678", b"12345678"], "no list of lists of numbers: bytes are no list"),
        ([[1.0], []], "an embedding has to be of finite numbers"),
        ([[1.0], [float("nan")]], "an embedding has to be of finite numbers"),
        ([[1.0], [float("inf")]], "an embedding has to be of finite numbers"),
        ([[1.0], [1e300]], "an embedding has to be of finite numbers"),
        ([[1.0], [10**400]], "no list of lists of numbers: int too large"),
        ([[1.0]], "1 embeddings for 2 texts"),
        ([[1.0]] * 3, "3 embeddings for 2 texts"),
    ],
)
def test_what_is_no_list_of_embeddings_is_the_wrappers_failure(result: Any, said: str) -> None:
    with pytest.raises(WrapperFailed) as failed:
        answer_to(RunFinished(result))
    assert failed.value.message.startswith("'it' failed in run_embedding: it returned ")
    assert said in failed.value.message


def test_a_stream_is_no_list_of_embeddings() -> None:
    with pytest.raises(WrapperFailed, match="no list of lists of numbers"):
        answer_to(StreamOpened(), RunFinished())


def test_a_run_that_did_not_end_well_has_no_embeddings() -> None:
    error = WrapperFailed("It broke.")
    with pytest.raises(WrapperFailed) as raised:
        answer_to(RunFailed(error))
    assert raised.value is error
    with pytest.raises(RunStopped):
        answer_to(RunCancelled())
