"""Writes the embeddings that a wrapper has made as OpenAI's clients read them.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

import struct
from array import array
from base64 import b64encode
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, cast

from hayserve.errors import WrapperFailed
from hayserve.events import Event, RunFinished, Usage
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_embeddings.schema import Asked
from hayserve.protocols.openai_error import failure_of
from hayserve.runs.run import Run

Vector = Sequence[float]


def embeddings(events: Sequence[Event], *, asked: Asked, run: Run) -> bytes:
    """The answer.

    Args:
        events: All events of the run, the closing event last.
        asked: The request.
        run: The run.

    Raises:
        HayserveError: The run failed, or what the wrapper returned is no list of embeddings.
    """
    closing = events[-1]
    failure = failure_of(closing)
    if failure is not None:
        raise failure
    assert isinstance(closing, RunFinished)
    written = _base64 if asked.in_base64 else _floats
    # A stream is no list, whatever it says.
    result = closing.result if len(events) == 1 else None
    vectors = _vectors_in(result, count=len(asked.texts), run=run)
    return to_json(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": written(vector)}
                for index, vector in enumerate(vectors)
            ],
            "model": asked.model,
            "usage": _usage_of(closing.usage or Usage()),
        }
    )


def _usage_of(usage: Usage) -> dict[str, int]:
    return {"prompt_tokens": usage.input_tokens, "total_tokens": usage.total_tokens}


def _floats(vector: Vector) -> list[float]:
    return list(vector)


def _base64(vector: Vector) -> str:
    """As 32-bit numbers, the lowest byte first, whatever the machine has."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _vectors_in(result: Any, *, count: int, run: Run) -> list[Vector]:
    try:
        vectors = [_vector(each) for each in result]
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_embeddings(run, f"no list of lists of numbers: {error}") from error
    if len(vectors) != count:
        raise _no_embeddings(run, f"{len(vectors)} embeddings for {count} texts")
    return vectors


def _vector(value: object) -> Vector:
    """The numbers of a list, an array or a tensor; each of them fits into 32 bits."""
    if isinstance(value, bytes | bytearray):
        raise TypeError("bytes are no list")
    numbers = array("d", cast(Iterable[float], value))
    if not numbers or not isfinite(sum(array("f", numbers))):
        raise ValueError("an embedding has to be of finite numbers")
    return numbers


def _no_embeddings(run: Run, what: str) -> WrapperFailed:
    return WrapperFailed(
        f"{run.deployment!r} failed in {run.method.name}: it returned {what}.",
        hint="Return one list of numbers for each text.",
    )
