"""How the events of a run reach its client, and what becomes of it when the client leaves."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message, Scope

from hayserve.events import Event, RunCancelled, RunFinished, StreamOpened, TextDelta
from hayserve.protocols import sse
from hayserve.protocols.body import EXTENSION
from hayserve.protocols.sse import KEEP_ALIVE, SSE_HEADERS, EventStreamResponse, while_connected
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run
from hayserve.wrappers.capabilities import Method
from runs.running import executing, quiet, run_of

pytestmark = pytest.mark.anyio

METHOD = Method("run_api", function=print, is_async=False, wants_headers=False)
IN_A_TASK: Scope = {"type": "http"}
DIRECT: Scope = {"type": "http", "extensions": {EXTENSION: object()}}

directly_and_in_a_task = pytest.mark.parametrize(
    "scope", [pytest.param(DIRECT, id="direct"), pytest.param(IN_A_TASK, id="in a task")]
)

where: ContextVar[str] = ContextVar("where", default="nowhere")


class Words:
    """The text of each event, a full stop for its end, and why it was stopped."""

    def encode(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            if event.text == "unspeakable":
                raise ValueError(event.text)
            return event.text.encode()
        if isinstance(event, RunCancelled):
            return f"stopped: {event.reason}".encode()
        return b"." if isinstance(event, RunFinished) else b""


class Connection:
    """A client that reads what it is sent and leaves when it is told to.

    Args:
        when_sent: Called with each body.
        takes: Awaited before something is taken; by default all is at once.
        fails: What sending raises from the message of that number on.
    """

    def __init__(
        self,
        *,
        when_sent: Callable[[bytes], object] = lambda _: None,
        takes: Callable[[], Awaitable[object]] | None = None,
        fails: tuple[int, BaseException] | None = None,
    ) -> None:
        self.sent: list[Message] = []
        self.has_left = anyio.Event()
        self.received_in: list[str] = []
        self._when_sent = when_sent
        self._takes = takes
        self._fails = fails
        self._tried = 0
        self._still_to_come = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive(self) -> Message:
        self.received_in.append(where.get())
        if self._still_to_come:
            return self._still_to_come.pop()
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._takes is not None and message["type"] == "http.response.body":
            await self._takes()
        self._tried += 1
        if self._fails is not None and self._tried > self._fails[0]:
            raise self._fails[1]
        self.sent.append(message)
        self._when_sent(message.get("body", b""))

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]

    @property
    def is_told_more(self) -> list[bool]:
        return [message["more_body"] for message in self.sent[1:]]


def live_run(*, survives: bool = False) -> LiveRun:
    return LiveRun(Run("0123", "it", METHOD, {}, survives=survives))


async def answered(
    live: LiveRun,
    connection: Connection,
    *,
    opening: Sequence[Event],
    scope: Scope = DIRECT,
    keep_alive: bytes = KEEP_ALIVE,
) -> None:
    response = EventStreamResponse(live, opening=opening, encoder=Words(), keep_alive=keep_alive)
    with anyio.fail_after(10):
        await response(scope, connection.receive, connection.send)


@directly_and_in_a_task
async def test_events_that_wait_are_sent_together_and_the_last_with_the_end(scope: Scope) -> None:
    live, connection = live_run(), Connection()
    for text in "bc":
        live.channel.emit(TextDelta(text))
    live.end(RunFinished())

    await answered(live, connection, opening=[StreamOpened(), TextDelta("a")], scope=scope)

    assert connection.sent[0] == {
        "type": "http.response.start",
        "status": 200,
        "headers": [(name.encode(), value.encode()) for name, value in SSE_HEADERS.items()],
    }
    assert connection.bodies == [b"a", b"bc."]
    assert connection.is_told_more == [True, False]


@directly_and_in_a_task
async def test_each_event_is_sent_when_it_comes(scope: Scope) -> None:
    live = live_run()
    to_come: list[Callable[[], object]] = [
        lambda: live.end(RunFinished()),
        lambda: live.channel.emit(StreamOpened()) or live.channel.emit(TextDelta("c")),
        lambda: live.channel.emit(TextDelta("b")),
    ]

    def sent(body: bytes) -> None:
        if body and to_come:
            asyncio.get_running_loop().call_soon(to_come.pop())

    connection = Connection(when_sent=sent)
    await answered(live, connection, opening=[TextDelta("a")], scope=scope)
    assert connection.bodies == [b"a", b"b", b"c", b"."]


@directly_and_in_a_task
async def test_an_opening_that_says_all_is_one_message(scope: Scope) -> None:
    live, connection = live_run(), Connection()
    opening = [StreamOpened(), TextDelta("a"), TextDelta("b"), RunFinished()]
    await answered(live, connection, opening=opening, scope=scope)
    assert connection.bodies == [b"ab."]
    assert connection.is_told_more == [False]


@directly_and_in_a_task
async def test_an_opening_that_says_nothing_is_not_sent(scope: Scope) -> None:
    live, connection = live_run(), Connection()
    live.end(RunCancelled("so"))
    await answered(live, connection, opening=[StreamOpened()], scope=scope)
    assert connection.bodies == [b"stopped: so"]


async def test_a_run_of_a_wrapper_is_sent_to_its_end() -> None:
    async def works() -> AsyncGenerator[str]:
        for number in range(100):
            yield str(number % 10)
            await anyio.lowlevel.checkpoint()

    async with executing() as executor:
        live = executor.start(run_of(works))
        connection = Connection(takes=anyio.lowlevel.checkpoint)
        await answered(live, connection, opening=await live.opening(grace=5))
    assert b"".join(connection.bodies) == b"0123456789" * 10 + b"."
    assert connection.is_told_more[-1] is False


async def test_middleware_that_adds_headers_adds_them_to_this_answer_only() -> None:
    for _ in range(2):
        connection = Connection()
        await answered(live_run(), connection, opening=[RunFinished()])
        headers: list[tuple[bytes, bytes]] = connection.sent[0]["headers"]
        assert len(headers) == len(SSE_HEADERS)
        headers.append((b"x-added", b"1"))


# ---- silence


async def test_a_stream_that_says_nothing_for_long_is_kept_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    live = live_run()
    heard: list[bytes] = []

    def sent(body: bytes) -> None:
        heard.append(body)
        if heard.count(KEEP_ALIVE) == 3:
            live.end(RunFinished())

    connection = Connection(when_sent=sent)
    await answered(live, connection, opening=[StreamOpened()])
    assert connection.bodies == [KEEP_ALIVE] * 3 + [b"."]


async def test_a_stream_that_talks_is_not_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.05)
    live = live_run()

    async def talks() -> None:
        for _ in range(20):
            await anyio.sleep(0.01)
            live.channel.emit(TextDelta("a"))
        live.end(RunFinished())

    connection = Connection()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(talks)
        await answered(live, connection, opening=[StreamOpened()])
    assert connection.bodies.count(KEEP_ALIVE) <= 1


async def test_a_stream_that_is_not_to_be_kept_alive_waits_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    live, connection = live_run(), Connection()
    with anyio.move_on_after(0.05):
        await answered(live, connection, opening=[StreamOpened()], keep_alive=b"")
    assert connection.bodies == [b"stopped: the server is stopping"]
    assert live.closing == RunCancelled()


async def test_a_word_that_keeps_alive_and_cannot_be_sent_ends_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    live, connection = live_run(), Connection(fails=(1, ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        await answered(live, connection, opening=[StreamOpened()])
    assert live.closing == RunCancelled()


# ---- slow clients


class Slow:
    """A client that takes one message each time it is let to."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(0)
        self.waits = 0

    async def __call__(self) -> None:
        self.waits += 1
        await self._turns.acquire()

    def take_one(self) -> None:
        self._turns.release()


