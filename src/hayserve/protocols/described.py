"""Says what a route takes and answers: what `/openapi.json` is made from."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from hayserve import errors
from hayserve.access.rules import Rule, check
from hayserve.errors import HayserveError

JSON, FORM, EVENTS = "application/json", "multipart/form-data", "text/event-stream"

ErrorKinds = tuple[type[HayserveError], ...]
Endpoint = Callable[..., Any]

# What every request may be refused with.
ANY: ErrorKinds = (
    errors.Forbidden,
    errors.HayserveError,
    errors.NotReady,
    errors.TooBusy,
    errors.Unauthorized,
)
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
        allows: Who may call it.
        takes: The type of its body; None if it reads none.
        takes_as: The type of content of its body.
        is_optional: Whether the body may be left out.
        query: A `TypedDict` of the parameters of its query; None if it reads none.
        answers: The type of its answer, where that is JSON; None if it is not described.
        answers_as: The types of content that its answer may have.
        statuses: The statuses that its answer may have.
        errors: What it may refuse a request with, besides `ANY`.
    """

    allows: Rule
    takes: Any = None
    takes_as: str = JSON
    is_optional: bool = False
    query: Any = None
    answers: Any = None
    answers_as: tuple[str, ...] = (JSON,)
    statuses: tuple[int, ...] = (200,)
    errors: ErrorKinds = ()


Row = tuple[str, str, Endpoint, Described]


def _to_the_end(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """The same for paths that end there: `$` is before a line feed, too.

    Whoever looks at a path as a text, as the front does, would take one with it for another.
    """
    return re.compile(pattern.pattern.removesuffix("$") + r"\Z")


class RuledRoute(Route):
    """A route that is for those who may call it, as all routes are.

    Args:
        path: Where it is.
        endpoint: Answers.
        method: The method that it takes.
        allows: Who may call it.
    """

    def __init__(
        self, path: str, endpoint: Endpoint, *, method: str, allows: Rule, name: str | None = None
    ) -> None:
        super().__init__(path, endpoint, methods=[method], name=name)
        self.path_regex = _to_the_end(self.path_regex)
        self.method = method
        self.allows = allows

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        check(scope, self.allows)
        await super().handle(scope, receive, send)


class RuledSocket(WebSocketRoute):
    """The same for a WebSocket.

    Args:
        path: Where it is.
        endpoint: Serves it.
        allows: Who may open one.
    """

    def __init__(self, path: str, endpoint: Endpoint, *, allows: Rule, name: str) -> None:
        super().__init__(path, endpoint, name=name)
        self.path_regex = _to_the_end(self.path_regex)
        self.allows = allows

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        check(scope, self.allows)
        await super().handle(scope, receive, send)


class DescribedRoute(RuledRoute):
    """A route that is told of in `/openapi.json`.

    Args:
        path: Where it is.
        endpoint: Answers; its name and the first line of its docstring are told, too.
        method: The method that it takes.
        described: What it takes and answers.
    """

    def __init__(self, path: str, endpoint: Endpoint, *, method: str, described: Described) -> None:
        super().__init__(path, endpoint, method=method, allows=described.allows)
        self.described = described


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
