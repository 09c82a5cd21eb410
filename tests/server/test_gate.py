"""Who may deploy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message, Receive, Scope, Send

from hayserve.access.entry import ASK_AGAIN
from hayserve.access.identity import GUEST, IDENTITY, Identity
from hayserve.server.callers import Callers, Door
from hayserve.server.gate import Gate
from server.serving import HELLO, Server, put, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, insecure=False) as server:
        yield server


@pytest.fixture
def key(server: Server) -> str:
    assert server.settings.key_file is not None
    return server.settings.key_file.read_text()


def deploy(server: Server, **headers: str) -> int:
    body = {"name": "a", "files": {"pipeline_wrapper.py": HELLO}, "overwrite": True}
    return server.http.post("/deploy_files", json=body, headers=headers).status_code


def test_without_a_key_nobody_deploys(server: Server) -> None:
    refused = server.http.post("/deploy_files", json={})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["detail"] == "This needs a key."
    assert server.http.post("/deploy-yaml", json={}).status_code == 401
    assert server.http.post("/undeploy/a").status_code == 401
    assert server.http.get("/status").status_code == 200


@pytest.mark.parametrize("shown", ["Bearer nope", "Bearer ", "Basic YTpi", "Bearer ключ"])
def test_another_key_does_not_do(server: Server, shown: str) -> None:
    headers = {b"authorization": shown.encode()}
    refused = server.http.post("/deploy_files", json={}, headers=headers)
    assert refused.status_code == 401


def test_the_local_key_opens(server: Server, key: str) -> None:
    assert deploy(server, authorization=f"Bearer {key}") == 200
    assert deploy(server, authorization=f"bearer  {key}") == 200
    assert deploy(server, **{"x-api-key": key}) == 200
    assert deploy(server, authorization="Basic YTpi", **{"x-api-key": key}) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil.example@localhost",
        "localhost@evil.example",
        "127.0.0.1.nip.io",
        "[::1",
        "192.168.1.1:1416",
        "",
    ],
)
def test_a_request_to_another_host_is_refused(server: Server, key: str, host: str) -> None:
    assert deploy(server, host=host, authorization=f"Bearer {key}") == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.2:1416", "[::1]:1416"])
def test_a_request_to_this_machine_is_taken(server: Server, key: str, host: str) -> None:
    assert deploy(server, host=host, authorization=f"Bearer {key}") == 200


@pytest.mark.parametrize(
    "origin",
    ["null", "https://evil.example", "http://localhost:3000", "http://[::1", "", "localhost"],
)
def test_a_page_of_another_origin_is_refused(server: Server, key: str, origin: str) -> None:
    assert deploy(server, origin=origin, authorization=f"Bearer {key}") == 403


def test_a_page_of_the_same_origin_may_deploy_with_the_key(server: Server, key: str) -> None:
    assert deploy(server, origin="http://localhost", authorization=f"Bearer {key}") == 200
    assert deploy(server, origin="http://localhost") == 401


def test_an_insecure_server_asks_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert deploy(server, host="evil.example", origin="https://evil.example") == 200
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost", "localhost", 200),
        ("http://127.0.0.1:1416", "127.0.0.1:1416", 200),
        ("http://[::1]:1416", "[::1]:1416", 200),
        ("https://evil.example", "localhost", 403),
        ("http://localhost:3000", "localhost", 403),
        ("null", "localhost", 403),
        ("http://evil.example", "evil.example", 403),  # its name leads to this machine
    ],
)
def test_pages_of_other_origins_start_no_runs(
    tmp_path: Path, *, origin: str, host: str, status: int
) -> None:
    put(tmp_path / "pipelines" / "it")
    with serving(tmp_path, insecure=False) as server:
        headers = {"origin": origin, "host": host}
        answer = server.http.post("/it/run", json={}, headers=headers)
        assert answer.status_code == status
        assert server.http.get("/healthz", headers=headers).status_code == status


def connects(server: Server, **headers: str) -> int:
    """The status of a handshake."""
    try:
        with server.http.websocket_connect("/v1/responses", headers=headers):
            return 101
    except WebSocketDenialResponse as response:
        refused = response
    assert refused.headers["x-request-id"] == refused.json()["error"]["run_id"]
    return refused.status_code


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost", "localhost", 101),
        ("http://127.0.0.1:1416", "127.0.0.1:1416", 101),
        ("https://evil.example", "localhost", 403),
        ("http://localhost:3000", "localhost", 403),
        ("null", "localhost", 403),
        ("http://evil.example", "evil.example", 403),  # its name leads to this machine
    ],
)
def test_pages_of_other_origins_open_no_websockets(
    tmp_path: Path, *, origin: str, host: str, status: int
) -> None:
    # What the test client calls the server whenever it opens a WebSocket.
    with serving(tmp_path, insecure=False, open_hosts=["testserver"]) as server:
        assert connects(server, origin=origin, host=host) == status
        assert connects(server, host="localhost") == 101


def test_pages_that_cors_lets_call_open_websockets_too(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "cors_allow_origins": ["https://a.example"],
        "open_hosts": ["testserver"],
    }
    with serving(tmp_path, insecure=False, **settings) as server:
        assert connects(server, origin="https://a.example") == 101
        assert connects(server, origin="https://b.example") == 403


@pytest.mark.anyio
async def test_a_web_server_that_can_only_close_a_handshake_does_that() -> None:
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "websocket", "headers": [(b"origin", b"https://evil.example")]}
    callers = Callers(lambda _: GUEST, door=Door())
    await Gate(app, callers, lambda _: False)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_origins_that_cors_allows_may_call(tmp_path: Path) -> None:
    put(tmp_path / "pipelines" / "it")
    with serving(
        tmp_path,
        insecure=False,
        cors_allow_origins=["https://a.example"],
        cors_allow_origin_regex="https://b.*",
    ) as server:
        for origin, status in {
            "https://a.example": 200,
            "https://b.example": 200,
            "https://c.example": 403,
        }.items():
            answer = server.http.post("/it/run", json={}, headers={"origin": origin})
            assert answer.status_code == status
    with serving(tmp_path, insecure=False, cors_allow_origins=["*"]) as server:
        headers = {"origin": "https://c.example"}
        assert server.http.post("/it/run", json={}, headers=headers).status_code == 200


def test_pages_that_cors_lets_call_may_still_not_deploy(tmp_path: Path) -> None:
    with serving(tmp_path, insecure=False, cors_allow_origins=["https://a.example"]) as server:
        assert server.settings.key_file is not None
        headers = {
            "origin": "https://a.example",
            "authorization": f"Bearer {server.settings.key_file.read_text()}",
        }
        assert deploy(server, **headers) == 403


@pytest.mark.parametrize(
    "twice",
    [
        [(b"host", b"localhost"), (b"host", b"evil.example")],
        [(b"host", b"evil.example"), (b"host", b"localhost")],
        [(b"host", b"localhost"), (b"origin", b"null"), (b"origin", b"http://localhost")],
        [(b"host", b"localhost"), (b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
        [(b"host", b"localhost"), (b"x-api-key", b"a"), (b"x-api-key", b"a")],
    ],
)
def test_what_would_have_two_meanings_is_refused(
    tmp_path: Path, twice: list[tuple[bytes, bytes]]
) -> None:
    put(tmp_path / "pipelines" / "it")
    with serving(tmp_path, insecure=False) as server:
        answer = server.http.post("/it/run", json={}, headers=twice)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "A request has one Host, and at most one Origin and one key."


@pytest.mark.parametrize(
    ("client", "open_hosts", "status"),
    [
        ("127.0.0.1", [], 200),
        ("::1", [], 200),
        ("203.0.113.7", [], 403),  # a proxy on this machine calls the server localhost
        ("2001:db8::7", [], 403),
        ("203.0.113.7", ["localhost"], 200),
    ],
)
def test_who_calls_from_afar_through_a_proxy_is_not_here(
    tmp_path: Path, *, client: str, open_hosts: list[str], status: int
) -> None:
    put(tmp_path / "pipelines" / "it")
    with serving(tmp_path, insecure=False, open_hosts=open_hosts) as server:
        from_there = TestClient(server.http.app, "http://localhost", client=(client, 4711))
        assert from_there.post("/it/run", json={}).status_code == status


class NewTokens:
    """Knows no token before it was asked about."""

    def known(self, token: str) -> Identity | None:
        return None

    async def find(self, token: str) -> Identity | None:
        return GUEST


@pytest.mark.anyio
@pytest.mark.parametrize("shown", ["", "Bearer a.b.c"])
async def test_who_has_opened_a_websocket_can_be_asked_about_again(shown: str) -> None:
    states: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        states.append(scope["state"])

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    headers = [(b"host", b"localhost"), (b"authorization", shown.encode())]
    callers = Callers(lambda _: GUEST, door=Door(), tokens=NewTokens())
    scope: Scope = {"type": "websocket", "headers": headers}
    await Gate(app, callers, lambda _: False)(scope, receive, send)
    [state] = states
    assert state[IDENTITY] == GUEST
    assert await state[ASK_AGAIN]() == GUEST
