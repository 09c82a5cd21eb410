"""Reads a chat completion request into the call that it asks for."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable, Problem
from hayserve.protocols.notes import notes_in
from hayserve.protocols.openai_chat.schema import ChatRequest
from hayserve.protocols.openai_chat.through_response import input_items, response_body
from hayserve.protocols.openai_request import answers_instead, refusal, refusal_of
from hayserve.wrappers.capabilities import Method


def read_request(data: bytes) -> ChatRequest:
    """The request in the body `data`.

    Raises:
        InvalidRequest: It is not a JSON object, asks for what no deployment can do, or notes
            of a completion that is to be kept what cannot be noted.
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
    for param in ("logprobs", "top_logprobs"):
        if request.fields.get(param):
            raise InvalidRequest(
                f"{param!r} cannot be given: deployments do not say how likely their words are.",
                hint="Leave it out.",
                param=param,
            )
    if request.is_stored:
        notes_in(request.fields)
    return request


def names_files(request: ChatRequest) -> bool:
    """Whether a message names a file instead of having it."""
    return any(
        isinstance(part, dict) and cast(Mapping[str, Any], part).get("type") == "file"
        for message in request.messages
        if isinstance(content := message.get("content"), list)
        for part in cast(list[object], content)
    )


def _roleless(messages: Sequence[Mapping[str, Any]]) -> list[Problem]:
    return [
        Problem(("messages", index, "role"), "A message needs a role, which is a string", "missing")
        for index, message in enumerate(messages)
        if not isinstance(message.get("role"), str)
    ]


def chat_call(request: ChatRequest, deployment: Deployment) -> tuple[Method, dict[str, Any]]:
    """What answers `request`, and with what: the chat method, or else `run_response`.

    Raises:
        NotCapable: The deployment has neither.
        InvalidRequest: The response method would answer, and a message has no form there.
    """
    if (method := deployment.can.chat) is not None:
        return method, {
            "model": request.model,
            "messages": request.messages,
            "body": request.body(),
        }
    if (method := deployment.can.response) is not None:
        items = input_items(request.messages)
        body = response_body(request.body(), items)
        return method, {"model": request.model, "input_items": items, "body": body}
    raise NotCapable(
        f"{deployment.name!r} defines no `run_chat_completion` and no `run_response`, so it "
        "cannot chat.",
        hint=answers_instead(deployment),
        param="model",
    )