@directly_and_in_a_task
async def test_nothing_is_taken_from_the_run_while_the_client_takes_nothing(scope: Scope) -> None:
    live, slow = live_run(), Slow()
    connection = Connection(takes=slow)
    async with anyio.create_task_group() as tasks:

        async def answers() -> None:
            await answered(live, connection, opening=[TextDelta("a")], scope=scope)

        tasks.start_soon(answers)
        await anyio.wait_all_tasks_blocked()
        for text in "bcd":
            live.channel.emit(TextDelta(text))
            await quiet()
        assert live.channel.has_events
        assert (connection.bodies, slow.waits) == ([], 1)
        slow.take_one()
        await quiet()
        assert not live.channel.has_events
        assert (connection.bodies, slow.waits) == ([b"a"], 2)
        live.end(RunFinished())
        slow.take_one()
        slow.take_one()
    assert connection.bodies == [b"a", b"bcd", b"."]


class Gives:
    """A wrapper that counts the items that it has given."""

    def __init__(self) -> None:
        self.count = 0

    def sync(self) -> Generator[str]:
        for _ in range(2000):
            self.count += 1
            yield "x" * 1000

    async def later(self) -> AsyncGenerator[str]:
        for item in self.sync():
            yield item


@directly_and_in_a_task
@pytest.mark.parametrize("form", [Gives.sync, Gives.later])
async def test_the_run_of_a_slow_client_waits_and_takes_no_more_memory(
    scope: Scope, form: Callable[[Gives], object]
) -> None:
    gives, slow = Gives(), Slow()
    connection = Connection(takes=slow)
    async with executing() as executor, anyio.create_task_group() as tasks:
        live = executor.start(run_of(form.__get__(gives)))

        async def answers() -> None:
            await answered(live, connection, opening=await live.opening(grace=5), scope=scope)

        tasks.start_soon(answers)
        while not slow.waits or not live.channel.is_full:
            await quiet()
        assert gives.count < 600  # what waits in the channel, and what was taken from it
        while live.closing is None:
            slow.take_one()
            await quiet()
            assert gives.count - sum(map(len, connection.bodies)) / 1000 < 600
        for _ in range(3):
            slow.take_one()
    assert sum(map(len, connection.bodies)) == 2000 * 1000 + 1


