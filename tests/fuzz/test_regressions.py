"""What once got past a decoder, or through a connection: it is refused, at once, and by name."""

import asyncio
import base64
import logging
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Scope

from hayserve import chat_messages_from_openai
from hayserve.errors import DeployRefused, HayserveError, InvalidRequest
from hayserve.protocols.openai_error import is_openai
from hayserve.server.error_responses import handlers
from soak.fuzz_connection import connection
from soak.fuzz_targets import TARGETS, Target

CASES = sorted((Path(__file__).parent / "cases").iterdir())
BY_NAME = {target.name: target for target in TARGETS}
SEEDS = [(target, name) for target in TARGETS for name in target.seeds]
UPGRADE = b"connection: upgrade\r\nupgrade: h2c\r\n"
HOST = b"host: x\r\n"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def read(target: str, data: bytes) -> object:
    return BY_NAME[target].read(data)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_was_found_is_read_or_refused(case: Path) -> None:
    target = BY_NAME[case.name.partition("-")[0]]
    begun = time.thread_time()

    with suppress(HayserveError):
        target.read(case.read_bytes())

    assert time.thread_time() - begun < target.seconds


@pytest.mark.parametrize(
    ("target", "name"), SEEDS, ids=[f"{target.name}-{name}" for target, name in SEEDS]
)
def test_what_is_changed_was_right_before(target: Target, name: str) -> None:
    target.read(target.seeds[name])


@pytest.mark.parametrize("levels", [201, 500, 1000])
def test_a_message_over_websocket_may_not_go_deep(levels: int) -> None:
    deep = b'{"type": "response.create", "model": "it", "x": %s}' % nested(levels)

    with pytest.raises(InvalidRequest, match="goes deeper than 200 levels"):
        read("responses_event", deep)


def test_a_compaction_may_not_go_deep() -> None:
    packed = base64.urlsafe_b64encode(zlib.compress(b'[{"content": %s}]' % nested(900))).decode()
    item = '{"type": "compaction", "encrypted_content": "hs1.%s"}' % packed  # noqa: UP031 - braces

    with pytest.raises(InvalidRequest, match="not as this server has written it"):
        read("compact", f'{{"model": "it", "input": [{item}]}}'.encode())


def test_arguments_of_a_tool_call_may_not_go_deep() -> None:
    function = {"name": "f", "arguments": nested(100_000).decode()}
    message: dict[str, Any] = {"role": "assistant", "tool_calls": [{"function": function}]}

    with pytest.raises(InvalidRequest, match="is not JSON: maximum recursion depth"):
        chat_messages_from_openai([message])


def test_a_file_that_is_called_run_is_no_deployment() -> None:
    assert is_openai("/files/run", "DELETE")
    assert not is_openai("/files/run", "POST")


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    "value", ["!!timestamp soon", "!!timestamp 2026-99-99", "!!bool maybe", "!!int ''", "!!float x"]
)
def test_a_tag_of_yaml_that_is_not_true_is_refused(value: str) -> None:
    with pytest.raises(DeployRefused, match="The YAML cannot be read: "):
        read("yaml", f"components: {{}}\nx: {value}\n".encode())


def test_an_upgrade_with_a_body_that_has_no_end_is_refused(
    loop: asyncio.AbstractEventLoop,
) -> None:
    sent = b"POST / HTTP/1.1\r\n" + HOST + UPGRADE + b"transfer-encoding: xchunked\r\n\r\n{}"

    assert statuses(connection(loop, sent)) == [b"400"]


def test_what_is_refused_behind_an_upgrade_is_refused_for_what_it_is(
    loop: asyncio.AbstractEventLoop,
) -> None:
    get = b"GET / HTTP/1.1\r\n" + HOST
    many = b"x: y\r\n" * 300

    answered = connection(loop, get + UPGRADE + b"\r\n" + get + many + b"\r\n")

    assert statuses(answered) == [b"200", b"431"]


def test_requests_before_a_broken_one_are_answered_before_it_is_refused(
    loop: asyncio.AbstractEventLoop,
) -> None:
    begin = b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 3\r\n\r\na"
    rest = b"bcGET / HTTP/1.1\r\n" + HOST + b"\r\nno request\r\n\r\n"

    assert statuses(connection(loop, begin, rest)) == [b"200", b"200", b"400"]


def test_a_refused_handshake_is_no_mistake_of_the_server(
    loop: asyncio.AbstractEventLoop,
) -> None:
    key = b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    head = b"GET /refused HTTP/1.1\r\n" + HOST + b"connection: upgrade\r\nupgrade: websocket\r\n"

    assert statuses(connection(loop, head + key + b"\r\n")) == [b"403"]


def statuses(answered: bytes) -> list[bytes]:
    return [one.split(b" ")[0] for one in answered.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("target", [b"http://[::1", b"http://a@b:99999/", b"http://localhost"])
def test_a_target_that_is_none_leaves_no_traceback_in_the_log(
    target: bytes, loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    answered = connection(loop, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")

    assert statuses(answered) == [b"400"]
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.anyio
async def test_a_client_that_leaves_half_way_is_no_mistake_of_the_server() -> None:
    async def leave(request: Request) -> Response:
        raise ClientDisconnect

    app = Starlette(routes=[Route("/", leave)], exception_handlers=handlers())
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
    await app({**scope, "headers": []}, receive, send)

    assert [message.get("status") for message in sent] == [400, None]
