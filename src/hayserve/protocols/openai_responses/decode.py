"""Reads requests for a response and says which method of a deployment answers them, with what."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable
from hayserve.protocols.openai_request import refusal
from hayserve.protocols.openai_responses.schema import ResponseRequest
from hayserve.protocols.openai_responses.through_chat import chat_body, chat_messages
from hayserve.wrappers.capabilities import Method


def decode(content: bytes) -> ResponseRequest:
    """Read the body of a request.

    Raises:
        InvalidInput: It is not JSON or a field is wrong.
        InvalidRequest: It asks for something that is not served.
    """
    try:
        request = ResponseRequest.model_validate_json(content)
    except ValidationError as error:
        hint = "Send an object with `model` and `input`, in UTF-8."
        raise refusal(error, hint=hint) from error
    _refuse_what_is_not_served(request)
    return request


def _refuse_what_is_not_served(request: ResponseRequest) -> None:
    """A client that is not told would go on without its history, or wait for nothing."""
    extra: Mapping[str, Any] = request.model_extra or {}
    asked = {
        "previous_response_id": request.previous_response_id,
        "conversation": extra.get("conversation"),
        "background": extra.get("background"),
    }
    for param, value in asked.items():
        if value:
            raise InvalidRequest(
                f"This server does not keep responses: {param!r} cannot be used.",
                hint="Send the whole conversation as `input` and wait for the answer.",
                param=param,
            )


def response_call(
    request: ResponseRequest, deployment: Deployment
) -> tuple[Method, dict[str, Any]]:
    """What answers `request`, and with what: `run_response`, or else the chat method.

    Raises:
        NotCapable: The deployment has neither.
        InvalidRequest: The chat method would answer, and the input has no form in a chat.
    """
    method = deployment.can.response or deployment.can.chat
    if method is None:
        raise NotCapable(
            f"{deployment.name!r} does not answer requests for a response.",
            hint="Give its wrapper a `run_response` or a `run_chat_completion`.",
            param="model",
        )
    arguments = _response_arguments if deployment.can.response else _chat_arguments
    return method, {"model": request.model, **arguments(request)}


def _response_arguments(request: ResponseRequest) -> dict[str, Any]:
    return {"input_items": input_items(request), "body": request.model_dump()}


def _chat_arguments(request: ResponseRequest) -> dict[str, Any]:
    messages = chat_messages(input_items(request), instructions=request.instructions)
    return {"messages": messages, "body": chat_body(request.model_dump(), messages)}


def input_items(request: ResponseRequest) -> list[dict[str, Any]]:
    """The input as items; a plain text is one user message."""
    if isinstance(request.input, str):
        return [{"type": "message", "role": "user", "content": request.input}]
    return request.input or []