@directly_and_in_a_task
async def test_a_client_that_does_not_take_the_end_of_a_stream_is_given_up(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    monkeypatch.setattr(sse, "STALLED_SECONDS", 0.05)
    given_up: list[str] = []

    async def never() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            given_up.append("taking")

    live, connection = live_run(), Connection(takes=never)
    live.end(RunFinished())
    await answered(live, connection, opening=[TextDelta("a")], scope=scope)
    await anyio.wait_all_tasks_blocked()
    assert connection.bodies == []
    assert given_up == ["taking"]


async def test_a_client_that_takes_nothing_is_waited_for_while_its_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.005)
    monkeypatch.setattr(sse, "STALLED_SECONDS", 0.01)
    live, slow = live_run(), Slow()
    connection = Connection(takes=slow)
    async with anyio.create_task_group() as tasks:

        async def answers() -> None:
            await answered(live, connection, opening=[TextDelta("a")])

        tasks.start_soon(answers)
        await anyio.sleep(0.05)
        assert live.closing is None
        monkeypatch.setattr(sse, "STALLED_SECONDS", 10)
        live.end(RunFinished())
        slow.take_one()
        slow.take_one()
    assert connection.bodies == [b"a", b"."]


# ---- clients that leave


@directly_and_in_a_task
async def test_a_client_that_leaves_stops_the_stream_and_the_run(scope: Scope) -> None:
    live = live_run()
    connection = Connection()
    connection.has_left.set()
    asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(live.lasts))
    await answered(live, connection, opening=[TextDelta("a")], scope=scope)
    assert connection.bodies == [b"a", b"stopped: the client left"]
    assert live.closing == RunCancelled("the client left")


async def test_nobody_listens_for_the_client_of_a_short_run() -> None:
    live, connection = live_run(), Connection()
    live.end(RunFinished("a"))
    events = await while_connected(connection.receive, live, live.channel.receive)
    assert events == [RunFinished("a")]
    live.lasts()
    await anyio.wait_all_tasks_blocked()
    assert connection.received_in == []


