"""Reads a request for embeddings into the call that it asks for.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from typing import Any, cast

from pydantic import ValidationError

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable
from hayserve.protocols.openai_embeddings.schema import Asked, EmbeddingsRequest
from hayserve.protocols.openai_request import refusal
from hayserve.wrappers.capabilities import Method

MOST_TEXTS = 2048


def read_request(data: bytes) -> Asked:
    """The request in the body `data`.

    Raises:
        InvalidInput: Some fields are missing or of the wrong type.
        InvalidRequest: It is not a JSON object, or its input is no text.
    """
    try:
        request = EmbeddingsRequest.model_validate_json(data)
    except ValidationError as error:
        hint = "Send an object with `model` and `input`, in UTF-8."
        raise refusal(error, hint=hint) from error
    return Asked(
        model=request.model,
        texts=_texts_in(request.input),
        in_base64=request.encoding_format == "base64",
        dimensions=request.dimensions,
        body=request.model_dump(exclude_unset=True),
    )


def _texts_in(value: object) -> list[str]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise _unfit("is neither a text nor a list of texts")
    texts = cast(list[object], value)
    if not 0 < len(texts) <= MOST_TEXTS:
        raise _unfit(f"has {len(texts)} texts, and has to have 1 to {MOST_TEXTS}")
    for index, text in enumerate(texts):
        if isinstance(text, int | list):
            raise _unfit(
                "has tokens, and deployments embed texts",
                hint="Send texts. LangChain does so with `check_embedding_ctx_length=False`.",
            )
        if not (isinstance(text, str) and text):
            raise _unfit(f"has no text at index {index}")
    return cast(list[str], texts)


def _unfit(why: str, *, hint: str = "Send a text, or a list of texts.") -> InvalidRequest:
    return InvalidRequest(f"'input' {why}.", hint=hint, param="input")


def embedding_call(asked: Asked, deployment: Deployment) -> tuple[Method, dict[str, Any]]:
    """What answers a request, and with what.

    Raises:
        NotCapable: The deployment cannot embed.
        InvalidRequest: It does not let callers choose how long embeddings are.
    """
    method = deployment.can.embedding
    if method is None:
        raise NotCapable(
            f"{deployment.name!r} defines no `run_embedding`, so it cannot embed.",
            hint=f"It can: {', '.join(deployment.can.names())}.",
            param="model",
        )
    arguments = {"model": asked.model, "texts": [*asked.texts], "body": {**asked.body}}
    if asked.dimensions is None:
        return method, arguments
    if not method.takes_dimensions:
        raise InvalidRequest(
            f"'dimensions' is {asked.dimensions}, and {deployment.name!r} does not let callers "
            "choose how long embeddings are.",
            hint="Leave it out, or give its `run_embedding` a parameter `dimensions`.",
            param="dimensions",
        )
    return method, {**arguments, "dimensions": asked.dimensions}
