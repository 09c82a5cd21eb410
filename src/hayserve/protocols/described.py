"""Says what a route takes and answers: what `/openapi.json` is made from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from starlette.routing import Route
from typing_extensions import TypedDict

from hayserve import errors
from hayserve.errors import HayserveError

JSON, FORM, EVENTS = "application/json", "multipart/form-data", "text/event-stream"

ErrorKinds = tuple[type[HayserveError], ...]
Endpoint = Callable[..., Any]

# What every request may be refused with.
ANY: ErrorKinds = (errors.Forbidden, errors.HayserveError, errors.NotReady)
BODY: ErrorKinds = (errors.InvalidRequest, errors.TooLarge, errors.RequestTimeout)
KEPT: ErrorKinds = (errors.NotFound, errors.StorageUnavailable)
RUN: ErrorKinds = (
    *BODY,
    errors.NotCapable,
    errors.NotFound,
    errors.IdempotencyMismatch,
    errors.TooBusy,
    errors.RunStopped,
    errors.RunTimedOut,
    errors.WrapperFailed,
    errors.WrapperRefused,
)


class Deleted(TypedDict):
    """Something that was deleted."""

    id: str
    object: str
    deleted: Literal[True]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a route takes and answers.

    Args:
        takes: The type of its body; None if it reads none.
        takes_as: The type of content of its body.
        is_optional: Whether the body may be left out.
        query: A `TypedDict` of the parameters of its query; None if it reads none.
        answers: The type of its answer, where that is JSON; None if it is not described.
        answers_as: The types of content that its answer may have.
        statuses: The statuses that its answer may have.
        errors: What it may refuse a request with, besides `ANY`.
    """

    takes: Any = None
    takes_as: str = JSON
    is_optional: bool = False
    query: Any = None
    answers: Any = None
    answers_as: tuple[str, ...] = (JSON,)
    statuses: tuple[int, ...] = (200,)
    errors: ErrorKinds = ()


Row = tuple[str, str, Endpoint, Described]


class DescribedRoute(Route):
    """A route that is told of in `/openapi.json`.

    Args:
        path: Where it is.
        endpoint: Answers; its name and the first line of its docstring are told, too.
        method: The method that it takes.
        described: What it takes and answers.
    """

    def __init__(self, path: str, endpoint: Endpoint, *, method: str, described: Described) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.method = method
        self.described = described

    def behind(self, endpoint: Endpoint, refusing: ErrorKinds) -> "DescribedRoute":
        """The same route with an endpoint that asks before it answers, and may refuse."""
        described = replace(self.described, errors=(*self.described.errors, *refusing))
        return DescribedRoute(self.path, endpoint, method=self.method, described=described)


def described_routes(*rows: Row) -> list[DescribedRoute]:
    """One route for each row: its method, its path, its endpoint and its description."""
    return [
        DescribedRoute(path, endpoint, method=method, described=described)
        for method, path, endpoint, described in rows
    ]


def openai_routes(*rows: Row) -> list[DescribedRoute]:
    """The same for OpenAI's clients: each row's path with `/v1` before it and without."""
    return described_routes(
        *(
            (method, f"{prefix}{path}", endpoint, described)
            for method, path, endpoint, described in rows
            for prefix in ("/v1", "")
        )
    )
