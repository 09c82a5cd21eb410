"""The Responses API over WebSocket, as a client has it that talks to a real server."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses.responses_client_event_param import ResponsesClientEventParam
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from e2e.started import Process, running
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

ROOT = "/api"
TALKS = wrapper(
    """
    async def run_chat_completion_async(self, model: str, messages: list, body: dict) -> Any:
        async def words() -> Any:
            try:
                yield f"{len(messages)} messages"
                if "wait" in str(messages[-1]):
                    await asyncio.sleep(60)
                if "a moment" in str(messages[-1]):
                    await asyncio.sleep(1)
            except BaseException:
                (Path.cwd() / "stopped").touch()
                raise
        return words()
    """,
    top="""
    import asyncio
    from pathlib import Path
    """,
)


@pytest.fixture(scope="module", params=[[], ["--workers", "2"]], ids=["one process", "workers"])
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Process]:
    with started(tmp_path_factory.mktemp("socket"), *request.param) as process:
        yield process


def started(folder: Path, *words: str, **settings: str) -> AbstractContextManager[Process]:
    put(folder / "pipelines" / "talks", TALKS)
    return running(folder, "--port", "0", *words, **settings)


def talk(
    server: Process, path: str = "/v1/responses", *, origin: str | None = None
) -> ClientConnection:
    url = server.url.removesuffix(ROOT).replace("http", "ws")
    return connect(f"{url}{path}", origin=Origin(origin) if origin else None, proxy=None)


def ask(socket: ClientConnection, text: object, **fields: object) -> None:
    event = {"type": "response.create", "model": "talks", "store": False, "input": text}
    socket.send(json.dumps({**event, **fields}))


def turn(socket: ClientConnection) -> list[dict[str, Any]]:
    """The events up to the end of a response."""
    events: list[dict[str, Any]] = []
    while not events or ("sequence_number" in events[-1] and not has_ended(events[-1])):
        events.append(json.loads(socket.recv(30)))
    return events


def has_ended(event: dict[str, Any]) -> bool:
    return event["type"] in ("response.completed", "response.failed")


def response(socket: ClientConnection) -> dict[str, Any]:
    last = turn(socket)[-1]
    assert last["type"] == "response.completed", last
    return last["response"]


def text_of(answer: dict[str, Any]) -> str:
    return answer["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_a_page_of_another_origin_opens_no_connection(server: Process, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        talk(server, path, origin="https://evil.example")
    assert refused.value.response.status_code == 403
    assert b"Pages of this origin may not call this server." in (refused.value.response.body or b"")
    with talk(server, path, origin=server.url) as socket:
        ask(socket, "Hi")
        assert response(socket)["status"] == "completed"


def test_at_another_path_there_is_none(server: Process) -> None:
    for path in ("/v1/nope", "/v1/files", "/talks/run"):
        with pytest.raises(InvalidStatus) as refused:
            talk(server, path)
        assert refused.value.response.status_code == 403


def test_one_response_comes_after_the_other(server: Process) -> None:
    with talk(server) as socket:
        for _ in range(3):
            ask(socket, "Hi")
        turns = [turn(socket) for _ in range(3)]

    assert [each[0]["type"] for each in turns] == ["response.created"] * 3
    assert [each[-1]["type"] for each in turns] == ["response.completed"] * 3
    assert [each[-1]["sequence_number"] for each in turns] == [len(turns[0]) - 1] * 3


def test_a_response_that_is_not_kept_is_continued_on_its_own_connection(server: Process) -> None:
    with talk(server) as socket:
        ask(socket, "One")
        first = response(socket)
        ask(socket, "Two", previous_response_id=first["id"])
        second = response(socket)
    with talk(server) as socket:
        ask(socket, "Three", previous_response_id=second["id"])
        [lost] = turn(socket)
        ask(socket, "Four")
        recovered = response(socket)

    assert text_of(second) == "3 messages"
    assert (lost["type"], lost["status"]) == ("error", 400)
    assert lost["error"]["code"] == "previous_response_not_found"
    assert text_of(recovered) == "1 messages"


def test_a_continuation_that_fails_ends_its_chain(server: Process) -> None:
    with talk(server) as socket:
        ask(socket, "One")
        first = response(socket)
        output = {"type": "function_call_output", "call_id": "call_missing", "output": "No."}
        ask(socket, [output], previous_response_id=first["id"])
        [failed] = turn(socket)
        ask(socket, "Two", previous_response_id=first["id"])
        [lost] = turn(socket)

    assert "No tool call found" in failed["error"]["message"]
    assert lost["error"]["code"] == "previous_response_not_found"


def test_a_client_that_leaves_stops_its_run(server: Process) -> None:
    stopped = server.folder / "stopped"
    stopped.unlink(missing_ok=True)
    with talk(server) as socket:
        ask(socket, "wait")
        while json.loads(socket.recv(30))["type"] != "response.output_text.delta":
            pass
    deadline = time.monotonic() + 10
    while not stopped.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_message_larger_than_a_body_may_be_ends_the_connection(server: Process) -> None:
    with talk(server) as socket:
        with suppress(ConnectionClosed):
            ask(socket, "x" * 20_000_000)
        with pytest.raises(ConnectionClosed) as ended:
            socket.recv(30)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1009


@pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")  # as OpenAI's client calls it
def test_openais_client_talks_so_too(server: Process) -> None:
    asked: ResponsesClientEventParam = {
        "type": "response.create",
        "model": "talks",
        "input": "Hi",
    }
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    with client, client.responses.connect() as connection:
        connection.send(asked)
        events = [connection.recv()]
        while events[-1].type != "response.completed":
            events.append(connection.recv())

    assert events[0].type == "response.created"
    assert events[-1].response.output_text == "1 messages"


def test_behind_a_root_path_it_is_found_with_and_without_it(tmp_path: Path) -> None:
    with started(tmp_path, "--root-path", ROOT) as server:
        for path in ("/v1/responses", f"{ROOT}/v1/responses"):
            with talk(server, path) as socket:
                ask(socket, "Hi")
                assert response(socket)["status"] == "completed"


@pytest.mark.parametrize("words", [[], ["--workers", "1"]], ids=["one process", "workers"])
def test_a_server_that_stops_ends_what_is_under_way_and_then_the_connection(
    tmp_path: Path, words: list[str]
) -> None:
    with started(tmp_path, *words) as server, talk(server) as socket, talk(server) as quiet:
        ask(socket, "a moment")
        while json.loads(socket.recv(30))["type"] != "response.output_text.delta":
            pass
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as ended:
            quiet.recv(10)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012
        assert turn(socket)[-1]["type"] == "response.completed"
        with pytest.raises(ConnectionClosed) as ended:
            socket.recv(10)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012
        assert server.process.wait(10) == 0
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("words", [[], ["--workers", "1"]], ids=["one process", "workers"])
def test_a_server_that_stops_says_so_where_something_takes_too_long(
    tmp_path: Path, words: list[str]
) -> None:
    settings = {"HAYSERVE_GRACEFUL_SHUTDOWN_TIMEOUT": "1"}
    with started(tmp_path, *words, **settings) as server, talk(server) as socket:
        ask(socket, "wait")
        while json.loads(socket.recv(30))["type"] != "response.output_text.delta":
            pass
        server.process.send_signal(signal.SIGTERM)
        last = json.loads(socket.recv(10))
        with pytest.raises(ConnectionClosed) as ended:
            socket.recv(10)
        assert server.process.wait(10) == 0

        assert (last["type"], last["error"]["code"]) == ("error", "not_ready")
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1012
        assert "Traceback" not in server.log.read_text()
