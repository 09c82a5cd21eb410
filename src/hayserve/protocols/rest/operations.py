"""Describes what can be asked of the server: one operation for each route and deployment.

Spec: https://spec.openapis.org/oas/v3.1.0#operation-object
"""

from collections.abc import Iterable
from typing import Any

from typing_extensions import TypedDict

from hayserve import errors
from hayserve.deployments.deployment import Deployment
from hayserve.protocols.described import (
    ANY,
    EVENTS,
    FORM,
    JSON,
    RUN,
    Described,
    DescribedRoute,
    ErrorKinds,
)
from hayserve.protocols.openai_error import OpenAIRefusal, is_openai
from hayserve.protocols.rest.components import Components, schema_of
from hayserve.protocols.statuses import STATUSES

Operation = dict[str, Any]

# What a result may become: it may be a stream, whatever its type says, or a response of its own.
_RESULTS = (JSON, EVENTS, "text/plain")
_RESPONSES = (*_RESULTS, "*/*")


class Refusal(TypedDict):
    """Why a request has no answer; `detail` is a sentence, or a list of what is wrong."""

    detail: Any
    hint: str
    code: str
    run_id: str


def operation_of(route: DescribedRoute, components: Components) -> Operation:
    """What a fixed route takes and answers."""
    described = route.described
    operation: Operation = {
        "summary": _summary(route),
        "operationId": route.name,
        "responses": _responses(described, components, path=route.path),
    }
    if parameters := [*_in_path(route), *_in_query(described)]:
        operation["parameters"] = parameters
    if described.takes is not None:
        operation["requestBody"] = _body(described, components)
    return operation


def run_operation(deployment: Deployment, components: Components) -> Operation:
    """What `/{name}/run` takes and answers, by the signature of its method."""
    signature = deployment.can.signature
    assert signature is not None
    name = _component_name(deployment.name)
    request = components.add(signature.request_schema(), name=f"{name}RunRequest")
    answer = signature.response_schema()
    response = components.add(answer, name=f"{name}RunResponse") if answer else None
    content = _content(_RESULTS if answer else _RESPONSES, response)
    return {
        "summary": deployment.description or f"Run {deployment.name}",
        "tags": ["deployments"],
        "requestBody": {
            "required": True,
            "content": {FORM if signature.uploads else JSON: {"schema": request}},
        },
        "responses": {
            "200": {"description": "The answer", "content": content},
            **_refusals((*RUN, *ANY), components, path="/{name}/run"),
        },
    }


def _summary(route: DescribedRoute) -> str:
    return (route.endpoint.__doc__ or "").partition("\n")[0]


def _in_path(route: DescribedRoute) -> list[Operation]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.param_convertors
    ]


def _in_query(described: Described) -> list[Operation]:
    if described.query is None:
        return []
    schema = schema_of(described.query, "validation")
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": parameter}
        for name, parameter in schema["properties"].items()
    ]


def _body(described: Described, components: Components) -> Operation:
    content: Operation = {described.takes_as: {}}
    if described.takes is not bytes:
        schema = components.add_type(described.takes, mode="validation")
        content = {described.takes_as: {"schema": schema}}
    return {"required": not described.is_optional, "content": content}


def _responses(described: Described, components: Components, *, path: str) -> Operation:
    schema: Operation | None = None
    if described.answers is not None:
        schema = components.add_type(described.answers, mode="serialization")
    answer = {"description": "The answer", "content": _content(described.answers_as, schema)}
    answers = {str(status): answer for status in described.statuses}
    kinds = (*ANY, *described.errors)
    if "{" in path:  # a name may have any letters, and may lead elsewhere
        kinds = (*kinds, errors.NotFound, errors.MethodNotAllowed)
    return {**answers, **_refusals(kinds, components, path=path), **answers}


def _content(kinds: Iterable[str], schema: Operation | None) -> Operation:
    return {kind: {"schema": schema} if kind == JSON and schema else {} for kind in kinds}


def _refusals(kinds: ErrorKinds, components: Components, *, path: str) -> Operation:
    """By status; what a wrapper raises with a status of its own is the default."""
    speaks_openai = is_openai(path)
    body = OpenAIRefusal if speaks_openai else Refusal
    content = {JSON: {"schema": components.add_type(body, mode="serialization")}}
    why: dict[str, dict[str, None]] = {}
    for kind in kinds:
        said = (kind.__doc__ or "").partition("\n")[0]
        why.setdefault(_status(kind, speaks_openai=speaks_openai), {})[said] = None
    return {
        status: {"description": " ".join(reasons), "content": content}
        for status, reasons in sorted(why.items())
    }


def _status(kind: type[errors.HayserveError], *, speaks_openai: bool) -> str:
    if kind is errors.WrapperRefused:
        return "default"
    return str(STATUSES[kind].openai if speaks_openai else STATUSES[kind].http)


def _component_name(name: str) -> str:
    """`name` in the letters that the name of a component may have; as domain names do it."""
    return name if name.isascii() else f"xn--{name.encode('punycode').decode()}"