async def test_who_listens_for_the_client_does_so_in_the_requests_own_context() -> None:
    live, connection = live_run(), Connection()
    connection.has_left.set()
    where.set("request")
    asyncio.get_running_loop().call_soon(live.lasts)
    with anyio.fail_after(5):
        events = await while_connected(connection.receive, live, live.channel.receive)
    assert events == [RunCancelled("the client left")]
    assert set(connection.received_in) == {"request"}


async def test_a_client_that_stays_is_listened_to_no_longer_than_it_is_answered() -> None:
    live, connection = live_run(), Connection()

    async def read() -> list[Event]:
        live.lasts()
        await anyio.wait_all_tasks_blocked()
        assert len(connection.received_in) == 2
        live.end(RunFinished("a"))
        return await live.channel.receive()

    assert await while_connected(connection.receive, live, read) == [RunFinished("a")]
    await anyio.wait_all_tasks_blocked()
    assert live.closing == RunFinished("a")


async def test_a_request_that_is_dropped_while_it_waits_stops_its_run() -> None:
    live, connection = live_run(), Connection()
    with anyio.move_on_after(0.01):
        await while_connected(connection.receive, live, live.channel.receive)
    assert live.closing == RunCancelled()


@directly_and_in_a_task
@pytest.mark.parametrize("takes", [None, anyio.lowlevel.checkpoint])
async def test_a_client_that_cannot_be_sent_to_has_left(
    scope: Scope, takes: Callable[[], Awaitable[None]] | None
) -> None:
    live = live_run()
    connection = Connection(takes=takes, fails=(2, BrokenPipeError()))
    live.channel.emit(TextDelta("b"))
    await answered(live, connection, opening=[TextDelta("a")], scope=scope)
    assert connection.bodies == [b"a"]
    assert live.closing == RunCancelled("the client left")


async def test_a_client_that_left_before_its_answer_began_stops_the_run() -> None:
    live, connection = live_run(), Connection(fails=(0, BrokenPipeError()))
    with pytest.raises(BrokenPipeError):
        await answered(live, connection, opening=[TextDelta("a")])
    assert live.closing == RunCancelled()


@directly_and_in_a_task
@pytest.mark.parametrize("takes", [None, anyio.lowlevel.checkpoint])
@pytest.mark.parametrize("moment", range(1, 4))
async def test_whatever_else_sending_raises_ends_the_run_and_is_raised(
    scope: Scope, takes: Callable[[], Awaitable[None]] | None, moment: int
) -> None:
    live = live_run()
    connection = Connection(takes=takes, fails=(moment, ZeroDivisionError()))
    live.channel.emit(TextDelta("b"))
    asyncio.get_running_loop().call_later(0.01, live.channel.emit, TextDelta("c"))
    with pytest.raises(ZeroDivisionError):
        await answered(live, connection, opening=[TextDelta("a")], scope=scope)
    assert connection.bodies == [b"a", b"b"][: moment - 1]
    assert isinstance(live.closing, RunCancelled)
    assert live.channel.is_closed


@pytest.mark.parametrize("is_opening", [True, False])
async def test_an_event_that_has_no_form_ends_the_run_and_is_raised(is_opening: bool) -> None:
    live, connection = live_run(), Connection()
    bad = TextDelta("unspeakable")
    if not is_opening:
        live.channel.emit(bad)
    with pytest.raises(ValueError, match="unspeakable"):
        await answered(live, connection, opening=[bad if is_opening else TextDelta("a")])
    assert isinstance(live.closing, RunCancelled)


# ---- runs that go on when their client leaves


@directly_and_in_a_task
@pytest.mark.parametrize("number", range(4))
async def test_a_run_that_is_to_go_on_does_so_when_its_client_cannot_be_sent_to(
    scope: Scope, number: int
) -> None:
    said: list[str] = []

    async def works() -> AsyncGenerator[str]:
        for text in "abc":
            yield text
            await anyio.sleep(0.005)
            said.append(text)

    run = run_of(works)
    run.survives = True
    connection = Connection(fails=(number, BrokenPipeError()))
    async with executing() as executor:
        live = executor.start(run)
        await answered(live, connection, opening=await live.opening(grace=5), scope=scope)
        assert live.closing == RunFinished()
    assert said == ["a", "b", "c"]
    assert len(connection.sent) == number


