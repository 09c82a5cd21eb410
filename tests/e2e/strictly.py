"""Reads what a server sends as the types of OpenAI's own package have it, and not otherwise.

The package itself takes whatever comes: it makes objects without looking at what they are made of.
Here every field has to be of its type, none that has to be there may lack, and none may be there
that the type does not declare, save for what is documented as an extension.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, get_args

import httpx2
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from openai.types.shared import ErrorObject
from pydantic import BaseModel, ConfigDict, TypeAdapter

# docs/openai.md tells of them; those of a response are the Open Responses specification's, and the
# name of a function that is called is declared by OpenAI's package for Node.
EXTENSIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Response": frozenset({"frequency_penalty", "presence_penalty", "store"}),
        "ResponseFunctionCallArgumentsDoneEvent": frozenset({"name"}),
        "ErrorObject": frozenset({"run_id"}),
        "ChoiceDelta": frozenset({"annotations", "reasoning_content"}),
        "ChatCompletionMessage": frozenset({"reasoning_content"}),
        "ChatCompletionChunk": frozenset({"event"}),
    }
)
EVENT: Any = ResponseStreamEvent
T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    model_config = ConfigDict(extra="forbid")

    object: Literal["list"]
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Listed(BaseModel, Generic[T]):
    """A whole list."""

    model_config = ConfigDict(extra="forbid")

    object: Literal["list"]
    data: list[T]


class Failed(BaseModel):
    """The body of an answer that is an error."""

    model_config = ConfigDict(extra="forbid")

    error: ErrorObject


class Deleted(BaseModel):
    """What is said of a response that was deleted; the package does not look at it."""

    model_config = ConfigDict(extra="forbid")

    id: str
    object: Literal["response"]
    deleted: Literal[True]


def strictly(type_: Any, data: str | bytes) -> Any:
    """What the JSON in `data` is, which has to be of that type."""
    value = _adapter(type_).validate_json(data, strict=True)
    unknown = list(_unknown(value, "$"))
    assert unknown == [], f"{unknown} in {data!r}"
    return value


@cache
def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def _unknown(value: object, where: str) -> Iterator[str]:
    """The fields that no type declares."""
    if isinstance(value, BaseModel):
        known = EXTENSIONS.get(type(value).__name__, frozenset())
        yield from (f"{where}.{name}" for name in value.model_extra or () if name not in known)
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _unknown(item, f"{where}[{index}]")  # pyright: ignore[reportUnknownArgumentType]


class Wire:
    """Asks a server, and reads each answer strictly.

    Args:
        url: The server's.
    """

    def __init__(self, url: str) -> None:
        self.http = httpx2.Client(base_url=f"{url}/v1", timeout=30, trust_env=False)

    def get(self, path: str, type_: Any, **query: str | int) -> Any:
        return _read(type_, self.http.get(path, params=query))

    def post(self, path: str, type_: Any, body: object = None) -> Any:
        return _read(type_, self.http.post(path, json=body))

    def delete(self, path: str, type_: Any) -> Any:
        return _read(type_, self.http.delete(path))

    def failure(self, method: str, path: str, body: object = None) -> tuple[int, ErrorObject]:
        """The status of an answer that is an error, and the error."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code >= 400, answer.text
        failed: Failed = strictly(Failed, answer.content)
        return answer.status_code, failed.error

    def events(self, body: dict[str, Any]) -> list[Any]:
        """The events of a response that is streamed."""
        answer = self.http.post("/responses", json={**body, "stream": True})
        return _events(answer)

    def events_again(self, id_: str, *, after: int | None = None) -> list[Any]:
        """The events of a response that was streamed before, from the one behind `after` on."""
        query = {"stream": "true"} if after is None else {"stream": "true", "starting_after": after}
        answer = self.http.get(f"/responses/{id_}", params=query)
        return _events(answer, start=0 if after is None else after + 1)

    def chunks(self, body: dict[str, Any]) -> list[ChatCompletionChunk]:
        """The chunks of a completion that is streamed, without its end."""
        answer = self.http.post("/chat/completions", json={**body, "stream": True})
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
        *data, end = [frame.removeprefix("data: ") for frame in _frames(answer)]
        assert end == "[DONE]"
        return [strictly(ChatCompletionChunk, line) for line in data]


def _read(type_: Any, answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return strictly(type_, answer.content)


def _frames(answer: httpx2.Response) -> list[str]:
    assert answer.text.endswith("\n\n")
    frames = answer.text.removesuffix("\n\n").split("\n\n")
    return [frame for frame in frames if not frame.startswith(":")]


def _events(answer: httpx2.Response, *, start: int = 0) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    events: list[Any] = []
    *frames, end = _frames(answer)
    assert end == "data: [DONE]"  # as the Open Responses specification has it
    for frame in frames:
        kind, data = frame.split("\n")
        event = strictly(EVENT, data.removeprefix("data: "))
        assert kind == f"event: {event.type}"
        events.append(event)
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(start, start + len(events)))
    return events


def kinds_of_events() -> set[str]:
    """The kinds of events that the package knows."""
    members: tuple[type[BaseModel], ...] = get_args(get_args(EVENT)[0])
    return {kind for one in members for kind in get_args(one.model_fields["type"].annotation)}


def fields_of(value: BaseModel) -> dict[str, Any]:
    """What was sent, as JSON has it."""
    fields: dict[str, Any] = json.loads(value.model_dump_json(exclude_unset=True, by_alias=True))
    return fields
