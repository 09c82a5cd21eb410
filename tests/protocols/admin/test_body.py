"""What is read of a request's body; that too much is refused is told in test_routes."""

import pytest
from starlette.requests import Request
from starlette.types import Message

from hayserve.errors import InvalidRequest, TooLarge
from hayserve.protocols.admin.body import read_body


@pytest.mark.anyio
async def test_a_client_that_leaves_in_the_middle_is_no_failure_of_ours() -> None:
    messages: list[Message] = [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    request = Request({"type": "http", "headers": []}, receive)
    with pytest.raises(InvalidRequest, match="closed before all of it had come"):
        await read_body(request, most=10, refusal=TooLarge("Too large."))
