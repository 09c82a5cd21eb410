"""Everything that can go wrong, as one tree.

    HayserveError
    ├── InvalidRequest          what the caller sent cannot be used
    │   ├── InvalidInput        … and these are the fields and why
    │   ├── TooLarge            … it is bigger than the server accepts
    │   ├── RequestTimeout      … it did not arrive in time
    │   ├── IdempotencyMismatch … its Idempotency-Key belongs to another request
    │   ├── PreviousNotFound    … the response that it continues is not there
    │   └── MethodNotAllowed    … the path exists and takes other methods
    ├── Unauthorized            no key, or not the right one
    ├── Forbidden               the key does not matter: this caller may not do this
    ├── NotFound                nothing has that name
    ├── NotCapable              it exists and cannot do that
    ├── NameTaken               a deployment of that name exists
    ├── TurnTaken               another response is being made in the conversation
    ├── DeployRefused           the bundle cannot be served
    ├── RunFailed               a run ended without an answer
    │   ├── WrapperFailed       … because the wrapper's code raised
    │   ├── WrapperRefused      … because the wrapper raised an `HTTPException`
    │   ├── RunTimedOut         … because its deadline passed
    │   └── RunStopped          … because somebody stopped it
    ├── TooBusy                 as much is under way as the server or the deployment takes
    │   └── LimitReached        … or the caller has used what its key may
    ├── NotReady                the server is starting or stopping
    ├── StorageUnavailable      the database does not answer
    ├── ServerUnreachable       the command line found no server
    ├── ServerRefused           the command line was told no by the server
    └── Misconfigured           a setting or an argument of the server cannot be used

A message says what is wrong and names the thing; the hint says what to do about it. Both may be
shown to whoever called. What only the operator may see goes to the log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


def sentence(text: str) -> str:
    """`text` with a full stop, unless it ends like a sentence or is empty."""
    return f"{text}." if text and not text.endswith((".", "!", "?", "…", ":")) else text


class HayserveError(Exception):
    """Anything this server refuses or fails to do.

    Args:
        message: What is wrong, in one sentence that names the thing.
        hint: What the reader can do about it; empty if nothing comes to mind.
        param: The name of the field, parameter or argument that is at fault, if one is.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, hint: str = "", param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param

    def __str__(self) -> str:
        return f"{sentence(self.message)} {self.hint}".lstrip() if self.hint else self.message


class InvalidRequest(HayserveError):
    """What the caller sent cannot be used."""

    code: ClassVar[str] = "invalid_request"


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong: where it is, what is wrong with it, and a word for the kind."""

    loc: tuple[str | int, ...]
    msg: str
    type: str


class InvalidInput(InvalidRequest):
    """Some fields of the input are wrong; `problems` lists them all."""

    code: ClassVar[str] = "invalid_input"

    def __init__(self, message: str, *, problems: Sequence[Problem], hint: str = "") -> None:
        where = ".".join(str(part) for part in problems[0].loc) if problems else None
        super().__init__(message, hint=hint, param=where)
        self.problems = tuple(problems)


class TooLarge(InvalidRequest):
    """The request is bigger than the server accepts."""

    code: ClassVar[str] = "too_large"


class RequestTimeout(InvalidRequest):
    """The request did not arrive in time."""

    code: ClassVar[str] = "request_timeout"


class IdempotencyMismatch(InvalidRequest):
    """The Idempotency-Key was sent before with another request."""

    code: ClassVar[str] = "idempotency_mismatch"


class PreviousNotFound(InvalidRequest):
    """The response that the request continues is not there."""

    code: ClassVar[str] = "previous_response_not_found"


class MethodNotAllowed(InvalidRequest):
    """The path exists and does not take this method."""

    code: ClassVar[str] = "method_not_allowed"


class Unauthorized(HayserveError):
    """The request carries no key, or one that is not known."""

    code: ClassVar[str] = "unauthorized"


class Forbidden(HayserveError):
    """This caller may not do this, whatever key it shows."""

    code: ClassVar[str] = "forbidden"


class NotFound(HayserveError):
    """Nothing has that name."""

    code: ClassVar[str] = "not_found"


class NotCapable(HayserveError):
    """The deployment exists and cannot do what was asked of it."""

    code: ClassVar[str] = "not_capable"


class NameTaken(HayserveError):
    """A deployment of that name exists and replacing it was not asked for."""

    code: ClassVar[str] = "name_taken"


class TurnTaken(HayserveError):
    """Another response is being made in the conversation."""

    code: ClassVar[str] = "conversation_locked"


class DeployRefused(HayserveError):
    """The bundle cannot be served: it does not load, or what it holds cannot be called."""

    code: ClassVar[str] = "deploy_refused"


class RunFailed(HayserveError):
    """A run ended without an answer."""

    code: ClassVar[str] = "run_failed"


class WrapperFailed(RunFailed):
    """The wrapper's own code raised; the exception is the cause."""

    code: ClassVar[str] = "wrapper_failed"


class WrapperRefused(RunFailed):
    """The wrapper raised an `HTTPException`: its status, detail and headers go to the caller."""

    code: ClassVar[str] = "wrapper_refused"

    def __init__(
        self, status: int, detail: object, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail if isinstance(detail, str) else repr(detail))
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class RunTimedOut(RunFailed):
    """The deadline of a run passed before it ended."""

    code: ClassVar[str] = "run_timed_out"


class RunStopped(RunFailed):
    """Somebody stopped a run before it ended, or the server did because it stops."""

    code: ClassVar[str] = "run_stopped"


class TooBusy(HayserveError):
    """As many runs are under way and waiting as are taken.

    Args:
        retry_after: When to try again, in seconds.
    """

    code: ClassVar[str] = "too_busy"

    def __init__(self, message: str, *, hint: str = "", retry_after: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class LimitReached(TooBusy):
    """The caller has used as much as its key may."""

    code: ClassVar[str] = "limit_reached"


class NotReady(HayserveError):
    """The server is starting or stopping."""

    code: ClassVar[str] = "not_ready"


class StorageUnavailable(HayserveError):
    """The database of the server cannot be reached, or does not answer in time."""

    code: ClassVar[str] = "storage_unavailable"


class ServerUnreachable(HayserveError):
    """The command line found no server at the address it was given."""

    code: ClassVar[str] = "server_unreachable"


class ServerRefused(HayserveError):
    """The server answered the command line with an error."""

    code: ClassVar[str] = "server_refused"


class Misconfigured(HayserveError):
    """A setting or a command-line argument cannot be used."""

    code: ClassVar[str] = "misconfigured"


def as_fields(error: HayserveError) -> dict[str, Any]:
    """An error as it goes to another process."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "param": error.param,
    }


def from_fields(fields: Mapping[str, Any]) -> HayserveError:
    """The error that `as_fields` was given, or the nearest that can be made of it."""
    plain = (InvalidRequest, TooLarge, NotFound, NameTaken, NotReady, Misconfigured)
    kind = {kind.__name__: kind for kind in plain}.get(fields["type"], DeployRefused)
    return kind(fields["message"], hint=fields["hint"], param=fields["param"])
