"""Which error is which HTTP status: the one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hayserve import errors
from hayserve.errors import HayserveError
from hayserve.events import STOPPING


@dataclass(frozen=True, slots=True)
class Status:
    """How an error looks on the wire.

    `openai` differs from `http` where OpenAI's clients and Hayhooks' clients expect different
    statuses; `openai_type` is the `type` in OpenAI's error object.
    """

    http: int
    openai: int
    openai_type: str


STATUSES: Mapping[type[HayserveError], Status] = MappingProxyType(
    {
        HayserveError: Status(500, 500, "server_error"),
        errors.InvalidRequest: Status(422, 400, "invalid_request_error"),
        errors.InvalidInput: Status(422, 400, "invalid_request_error"),
        errors.TooLarge: Status(413, 413, "invalid_request_error"),
        errors.RequestTimeout: Status(408, 408, "invalid_request_error"),
        errors.IdempotencyMismatch: Status(422, 422, "invalid_request_error"),
        errors.PreviousNotFound: Status(422, 400, "invalid_request_error"),
        errors.MethodNotAllowed: Status(405, 405, "invalid_request_error"),
        errors.Unauthorized: Status(401, 401, "authentication_error"),
        errors.Forbidden: Status(403, 403, "permission_error"),
        errors.NotFound: Status(404, 404, "invalid_request_error"),
        errors.NotCapable: Status(400, 400, "invalid_request_error"),
        errors.NameTaken: Status(409, 409, "invalid_request_error"),
        errors.TurnTaken: Status(409, 409, "invalid_request_error"),
        errors.DeployRefused: Status(422, 422, "invalid_request_error"),
        errors.RunFailed: Status(500, 500, "server_error"),
        errors.WrapperFailed: Status(500, 500, "server_error"),
        errors.WrapperRefused: Status(500, 500, "server_error"),  # its own status is used instead
        errors.RunTimedOut: Status(504, 504, "server_error"),
        errors.RunStopped: Status(409, 409, "server_error"),
        errors.TooBusy: Status(429, 429, "rate_limit_error"),
        errors.LimitReached: Status(429, 429, "rate_limit_error"),
        errors.NotReady: Status(503, 503, "server_error"),
        errors.StorageUnavailable: Status(503, 503, "server_error"),
        errors.ServerUnreachable: Status(502, 502, "server_error"),
        errors.ServerRefused: Status(502, 502, "server_error"),
        errors.Misconfigured: Status(500, 500, "server_error"),
    }
)


def status_of(error: HayserveError) -> Status:
    """The row for `error`; a wrapper's `HTTPException` brings its own status."""
    if isinstance(error, errors.WrapperRefused):
        kind = "invalid_request_error" if error.status < 500 else "server_error"  # noqa: PLR2004 - HTTP
        return Status(error.status, error.status, kind)
    return STATUSES[type(error)]


def stopped(reason: str) -> HayserveError:
    """What the caller of a run is told that was stopped for that reason."""
    message = f"The run was stopped: {reason}."
    if reason == STOPPING:
        return errors.NotReady(message, hint="Send the request again.")
    return errors.RunStopped(message, hint="Send the request again if that was not intended.")
