"""Reads what all requests of OpenAI's clients have in common, and says what is wrong in one."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

from pydantic import ValidationError

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.errors import InvalidInput, InvalidRequest, NotFound, Problem
from hayserve.protocols.allowed import Scope, deployment_for, served_for


async def model_named(scope: Scope, registry: Registry, name: str) -> Deployment:
    """The deployment behind a model's name, for whoever has sent the request of an ASGI scope.

    Raises:
        Forbidden: That one may not run it.
        NotFound: There is none; its `param` says that the model is at fault.
    """
    with _models_fault():
        return await deployment_for(scope, registry, name)


def model_seen(scope: Scope, registry: Registry, name: str) -> Deployment:
    """The same for whoever only wants to know of it.

    Raises:
        Forbidden: That one may neither run nor deploy it.
        NotFound: There is none; its `param` says that the model is at fault.
    """
    with _models_fault():
        return served_for(scope, registry, name)


@contextmanager
def _models_fault() -> Generator[None]:
    try:
        yield
    except NotFound as error:
        raise NotFound(error.message, hint=error.hint, param="model") from error


def answers_instead(deployment: Deployment) -> str:
    """What to ask a deployment for that cannot chat."""
    paths = [f"/{deployment.name}/run"] if deployment.can.api is not None else []
    if deployment.can.embedding is not None:
        paths.append("/v1/embeddings")
    return f"It answers POST {' and POST '.join(paths)} instead." if paths else ""


def refusal(error: ValidationError, *, hint: str) -> InvalidRequest:
    """Why a body cannot be used; `hint` is for one that is not a JSON object at all."""
    problems = problems_in(error)
    if not problems[0].loc:
        return InvalidRequest(f"The body is not a JSON object: {problems[0].msg}.", hint=hint)
    return refusal_of(problems)


def refusal_of(problems: Sequence[Problem]) -> InvalidInput:
    return InvalidInput(f"The request cannot be used: {said_of(problems)}.", problems=problems)


def problems_in(error: ValidationError) -> list[Problem]:
    return [
        Problem(found["loc"], found["msg"], found["type"])
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def said_of(problems: Sequence[Problem]) -> str:
    """The fields that are wrong, and why, in one line."""
    return "; ".join(f"'{'.'.join(map(str, each.loc))}': {each.msg}" for each in problems)
