"""What the caller is told when a wrapper's code raised."""

import traceback

from starlette.exceptions import HTTPException

from hayserve.errors import HayserveError, InvalidRequest, RunFailed, WrapperFailed, WrapperRefused
from hayserve.wrappers.failure import explain

_TROUBLE_IS_IN_THE_LOG = "The server's log has the traceback under this run's id."


def failure_of(
    error: BaseException, *, name: str, method: str, show_traceback: bool = False
) -> RunFailed | InvalidRequest:
    """The failure of a run of `name` in which `error` came out of `method`.

    An `HTTPException` is the wrapper's own answer and keeps its status, detail and headers; what
    the helpers that it calls say about the request (`InvalidRequest`) goes to the caller as it is.
    """
    if isinstance(error, RunFailed | InvalidRequest):
        return error
    if isinstance(error, HTTPException):
        refusal = WrapperRefused(error.status_code, error.detail, error.headers)
        refusal.__cause__ = error
        return refusal
    text = str(error) if isinstance(error, HayserveError) else explain(error)
    hint = _TROUBLE_IS_IN_THE_LOG
    if show_traceback:
        hint = "".join(traceback.format_exception(error))
    failure = WrapperFailed(f"{name!r} failed in {method}: {text}", hint=hint)
    failure.__cause__ = error
    return failure
