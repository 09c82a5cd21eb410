"""Reads a chat completion request into the call that it asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable, Problem
from hayserve.protocols.openai_chat.schema import ChatRequest
from hayserve.protocols.openai_request import refusal, refusal_of
from hayserve.wrappers.capabilities import Capabilities, Method


def read_request(data: bytes) -> ChatRequest:
    """The request in the body `data`.

    Raises:
        InvalidRequest: It is not a JSON object, or asks for what no deployment can do.
        InvalidInput: Some fields are missing or of the wrong type.
    """
    try:
        request = ChatRequest.read(data)
    except ValidationError as error:
        hint = "Send an object with `model` and `messages`, in UTF-8."
        raise refusal(error, hint=hint) from error
    for message in request.messages:
        if not isinstance(message.get("role"), str):
            raise refusal_of(_roleless(request.messages))
    if request.n is not None and request.n != 1:
        raise InvalidRequest(
            f"'n' is {request.n}, and a deployment gives exactly one answer to a request.",
            hint="Leave it out, and send as many requests as you want answers.",
            param="n",
        )
    return request


def _roleless(messages: Sequence[Mapping[str, Any]]) -> list[Problem]:
    return [
        Problem(("messages", index, "role"), "A message needs a role, which is a string", "missing")
        for index, message in enumerate(messages)
        if not isinstance(message.get("role"), str)
    ]


def chat_call(request: ChatRequest, deployment: Deployment) -> tuple[Method, dict[str, Any]]:
    """The chat method of `deployment` and what `request` calls it with.

    Raises:
        NotCapable: The wrapper defines no chat method.
    """
    method = deployment.can.chat
    if method is None:
        raise NotCapable(
            f"{deployment.name!r} defines no `run_chat_completion`, so it cannot chat.",
            hint=f"It answers {_endpoint_of(deployment.name, deployment.can)} instead.",
            param="model",
        )
    return method, {
        "model": request.model,
        "messages": request.messages,
        "body": request.body(),
    }


def _endpoint_of(name: str, can: Capabilities) -> str:
    return "POST /v1/responses" if can.response else f"POST /{name}/run"
