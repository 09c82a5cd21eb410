"""Reads requests for a response and says which method of a deployment answers them, with what."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable
from hayserve.protocols.openai_request import refusal
from hayserve.protocols.openai_responses.parameters import check_parameters
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
    check_parameters(request.model_dump())
    _refuse_what_contradicts_itself(request)
    return request


def _refuse_what_contradicts_itself(request: ResponseRequest) -> None:
    if request.background and not request.is_kept:
        raise InvalidRequest(
            "A response that is made in the background has to be kept.",
            hint="Leave out `store: false`, or `background`.",
            param="background",
        )
    if request.conversation and not request.is_kept:
        raise InvalidRequest(
            "A response that belongs to a conversation has to be kept.",
            hint="Leave out `store: false`, or send all items as `input` and no `conversation`.",
            param="store",
        )
    if request.conversation and request.previous_response_id:
        raise InvalidRequest(
            "A response belongs to a conversation or continues another one, not both.",
            hint="Leave out `previous_response_id` or `conversation`.",
            param="previous_response_id",
        )


def response_call(
    request: ResponseRequest, deployment: Deployment, items: Sequence[Mapping[str, Any]]
) -> tuple[Method, dict[str, Any]]:
    """What answers `request`, and with what: `run_response`, or else the chat method.

    Args:
        request: The request.
        deployment: What it is for.
        items: The whole conversation, the request's own items last.

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
    return method, {"model": request.model, **arguments(request, list(map(dict, items)))}


def _response_arguments(request: ResponseRequest, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"input_items": items, "body": request.model_dump()}


def _chat_arguments(request: ResponseRequest, items: list[dict[str, Any]]) -> dict[str, Any]:
    messages = chat_messages(items, instructions=request.instructions)
    return {"messages": messages, "body": chat_body(request.model_dump(), messages)}


def agent_body(request: ResponseRequest) -> dict[str, Any]:
    """What `request` asks of an agent, in the form of a chat completion."""
    functions = [tool for tool in request.tools or () if tool.get("type") == "function"]
    body = {**request.model_dump(), "tools": functions}
    return chat_body(body, ())


def input_items(request: ResponseRequest) -> list[dict[str, Any]]:
    """The input as items; a plain text is one user message."""
    if isinstance(request.input, str):
        return [{"type": "message", "role": "user", "content": request.input}]
    return request.input or []
