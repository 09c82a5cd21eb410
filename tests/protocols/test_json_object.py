"""The body of a request for no run is an object, or nothing."""

from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from hayserve.errors import InvalidRequest, TooLarge
from hayserve.protocols.call import Reading
from hayserve.protocols.json_object import MOST_LEVELS, json_object

pytestmark = pytest.mark.anyio

JSON = "application/json"


def request_with(body: bytes, media_type: str | None) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [] if media_type is None else [(b"content-type", media_type.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def read(body: bytes, media_type: str | None = JSON, *, limit: int = 100) -> Any:
    return await json_object(request_with(body, media_type), Reading(body=limit))


async def test_an_object_is_read() -> None:
    assert await read(b'{"a": 1}') == {"a": 1}


async def test_nothing_is_an_empty_object() -> None:
    assert await read(b"", None) == {}


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"{", "is not JSON"), (b"\xff", "is not JSON"), (b"[]", "no object"), (b"null", "no object")],
)
async def test_anything_else_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        await read(body)


async def test_what_goes_too_deep_is_refused() -> None:
    def nested(levels: int) -> bytes:
        return (
            b'{"a": ' * (levels // 2)
            + b"[" * (levels // 2)
            + b"]" * (levels // 2)
            + (b"}" * (levels // 2))
        )

    assert await read(nested(MOST_LEVELS), limit=10_000)
    with pytest.raises(InvalidRequest, match="deeper than 200 levels"):
        await read(nested(MOST_LEVELS + 2), limit=10_000)


async def test_what_a_foreign_page_can_send_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="text/plain"):
        await read(b"{}", "text/plain")


async def test_what_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        await read(b'{"a": 1}', limit=5)
