"""What the caller is told when a wrapper's code raised."""

import traceback
from typing import cast

from starlette.exceptions import HTTPException

from hayserve.errors import (
    HayserveError,
    InvalidRequest,
    RunFailed,
    WrapperFailed,
    WrapperRefused,
    sentence,
)
from hayserve.wrappers.failure import explain, user_place


def failure_of(
    error: BaseException,
    *,
    name: str,
    method: str,
    run_id: str,
    show_traceback: bool = False,
) -> RunFailed | InvalidRequest:
    """The failure of a run of `name` in which `error` came out of `method`.

    It says where in the deployment's own code that was. An `HTTPException` is the wrapper's own
    answer and keeps its status, detail and headers; what the helpers that it calls say about the
    request (`InvalidRequest`) goes to the caller as it is.
    """
    said = _alone_in(error)
    if isinstance(said, RunFailed | InvalidRequest):
        return said
    if isinstance(said, HTTPException):
        refusal = WrapperRefused(said.status_code, said.detail, said.headers)
        refusal.__cause__ = error
        return refusal
    text = str(said) if isinstance(said, HayserveError) else explain(said)
    place = user_place(said)
    where = f"{method} at {place}" if place else method
    hint = f"The server's log has the traceback under run {run_id}."
    if show_traceback:
        hint = "".join(traceback.format_exception(error))
    failure = WrapperFailed(sentence(f"{name!r} failed in {where}: {text}"), hint=hint)
    failure.__cause__ = error
    return failure


def _alone_in(error: BaseException) -> BaseException:
    """What a task group wraps into a group although nothing else failed."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast(BaseExceptionGroup[BaseException], error)
    return _alone_in(group.exceptions[0]) if len(group.exceptions) == 1 else group
