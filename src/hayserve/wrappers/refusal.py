"""What the caller is told when a wrapper's code raised."""

import re
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
    hint = f"The server's log has the traceback under run {run_id}."
    try:
        failure = _failure_of(_alone_in(error), name=name, method=method, hint=hint)
    except BaseException:  # noqa: BLE001 - user code: an exception may even fail to be described
        failure = WrapperFailed(f"{name!r} failed in {method}.", hint=hint)
    if failure is not error:
        failure.__cause__ = error
    if show_traceback and isinstance(failure, WrapperFailed):
        failure.hint = "".join(traceback.format_exception(error))
    return failure


def _failure_of(
    error: BaseException, *, name: str, method: str, hint: str
) -> RunFailed | InvalidRequest:
    if isinstance(error, RunFailed | InvalidRequest):
        return error
    if isinstance(error, HTTPException):
        if not _can_be_sent(error):
            said = f"{name!r} raised an {type(error).__name__} in {method} that cannot be sent."
            return WrapperFailed(said, hint="Its status is 200 to 599, its headers are texts.")
        return WrapperRefused(error.status_code, error.detail, error.headers)
    text = str(error) if isinstance(error, HayserveError) else explain(error)
    place = user_place(error)
    where = f"{method} at {place}" if place else method
    return WrapperFailed(sentence(f"{name!r} failed in {where}: {text}"), hint=hint)


def _can_be_sent(error: HTTPException) -> bool:
    headers = dict(error.headers or {})
    repr(error.detail)
    return error.status_code in range(200, 600) and not any(
        re.search(r"[\x00-\x1f\x7f]", f"{name}{value}".encode("latin-1").decode("latin-1"))
        for name, value in headers.items()
    )


def _alone_in(error: BaseException) -> BaseException:
    """What a task group wraps into a group although nothing else failed."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast(BaseExceptionGroup[BaseException], error)
    return _alone_in(group.exceptions[0]) if len(group.exceptions) == 1 else group
