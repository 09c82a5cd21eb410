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
from hayserve.errors import InvalidInput, InvalidRequest, NotCapable, Problem, WrapperFailed
from hayserve.events import Event, RunFinished
from hayserve.protocols.allowed import Scope
from hayserve.protocols.openai_error import failure_of
from hayserve.protocols.openai_request import model_named, problems_in, said_of
from hayserve.protocols.openai_responses.schema import StoredFile
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method

ANCHOR = "created_at"
LONGEST_SECONDS = 30 * 24 * 3600


class Upload(NamedTuple):
    """A file as it was sent."""

    filename: str | None
    content_type: str | None
    content: bytes
    purpose: str


class Sent(NamedTuple):
    """A file that is to be kept, and for how long if the client says so, in seconds."""

    file: UploadFile
    purpose: str
    keep_seconds: float | None


async def taker_of(scope: Scope, registry: Registry, *, model: str) -> Deployment:
    """The deployment that an upload is for.

    Raises:
        NotFound: There is none of that name.
        NotCapable: It does not take files.
    """
    deployment = await model_named(scope, registry, model)
    if deployment.can.upload is None:
        raise NotCapable(
            f"{deployment.name!r} does not take files.",
            hint="Give its wrapper a `run_file_upload`, or leave out `model` to have it kept here.",
            param="model",
        )
    return deployment


def upload_in(form: FormData) -> Sent:
    """The file in `form` and what was said of it.

    Raises:
        InvalidInput: The form lacks the file or its purpose.
        InvalidRequest: It is to be kept for a time that has no meaning.
    """
    file, purpose = form.get("file"), form.get("purpose")
    if not (isinstance(file, UploadFile) and isinstance(purpose, str) and purpose):
        raise _incomplete(file, purpose)
    return Sent(file, purpose, _keep_seconds(form))


def _keep_seconds(form: FormData) -> float | None:
    """The time for which a file is to be kept, counted from when it comes."""
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor not in (None, ANCHOR):
        raise _unfit("anchor", anchor, f"It is {ANCHOR!r}.")
    if seconds is None:
        return None
    if not (isinstance(seconds, str) and seconds.isascii() and seconds.isdigit()):
        raise _unfit("seconds", seconds, "It is a number of seconds.")
    if len(seconds) > len(str(LONGEST_SECONDS)) or not 1 <= int(seconds) <= LONGEST_SECONDS:
        raise _unfit("seconds", seconds, f"It is a number from 1 to {LONGEST_SECONDS}.")
    return float(seconds)


def _unfit(name: str, value: object, hint: str) -> InvalidRequest:
    said = f"'expires_after[{name}]' is {value!r}."
    return InvalidRequest(said, hint=hint, param="expires_after")


async def read_upload(form: FormData) -> Upload:
    """The whole file in `form` and what was said of it.

    Raises:
        InvalidInput: As from `upload_in`.
        InvalidRequest: As from `upload_in`, or it is to be kept for a time.
    """
    file, purpose, keep_seconds = upload_in(form)
    if keep_seconds is not None:
        raise InvalidRequest(
            "A deployment decides itself how long it keeps a file.",
            hint="Leave out `expires_after`, or `model` to have the file kept here.",
            param="expires_after",
        )
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
