"""What every request meets on its way in and out."""

from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from hayserve.server.middleware import Forwarded, LastAnswers, RootPath, RunIds


async def silent() -> Message:
    await anyio.sleep_forever()
    raise NotImplementedError


class Heard:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)


@pytest.mark.anyio
async def test_what_is_not_http_passes_untouched() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope))

    for wrapped in (RunIds(app), LastAnswers(app)):
        await wrapped({"type": "lifespan"}, silent, Heard())
    assert seen == [{"type": "lifespan"}, {"type": "lifespan"}]


@pytest.mark.anyio
@pytest.mark.parametrize("root_path", ["/api", "api/", "/api/"])
async def test_a_root_path_has_one_slash(root_path: str) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["root_path"])

    await RootPath(app, root_path)({"type": "http"}, silent, Heard())
    assert seen == ["/api"]


@pytest.mark.anyio
async def test_a_request_that_is_dropped_before_its_answer_gets_one() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    heard = Heard()
    scope: Scope = {"type": "http", "path": "/it/run", "method": "POST", "headers": []}
    with anyio.move_on_after(0.01):
        await RunIds(LastAnswers(app))(scope, silent, heard)
    assert [message["type"] for message in heard.messages] == [
        "http.response.start",
        "http.response.body",
    ]
    assert heard.messages[0]["status"] == 503


@pytest.mark.anyio
async def test_a_request_that_is_dropped_in_its_answer_gets_no_other() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep_forever()

    heard = Heard()
    with anyio.move_on_after(0.01):
        await RunIds(LastAnswers(app))({"type": "http"}, silent, heard)
    assert [message["status"] for message in heard.messages] == [200]


@pytest.mark.anyio
async def test_a_websocket_that_is_dropped_has_said_so_itself() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    heard = Heard()
    with anyio.move_on_after(0.01):
        await RunIds(LastAnswers(app))({"type": "websocket"}, silent, heard)
    assert heard.messages == []


@pytest.mark.anyio
@pytest.mark.parametrize("answer", ["websocket.accept", "websocket.http.response.start"])
async def test_a_handshake_has_an_id_too(answer: str) -> None:
    ids: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        ids.append(scope["state"]["run_id"])
        await send({"type": answer})
        await send({"type": "websocket.send", "text": "a"})

    heard = Heard()
    await RunIds(app)({"type": "websocket"}, silent, heard)
    assert heard.messages[0]["headers"] == [(b"x-request-id", ids[0].encode())]
    assert heard.messages[1] == {"type": "websocket.send", "text": "a"}


@pytest.mark.anyio
async def test_each_request_has_an_id_of_its_own_whatever_its_client_or_the_wrapper_says() -> None:
    ids: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        ids.append(scope["state"]["run_id"])
        assert "answer_has_begun" not in scope["state"]
        headers = [(b"x-request-id", b"mine"), (b"x-other", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        assert scope["state"]["answer_has_begun"]
        await send({"type": "http.response.body", "body": b""})

    wrapped, heard = RunIds(app), Heard()
    for _ in range(200):
        headers = [(b"x-request-id", b"theirs")]
        await wrapped({"type": "http", "headers": headers}, silent, heard)
    assert len(set(ids)) == 200
    starts = [message["headers"] for message in heard.messages[::2]]
    assert starts == [[(b"x-other", b"1"), (b"x-request-id", id_.encode())] for id_ in ids]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("trusted", "client", "scheme"),
    [("10.0.0.1", ("203.0.113.7", 0), "https"), ("10.0.0.2", ("10.0.0.1", 5), "http")],
)
async def test_a_proxy_is_believed_if_it_is_a_known_one(
    trusted: str, client: tuple[str, int], scheme: str
) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append({**scope})

    forwarded = Forwarded(app, trusted=trusted)
    came: dict[str, Any] = {"type": "http", "client": ("10.0.0.1", 5), "scheme": "http"}
    await forwarded({**came}, silent, Heard())
    said = [(b"host", b"x"), (b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-proto", b"https")]
    await forwarded({**came, "headers": said}, silent, Heard())
    assert [(one["client"], one["scheme"]) for one in seen] == [
        (("10.0.0.1", 5), "http"),
        (client, scheme),
    ]
