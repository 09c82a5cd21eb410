from typing import Any

import anyio
import pytest
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from hayserve.errors import RequestTimeout, TooLarge
from hayserve.protocols.body import EXTENSION, limited, read_body

pytestmark = pytest.mark.anyio

LEFT: Message = {"type": "http.disconnect"}


def some(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": True}


def last(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": False}


class Sender:
    """A client that sends these messages and then nothing."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.asked = 0

    async def __call__(self) -> Message:
        self.asked += 1
        if not self._messages:
            await anyio.sleep_forever()
        return self._messages.pop(0)


class Clock:
    """A web server's, which says that the body is late when nothing is left of it."""

    def __init__(self, *, is_late: bool = False) -> None:
        self.is_late = is_late
        self.pause: float | None = None

    def allow(self, pause: float) -> None:
        self.pause = pause


def scope_with(clock: Clock | None = None, **headers: str) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "headers": [
            (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
        ],
    }
    if clock is not None:
        scope["extensions"] = {EXTENSION: clock}
    return scope


async def read(
    sender: Sender, scope: dict[str, Any] | None = None, *, limit: int = 10, pause: float = 30
) -> bytes:
    return await read_body(scope or scope_with(), sender, limit=limit, pause=pause)


async def test_a_body_in_one_piece_is_asked_for_once() -> None:
    sender = Sender(last(b"0123456789"))

    assert await read(sender, scope_with(Clock(), host="x")) == b"0123456789"
    assert sender.asked == 1


async def test_a_body_in_pieces_is_put_together() -> None:
    assert await read(Sender(some(b"012"), some(b""), some(b"345"), last(b""))) == b"012345"


async def test_a_body_that_says_nothing_of_itself_is_empty() -> None:
    assert await read(Sender({"type": "http.request"})) == b""


async def test_a_body_that_is_said_to_be_too_large_is_not_read() -> None:
    sender = Sender(last(b"0"))

    with pytest.raises(TooLarge, match="The body is larger than 10 bytes") as refused:
        await read(sender, scope_with(content_length="11"))

    assert refused.value.hint == "Send less, or ask whoever runs the server to allow more."
    assert sender.asked == 0


async def test_a_body_is_read_no_further_than_the_limit() -> None:
    sender = Sender(some(b"01234"), some(b"567890"), last(b""))

    with pytest.raises(TooLarge):
        await read(sender)

    assert sender.asked == 2


async def test_large_limits_are_told_in_megabytes() -> None:
    with pytest.raises(TooLarge, match=r"larger than 2\.5 MB"):
        await read(Sender(), scope_with(content_length="2500001"), limit=2_500_000)


async def test_a_body_as_large_as_allowed_is_read() -> None:
    assert await read(Sender(some(b"01234"), last(b"56789")), scope_with(content_length="10"))


async def test_a_client_that_leaves_is_told_from_one_that_has_sent_all() -> None:
    with pytest.raises(ClientDisconnect):
        await read(Sender(some(b"0"), LEFT))


async def test_without_a_clock_of_the_web_server_a_body_that_stalls_is_given_up() -> None:
    sender = Sender(some(b"0"))

    with pytest.raises(RequestTimeout, match=r"Nothing of the body came for 0\.01 s"):
        await read(sender, pause=0.01)


async def test_the_web_servers_clock_is_told_the_pause_and_looked_at() -> None:
    clock = Clock(is_late=True)

    with pytest.raises(RequestTimeout):
        await read(Sender(some(b"")), scope_with(clock), pause=7)

    assert clock.pause == 7


async def test_a_late_body_that_is_there_is_read() -> None:
    assert await read(Sender(last(b"0")), scope_with(Clock(is_late=True))) == b"0"


FORM = (
    b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n'
    b'--x\r\ncontent-disposition: form-data; name="word"\r\n\r\nhello\r\n--x--\r\n'
)


async def test_a_form_is_read_through_it() -> None:
    scope = scope_with(content_type="multipart/form-data; boundary=x")
    receive = limited(scope, Sender(some(FORM[:50]), last(FORM[50:])), limit=1000, pause=30)

    async with Request(scope, receive).form() as form:
        file = form["file"]
        assert isinstance(file, UploadFile)
        assert (await file.read(), form["word"]) == (b"abc", "hello")


async def test_a_form_that_grows_too_large_is_refused() -> None:
    scope = scope_with(content_type="multipart/form-data; boundary=x")
    receive = limited(scope, Sender(some(FORM[:50]), last(FORM[50:])), limit=60, pause=30)

    with pytest.raises(TooLarge):
        await Request(scope, receive).form()


async def test_a_body_that_others_read_is_counted_and_timed_under_any_web_server() -> None:
    receive = limited(scope_with(), Sender(some(b"01"), some(b"234")), limit=4, pause=0.05)
    assert (await receive())["body"] == b"01"
    with pytest.raises(TooLarge):
        await receive()
    with pytest.raises(RequestTimeout):
        await receive()


async def test_a_body_that_others_read_is_late_when_the_web_server_says_so() -> None:
    clock = Clock(is_late=True)
    receive = limited(scope_with(clock), Sender(some(b"")), limit=4, pause=3)
    with pytest.raises(RequestTimeout, match="for 3 s"):
        await receive()
    assert clock.pause == 3
