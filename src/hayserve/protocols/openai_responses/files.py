"""Reads uploads to the Files API, finds the wrapper that takes them, and checks what it says.

Source: https://platform.openai.com/docs/api-reference/files
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile

from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.errors import InvalidInput, NotCapable, Problem, WrapperFailed
from hayserve.events import Event, RunFinished
from hayserve.protocols.openai_error import failure_of
from hayserve.protocols.openai_request import model_named, problems_in, said_of
from hayserve.protocols.openai_responses.schema import StoredFile
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method


class Upload(NamedTuple):
    """A file as it was sent."""

    filename: str | None
    content_type: str | None
    content: bytes
    purpose: str


async def taker_of(registry: Registry, *, model: str | None) -> Deployment:
    """The deployment that takes an upload: the one that is asked for, else the first that can.

    Raises:
        NotFound: There is none of that name.
        NotCapable: It does not take files, or nothing that is deployed does.
    """
    if model:
        deployment = await model_named(registry, model)
        if deployment.can.upload is None:
            raise NotCapable(
                f"{deployment.name!r} does not take files.",
                hint="Give its wrapper a `run_file_upload`.",
                param="model",
            )
        return deployment
    for deployment in registry.deployments():
        if deployment.can.upload is not None:
            return deployment
    raise NotCapable(
        "No deployment takes files, so this one would be lost.",
        hint="Give a wrapper a `run_file_upload`.",
    )


async def read_upload(form: FormData) -> Upload:
    """The file in `form` and what was said of it.

    Raises:
        InvalidInput: The form lacks the file or its purpose.
    """
    file, purpose = form.get("file"), form.get("purpose")
    if not (isinstance(file, UploadFile) and isinstance(purpose, str) and purpose):
        raise _incomplete(file, purpose)
    return Upload(file.filename, file.content_type, await file.read(), purpose)


def upload_method(upload: Upload, deployment: Deployment) -> Method:
    """What gives a file to the wrapper."""
    method = deployment.can.upload
    assert method is not None
    # By position: a wrapper may call the parameters as it likes.
    return replace(method, function=partial(method.function, *upload))


def _incomplete(file: object, purpose: object) -> InvalidInput:
    problems: list[Problem] = []
    if not isinstance(file, UploadFile):
        problems.append(Problem(("file",), "A file is required.", "missing"))
    if not (isinstance(purpose, str) and purpose):
        problems.append(Problem(("purpose",), "A purpose is required.", "missing"))
    fields = " and ".join(repr(problem.loc[0]) for problem in problems)
    return InvalidInput(
        f"The upload lacks {fields}.",
        problems=problems,
        hint="Send multipart/form-data with a `file` and its `purpose`, such as user_data.",
    )


def stored_file(events: Sequence[Event], *, run: Run) -> dict[str, Any]:
    """The file object that the wrapper returned.

    Raises:
        HayserveError: The run failed, or what the wrapper returned is no file object.
    """
    failure = failure_of(events[-1])
    if failure is not None:
        raise failure
    result = _result_of(events)
    data = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
    try:
        return StoredFile.model_validate(data).model_dump(mode="json")
    except ValidationError as error:
        raise _no_file(run, said_of(problems_in(error))) from error


def _result_of(events: Sequence[Event]) -> object:
    """What was returned; a stream is no file, whatever it says."""
    closing = events[-1]
    return closing.result if len(events) == 1 and isinstance(closing, RunFinished) else None


def _no_file(run: Run, why: str) -> WrapperFailed:
    return WrapperFailed(
        f"{run.deployment!r} failed in {run.method.name}: it returned no file object: {why}.",
        hint="Return a dictionary with `id`, `bytes`, `created_at`, `filename` and `purpose`.",
    )
