"""What clients send to `POST /v1/embeddings`.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypedDict

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 2048}


class EmbeddingsRequest(BaseModel):
    """The body of a request; the wrapper gets its other fields too.

    The `input` is looked at by itself: to say what is wrong with it takes more words.
    """

    model_config = ConfigDict(extra="allow")

    model: str
    input: Annotated[Any, WithJsonSchema({"anyOf": [_TEXT, _TEXTS]})]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(gt=0)] | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Args:
        model: Of which deployment.
        texts: What to embed.
        in_base64: Whether embeddings are written in base64, not as lists of numbers.
        dimensions: How long they are to be; None for as long as they are.
        body: All that the client sent.
    """

    model: str
    texts: Sequence[str]
    in_base64: bool
    dimensions: int | None
    body: Mapping[str, Any]


class Embedding(TypedDict):
    """The embedding of a text: numbers, or the same as 32-bit numbers in base64."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(TypedDict):
    """How many tokens were used."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(TypedDict):
    """The embeddings, in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