async def test_nobody_listens_for_the_client_of_a_run_that_is_to_go_on() -> None:
    live, connection = live_run(survives=True), Connection()
    connection.has_left.set()

    async def read() -> list[Event]:
        live.lasts()
        await anyio.wait_all_tasks_blocked()
        live.end(RunFinished("a"))
        return await live.channel.receive()

    assert await while_connected(connection.receive, live, read) == [RunFinished("a")]
    assert connection.received_in == []


# ---- servers that stop


@directly_and_in_a_task
async def test_a_stream_that_the_server_drops_is_ended_so_that_its_client_knows(
    scope: Scope,
) -> None:
    live, dropped = live_run(), anyio.CancelScope()
    connection = Connection(when_sent=lambda body: dropped.cancel() if body == b"a" else None)
    with dropped:
        await answered(live, connection, opening=[TextDelta("a")], scope=scope)
    assert connection.bodies == [b"a", b"stopped: the server is stopping"]
    assert connection.is_told_more == [True, False]
    assert isinstance(live.closing, RunCancelled)


@directly_and_in_a_task
async def test_a_slow_client_of_a_stream_that_is_dropped_gets_what_it_was_being_sent(
    scope: Scope,
) -> None:
    live, slow, dropped = live_run(), Slow(), anyio.CancelScope()
    connection = Connection(takes=slow)
    async with anyio.create_task_group() as tasks:

        async def answers() -> None:
            with dropped:
                await answered(live, connection, opening=[TextDelta("a")], scope=scope)

        tasks.start_soon(answers)
        await anyio.wait_all_tasks_blocked()
        dropped.cancel()
        live.channel.emit(TextDelta("b"))
        await anyio.wait_all_tasks_blocked()
        slow.take_one()
        await anyio.wait_all_tasks_blocked()
        slow.take_one()
    assert connection.bodies == [b"a", b"stopped: the server is stopping"]


@directly_and_in_a_task
async def test_a_client_that_takes_nothing_does_not_keep_the_server_from_stopping(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "FAREWELL_SECONDS", 0.01)
    live, connection = live_run(), Connection(takes=anyio.sleep_forever)
    with anyio.move_on_after(0.01) as dropped:
        await answered(live, connection, opening=[TextDelta("a")], scope=scope)
    assert dropped.cancelled_caught
    assert connection.bodies == []
    assert isinstance(live.closing, RunCancelled)
    await anyio.wait_all_tasks_blocked()


@directly_and_in_a_task
async def test_a_stream_that_has_said_its_end_is_not_ended_twice(scope: Scope) -> None:
    live, dropped = live_run(), anyio.CancelScope()

    async def takes() -> None:
        dropped.cancel()
        await anyio.lowlevel.checkpoint()

    connection = Connection(takes=takes)
    live.end(RunFinished())
    with dropped:
        await answered(live, connection, opening=[StreamOpened()], scope=scope)
    await anyio.wait_all_tasks_blocked()
    assert connection.bodies in ([], [b"."])


# ---- middleware


async def test_what_sends_may_wait_for_anything_and_see_itself_cancelled() -> None:
    seen: list[Any] = []
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def takes() -> None:
        await asyncio.sleep(0)
        seen.append(await asyncio.shield(done))
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except TimeoutError:
            seen.append("late")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.lowlevel.checkpoint)
        seen.append("taken")

    live, connection = live_run(), Connection(takes=takes)
    asyncio.get_running_loop().call_later(0.01, done.set_result, "done")
    asyncio.get_running_loop().call_later(0.01, live.end, RunFinished())
    await answered(live, connection, opening=[TextDelta("a")])
    assert connection.bodies == [b"a", b"."]
    assert seen == ["done", "late", "taken"] * 2
