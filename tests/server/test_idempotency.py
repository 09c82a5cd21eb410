"""A request that is sent twice with its key is answered twice from one run."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from hayserve.access.identity import Identity
from hayserve.errors import RunFailed as RunError
from hayserve.errors import RunTimedOut
from hayserve.events import Closing, RunCancelled, RunFailed, RunFinished
from hayserve.protocols.body import read_body
from hayserve.runs.answers import Answers
from hayserve.runs.live import LiveRun
from hayserve.runs.once import Once
from hayserve.runs.run import Run as StartedRun
from hayserve.server.idempotency import LARGE_BYTES, Idempotent
from hayserve.storage.database import Database
from hayserve.wrappers.capabilities import Method
from runs.asking import everybody_lives, worker

pytestmark = pytest.mark.anyio

KEYED = (b"idempotency-key", b"abc")
FINISHED = RunFinished("x")
READ = partial(read_body, limit=2 * LARGE_BYTES, pause=10)


@pytest.fixture
async def once() -> AsyncGenerator[Once]:
    async with worker("sqlite://") as here:
        yield here.once


@dataclass
class Response:
    """What a client got."""

    messages: list[Message] = field(default_factory=list[Message])

    @property
    def status(self) -> int:
        return int(self._start["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self._start["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def _start(self) -> Message:
        return next(one for one in self.messages if one["type"] == "http.response.start")


def ended(closing: Closing | None) -> LiveRun:
    method = Method("run_api", print, is_async=False, wants_headers=False)
    live = LiveRun(StartedRun("r1", "it", method, {}))
    if closing is not None:
        live.end(closing)
    return live


Run = Callable[[Scope, Receive, Send], Awaitable[None]]


async def answer(
    scope: Scope,
    send: Send,
    *,
    number: int = 1,
    status: int = 200,
    ending: Closing | None = FINISHED,
) -> None:
    """Answer as a run that has ended."""
    scope["state"]["run"] = ended(ending)
    headers = [(b"content-type", b"text/plain"), (b"date", b"today")]
    await send({"type": "http.response.debug", "info": {}})
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"run ", "more_body": True})
    await send({"type": "http.response.body", "body": b"%d" % number})


@dataclass
class App:
    """Counts its requests, and answers each with its number unless it has something else to do."""

    run: Run | None = None
    bodies: list[bytes] = field(default_factory=list[bytes])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append((await receive())["body"])
        if self.run is not None:
            await self.run(scope, receive, send)
        else:
            await answer(scope, send, number=len(self.bodies))


@dataclass
class Client:
    """Sends requests to one application, with ids of their own."""

    app: Run
    sent: int = 0

    async def post(
        self,
        *chunks: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (KEYED,),
        path: str = "/it/run",
        type: str = "http",  # noqa: A002 - as in the scope
        late: Sequence[Message] = (),
        has_left: anyio.Event | None = None,
        owner: str = "",
    ) -> Response:
        self.sent += 1
        response = Response()
        last = len(chunks) - 1
        unread: list[Message] = [
            *(
                {"type": "http.request", "body": chunk, "more_body": number < last}
                for number, chunk in enumerate(chunks)
            ),
            *late,
        ]

        async def receive() -> Message:
            if unread:
                return unread.pop(0)
            await (has_left or anyio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            response.messages.append(message)

        scope: Scope = {
            "type": type,
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost"), *headers],
            "state": {"run_id": f"r{self.sent}", "identity": Identity(owner=owner)},
        }
        await self.app(scope, receive, send)
        return response


def starts_run(scope: Scope) -> bool:
    return bool(scope["path"].endswith("/run"))


def client_of(app: Run, once: Once, **given: int) -> Client:
    return Client(Idempotent(app, once, starts_run=starts_run, read=READ, **given))


async def test_the_second_answer_is_the_first_one_again(once: Once) -> None:
    app = App()
    client = client_of(app, once)
    first = await client.post(b"he", b"llo")
    second = await client.post(b"hello")

    assert (first.status, first.body) == (200, b"run 1")
    assert (second.status, second.body) == (200, b"run 1")
    assert second.headers == {b"content-type": b"text/plain", b"idempotent-replayed": b"true"}
    assert b"idempotent-replayed" not in first.headers
    assert app.bodies == [b"hello"]


async def test_who_asks_while_the_first_is_under_way_gets_its_answer(once: Once) -> None:
    begun, free = anyio.Event(), anyio.Event()

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await free.wait()
        await answer(scope, send)

    client = client_of(App(run), once)
    answers: list[bytes] = []

    async def post() -> None:
        answers.append((await client.post(b"")).body)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(post)
        await begun.wait()
        tasks.start_soon(post)
        await anyio.wait_all_tasks_blocked()
        free.set()
    assert answers == [b"run 1", b"run 1"]


async def test_without_the_header_or_where_no_run_starts_nothing_is_kept(once: Once) -> None:
    app = App()
    client = client_of(app, once)
    for _ in range(2):
        await client.post(b"", headers=[])
        await client.post(b"", path="/deploy_files")
    assert len(app.bodies) == 4


async def test_what_is_not_http_passes(once: Once) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    client = client_of(app, once)
    await client.post(b"", type="websocket")
    assert seen == ["websocket"]


async def test_the_answer_of_a_run_that_failed_is_kept(once: Once) -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, send, status=500, ending=RunFailed(RunError("It broke.")))

    app = App(run)
    client = client_of(app, once)
    for _ in range(2):
        assert (await client.post(b"")).status == 500
    assert len(app.bodies) == 1


@pytest.mark.parametrize("ending", [RunFailed(RunTimedOut("Late.")), RunCancelled(), None])
async def test_what_ended_otherwise_is_run_anew(once: Once, ending: Closing | None) -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(scope, send, ending=ending)

    app = App(run)
    client = client_of(app, once)
    for _ in range(2):
        await client.post(b"")
    assert len(app.bodies) == 2


async def test_what_was_refused_before_a_run_began_is_asked_anew(once: Once) -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 429})
        await send({"type": "http.response.body"})

    app = App(run)
    client = client_of(app, once)
    for _ in range(2):
        assert (await client.post(b"")).status == 429
    assert len(app.bodies) == 2


async def test_a_client_that_leaves_before_it_has_the_whole_answer_may_ask_anew(once: Once) -> None:
    left = anyio.Event()
    left.set()

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["run"] = ended(FINISHED)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"

    app = App(run)
    client = client_of(app, once)
    await client.post(b"", has_left=left)
    app.run = None
    assert (await client.post(b"")).body == b"run 2"


async def test_a_mistake_of_the_server_is_not_kept(once: Once) -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    app = App(run)
    client = client_of(app, once)
    with pytest.raises(ZeroDivisionError):
        await client.post(b"")
    app.run = None
    assert (await client.post(b"")).body == b"run 2"


async def test_an_answer_that_is_too_large_is_sent_once(once: Once) -> None:
    app = App()
    client = client_of(app, once, most_bytes=4)
    first, second = await client.post(b""), await client.post(b"")

    assert first.body == b"run 1"
    assert second.headers[b"x-should-retry"] == b"false"
    assert b"'r1', and its answer was too large to be kept." in second.body
    assert len(app.bodies) == 1


async def test_an_answer_of_just_that_size_is_kept(once: Once) -> None:
    client = client_of(App(), once, most_bytes=5)
    for _ in range(2):
        assert (await client.post(b"")).body == b"run 1"


@pytest.mark.parametrize(
    "other",
    [
        {"body": b"another"},
        {"path": "/another/run"},
        {"headers": [KEYED, (b"content-type", b"text/plain")]},
    ],
)
async def test_another_request_with_the_key_is_refused(once: Once, other: dict[str, Any]) -> None:
    app = App()
    client = client_of(app, once)
    await client.post(b"")
    refused = await client.post(other.pop("body", b""), **other)

    assert refused.status == 422
    assert b'"code":"idempotency_mismatch"' in refused.body
    assert len(app.bodies) == 1


@pytest.mark.parametrize("values", [[b""], [b"a b"], [b"x" * 256], ["ä".encode()], [b"a", b"a"]])
async def test_what_cannot_be_a_key_is_refused(once: Once, values: list[bytes]) -> None:
    app = App()
    headers = [(b"idempotency-key", value) for value in values]
    refused = await client_of(app, once).post(b"", headers=headers)

    assert refused.status == 422
    assert b"1 to 255 visible ASCII characters" in refused.body
    assert app.bodies == []


async def test_a_key_of_another_caller_is_another_key(once: Once) -> None:
    client = client_of(App(), once)
    for owner, answered in (("a", b"run 1"), ("b", b"run 2"), ("a", b"run 1")):
        assert (await client.post(b"", headers=[KEYED], owner=owner)).body == answered


async def test_a_form_may_have_another_boundary_when_it_is_sent_again(once: Once) -> None:
    client = client_of(App(), once)

    async def post(boundary: bytes, text: bytes) -> Response:
        kind = (b"content-type", b'multipart/form-data; boundary="%s"' % boundary)
        body = b"--%s\r\n\r\n%s\r\n--%s--\r\n" % (boundary, text, boundary)
        return await client.post(body, headers=[KEYED, kind])

    assert (await post(b"one", b"text")).body == b"run 1"
    assert (await post(b"another", b"text")).body == b"run 1"
    assert (await post(b"another", b"other text")).status == 422


async def test_a_large_body_makes_no_difference(once: Once) -> None:
    client = client_of(App(), once)
    for chunks in ([b"x" * LARGE_BYTES], [b"x", b"x" * (LARGE_BYTES - 1)]):
        assert (await client.post(*chunks)).body == b"run 1"


async def test_a_body_that_is_too_large_is_refused(once: Once) -> None:
    app = App()
    refused = await client_of(app, once).post(b"x" * (2 * LARGE_BYTES + 1))

    assert refused.status == 413
    assert app.bodies == []


async def test_a_client_that_leaves_in_its_request_starts_nothing(once: Once) -> None:
    app, left = App(), anyio.Event()
    left.set()
    response = await client_of(app, once).post(has_left=left)

    assert (response.messages, app.bodies) == ([], [])


async def test_a_client_that_leaves_while_it_waits_is_not_answered(once: Once) -> None:
    begun, left = anyio.Event(), anyio.Event()
    left.set()

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await anyio.sleep_forever()

    app = App(run)
    client = client_of(app, once)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.post, b"")
        await begun.wait()
        late = [{"type": "http.request"}]  # as some servers say when the next request comes
        assert (await client.post(b"", late=late, has_left=left)).messages == []
        tasks.cancel_scope.cancel()
    app.run = None
    assert (await client.post(b"")).body == b"run 2"


async def test_without_the_database_nobody_promises_anything() -> None:
    answers = Answers(Database("sqlite://"), worker="w", keep_seconds=1)
    once, app = Once(answers, is_alive=everybody_lives), App()
    async with once.running():
        refused = await client_of(app, once).post(b"")

    assert refused.status == 503
    assert app.bodies == []
