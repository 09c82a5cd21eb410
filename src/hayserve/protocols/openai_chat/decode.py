"""Reads a chat completion request into the run that it asks for."""

from typing import Any

from pydantic import ValidationError
from starlette.datastructures import Headers

from hayserve.deployments.deployment import Deployment
from hayserve.errors import InvalidRequest, NotCapable, Problem
from hayserve.protocols.openai_chat.schema import ChatRequest
from hayserve.protocols.openai_request import refusal, refusal_of
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Capabilities


def read_request(data: bytes) -> ChatRequest:
    """The request in the body `data`.

    Raises:
        InvalidRequest: It is not a JSON object, or asks for what no deployment can do.
        InvalidInput: Some fields are missing or of the wrong type.
    """
    try:
        request = ChatRequest.model_validate_json(data)
    except ValidationError as error:
        hint = "Send an object with `model` and `messages`, in UTF-8."
        raise refusal(error, hint=hint) from error
    roleless = [
        Problem(("messages", index, "role"), "A message needs a role, which is a string", "missing")
        for index, message in enumerate(request.messages)
        if not isinstance(message.get("role"), str)
    ]
    if roleless:
        raise refusal_of(roleless)
    if request.n is not None and request.n != 1:
        raise InvalidRequest(
            f"'n' is {request.n}, and a deployment gives exactly one answer to a request.",
            hint="Leave it out, and send as many requests as you want answers.",
            param="n",
        )
    return request


def run_of(request: ChatRequest, deployment: Deployment, *, run_id: str, headers: Headers) -> Run:
    """The call of `deployment`'s chat method that `request` asks for.

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
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": request.messages,
        "body": request.body(),
    }
    if method.wants_headers:
        arguments["headers"] = headers
    return Run(run_id, deployment.name, method, arguments, deployment.uses)


def _endpoint_of(name: str, can: Capabilities) -> str:
    return "POST /v1/responses" if can.response else f"POST /{name}/run"
