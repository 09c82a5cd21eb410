"""One call of a deployment that was just loaded, on the path that requests take."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Scope

from hayserve.deployments.deployment import Deployment
from hayserve.errors import DeployRefused, HayserveError, InvalidInput, WrapperFailed
from hayserve.events import Event, RunFinished, StreamOpened
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_chat import decode as chat
from hayserve.protocols.openai_chat.answer import Label
from hayserve.protocols.openai_chat.completion import completion
from hayserve.protocols.openai_chat.ready_made import with_answer
from hayserve.protocols.rest import decode as rest
from hayserve.protocols.rest.encode import data_of, error_of
from hayserve.runs.execute import Executor
from hayserve.runs.run import Run, new_ids
from hayserve.wrappers.capabilities import Method
from hayserve.wrappers.items import as_text
from hayserve.wrappers.signature import Signature

_LONGEST_ANSWER = 2000
_FIRST_FAILING_STATUS = 400


async def answer_of(deployment: Deployment, question: str, *, executor: Executor) -> str:
    """Ask `deployment` a question and give its answer, at most 2000 characters of it.

    A deployment that can chat is asked with one message, another one with the one parameter that
    its `run_api` requires.

    Raises:
        DeployRefused: It cannot be asked so, it failed, or it said nothing.
    """
    run = (
        _chat_run(deployment, question) if deployment.can.chat else _rest_run(deployment, question)
    )
    async with executor.running():
        events = await executor.start(run).all_events()
    try:
        if deployment.can.chat:
            answer = _chat_answer(events, run)
        else:
            answer = await _rest_answer(events, deployment)
    except HayserveError as failure:
        raise DeployRefused(
            f"The check {question!r} failed: {failure.message}", hint=failure.hint
        ) from failure
    if not answer.strip():
        raise DeployRefused(
            f"The check {question!r} failed: {deployment.name!r} answered nothing.",
            hint="Let it return an answer, or deploy without the check.",
        )
    return answer[:_LONGEST_ANSWER]


def _chat_run(deployment: Deployment, question: str) -> Run:
    body = {"model": deployment.name, "messages": [{"role": "user", "content": question}]}
    asked = chat.read_request(to_json(body))
    return _run_of(deployment, *chat.chat_call(asked, deployment))


def _rest_run(deployment: Deployment, question: str) -> Run:
    signature = deployment.can.signature
    name = _only_field(signature) if signature else None
    if signature is None or name is None:
        raise DeployRefused(
            f"{deployment.name!r} cannot be checked with a question: it cannot chat, and has no "
            "`run_api` with exactly one required parameter.",
            hint="Deploy without the check.",
        )
    try:
        arguments = signature.arguments_from({name: question})
    except InvalidInput as error:
        raise DeployRefused(
            f"{deployment.name!r} cannot be checked with {question!r}: {error.message}",
            hint=error.hint,
            param=error.param,
        ) from error
    method, _ = rest.served_by(deployment)
    return _run_of(deployment, method, arguments)


def _run_of(deployment: Deployment, method: Method, arguments: Mapping[str, Any]) -> Run:
    if method.wants_headers:
        arguments = {**arguments, "headers": Headers()}
    [run_id] = new_ids(1)
    return Run(run_id, deployment.name, method, arguments, deployment.uses, deployment.limits)


def _only_field(signature: Signature) -> str | None:
    """The field that has to be sent, or may be if it is the only one there is."""
    schema = signature.request_schema()
    fields: Sequence[str] = schema.get("required") or list(schema.get("properties", {}))
    only = fields[0] if len(fields) == 1 else None
    return None if only in signature.uploads else only


def _chat_answer(events: Sequence[Event], run: Run) -> str:
    answer = completion(with_answer(events, run=run), Label(run.id, run.deployment, created=0))
    choices: Sequence[Mapping[str, Any]] = answer.get("choices") or [{}]
    message: Mapping[str, Any] = choices[0].get("message") or {}
    return as_text(message.get("content") or message.get("tool_calls") or "")


async def _rest_answer(events: Sequence[Event], deployment: Deployment) -> str:
    closing = events[-1]
    failure = error_of(closing)
    if failure is not None:
        raise failure
    if isinstance(events[0], StreamOpened) or not isinstance(closing, RunFinished):
        return b"".join(data_of(event) or b"" for event in events).decode(errors="replace")
    if isinstance(closing.result, Response):
        return await _body_of(closing.result, deployment)
    assert deployment.can.signature is not None
    result = json.loads(deployment.can.signature.encode(closing.result))["result"]
    return "" if result is None else as_text(result)


async def _body_of(response: Response, deployment: Deployment) -> str:
    """The body of a response that the wrapper made, which may be a stream or a file."""
    pieces: list[bytes] = []

    async def receive() -> Message:
        raise NotImplementedError

    async def send(message: Message) -> None:
        pieces.append(message.get("body", b""))

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "headers": [],
        "asgi": {"spec_version": "2.4"},
    }
    await response(scope, receive, send)
    body = b"".join(pieces).decode(errors="replace")
    if response.status_code >= _FIRST_FAILING_STATUS:
        raise WrapperFailed(f"{deployment.name!r} answered {response.status_code}: {body}")
    return body
