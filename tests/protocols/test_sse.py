from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from hayserve.events import Event, RunCancelled, RunFinished, StreamOpened, TextDelta
from hayserve.protocols import sse
from hayserve.protocols.sse import SSE_HEADERS, EventStreamResponse, while_connected
from hayserve.runs.channel import Channel
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method

METHOD = Method("run_api", function=print, is_async=False, wants_headers=False)


class Words:
    """The text of each event, a full stop for its end, and why it was stopped."""

    def encode(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            return event.text.encode()
        if isinstance(event, RunCancelled) and event.reason:
            return f"stopped: {event.reason}".encode()
        return b"." if isinstance(event, RunFinished) else b""


class Connection:
    """A client that reads what it is sent and leaves when it is told to."""

    def __init__(self, *, when_sent: Callable[[bytes], None] = lambda _: None) -> None:
        self.sent: list[Message] = []
        self.has_left = anyio.Event()
        self._when_sent = when_sent
        self._still_to_come = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._still_to_come:
            return self._still_to_come.pop()
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self._when_sent(message.get("body", b""))

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]


def live_run() -> LiveRun:
    return LiveRun(Run("0123", "it", METHOD, {}), Channel(), anyio.CancelScope())


@pytest.mark.anyio
async def test_events_that_wait_are_sent_together_and_the_stream_is_ended() -> None:
    live, connection = live_run(), Connection()
    for event in (TextDelta("b"), TextDelta("c"), RunFinished()):
        live.channel.emit(event)
    opening = [StreamOpened(), TextDelta("a")]

    response = EventStreamResponse(live, opening=opening, encoder=Words())
    await response({}, connection.receive, connection.send)

    assert connection.sent[0] == {
        "type": "http.response.start",
        "status": 200,
        "headers": [(name.encode(), value.encode()) for name, value in SSE_HEADERS.items()],
    }
    assert connection.bodies == [b"a", b"bc.", b""]
    assert [message["more_body"] for message in connection.sent[1:]] == [True, True, False]


@pytest.mark.anyio
async def test_an_opening_that_says_nothing_is_not_sent() -> None:
    live, connection = live_run(), Connection()
    response = EventStreamResponse(
        live, opening=[StreamOpened(), RunCancelled("")], encoder=Words()
    )
    await response({}, connection.receive, connection.send)
    assert connection.bodies == [b""]


@pytest.mark.anyio
async def test_a_stream_that_says_nothing_for_long_is_kept_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    live = live_run()

    def finish(body: bytes) -> None:
        if body == b": keep-alive\n\n":
            live.channel.emit(RunFinished())

    connection = Connection(when_sent=finish)
    response = EventStreamResponse(live, opening=[StreamOpened()], encoder=Words())
    await response({}, connection.receive, connection.send)
    assert connection.bodies[-2:] == [b".", b""]
    assert set(connection.bodies[:-2]) == {b": keep-alive\n\n"}


@pytest.mark.anyio
async def test_a_stream_that_is_not_to_be_kept_alive_waits_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    live, connection = live_run(), Connection()
    response = EventStreamResponse(live, opening=[StreamOpened()], encoder=Words(), keep_alive=b"")
    with anyio.move_on_after(0.05):
        await response({}, connection.receive, connection.send)
    assert connection.bodies == [b"stopped: the server is stopping", b""]
    assert live.channel.is_closed


@pytest.mark.anyio
async def test_a_stream_that_the_server_drops_is_ended_so_that_its_client_knows() -> None:
    live, dropped = live_run(), anyio.CancelScope()
    connection = Connection(when_sent=lambda body: dropped.cancel() if body == b"a" else None)
    response = EventStreamResponse(live, opening=[TextDelta("a")], encoder=Words())
    with dropped:
        await response({}, connection.receive, connection.send)
    assert connection.bodies == [b"a", b"stopped: the server is stopping", b""]
    assert [message["more_body"] for message in connection.sent[1:]] == [True, True, False]
    assert live.scope.cancel_called


@pytest.mark.anyio
async def test_a_stream_that_has_said_its_end_is_not_ended_twice() -> None:
    live, dropped = live_run(), anyio.CancelScope()
    connection = Connection(when_sent=lambda body: dropped.cancel() if body == b"." else None)

    async def send(message: Message) -> None:
        await connection.send(message)
        await anyio.lowlevel.checkpoint()

    response = EventStreamResponse(live, opening=[RunFinished()], encoder=Words())
    with dropped:
        await response({}, connection.receive, send)
    assert connection.bodies == [b"."]


@pytest.mark.anyio
async def test_a_client_that_leaves_stops_the_stream_and_the_run() -> None:
    live = live_run()
    connection = Connection(when_sent=lambda body: connection.has_left.set() if body else None)
    response = EventStreamResponse(live, opening=[TextDelta("a")], encoder=Words())
    with anyio.fail_after(5):
        await response({}, connection.receive, connection.send)
    assert connection.bodies == [b"a"]
    assert live.channel.is_closed
    assert live.scope.cancel_called


@pytest.mark.anyio
async def test_what_is_read_while_the_client_is_there_is_given() -> None:
    live, connection = live_run(), Connection()
    live.channel.emit(RunFinished("a"))
    events = await while_connected(connection.receive, live, live.channel.receive)
    assert events == [RunFinished("a")]
    assert not live.scope.cancel_called


@pytest.mark.anyio
async def test_a_client_that_leaves_before_its_answer_begins_stops_the_run() -> None:
    live, connection = live_run(), Connection()
    connection.has_left.set()
    with anyio.fail_after(5):
        events = await while_connected(connection.receive, live, live.channel.receive)
    assert events == [RunCancelled("the client left")]
    assert live.scope.cancel_called
