"""Requests that are too large, too slow or not HTTP, to a real server over bare sockets."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from e2e.started import Process, running
from server.raw_http import Answer, Client
from server.serving import WORD_OR_CHAT, put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

FILES = wrapper(
    """
    def run_api(self, files: list[UploadFile]) -> int:
        return len(files)
    """,
    top="from starlette.datastructures import UploadFile",
)
CHAT = b'{"model": "it", "messages": [{"role": "user", "content": "hello"}]}'
HUNDRED_MB = 100_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("bodies")
    put(folder / "pipelines" / "it", WORD_OR_CHAT)
    put(folder / "pipelines" / "files", FILES)
    limits = {
        "HAYSERVE_MAX_BODY_MB": "1",
        "HAYSERVE_MAX_UPLOAD_MB": "1",
        "HAYSERVE_HEADER_TIMEOUT": "1.5",
        "HAYSERVE_BODY_TIMEOUT": "1.5",
    }
    with running(folder, "--port", "0", **limits) as server:
        yield server


@pytest.fixture
def client(server: Process) -> Iterator[Client]:
    client = Client(server.port)
    yield client
    client.socket.close()


def head(path: str, *, media_type: str = "application/json", **headers: object) -> bytes:
    given = {"host": "localhost", "content-type": media_type, **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    return head(path, content_length=len(body)) + body


def most_memory_of(server: Process) -> int:
    """The most that the process ever had, in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1000


def send_all(client: Client, size: int) -> None:
    for _ in range(size // 100_000):
        client.send(b"x" * 100_000)


def drip(client: Client, data: bytes) -> Answer:
    """Send a byte a second until there is an answer."""
    with suppress(ConnectionError):
        for byte in data:
            client.send(bytes([byte]))
            if client.has_answer_within(1):
                break
    return client.answer()


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


class Upload(NamedTuple):
    path: str
    is_chunked: bool

    @property
    def is_form(self) -> bool:
        return self.path in {"/v1/files", "/files/run"}

    def head(self) -> bytes:
        form = "multipart/form-data; boundary=x"
        media_type = form if self.is_form else "application/json"
        if self.is_chunked:
            first = b"%x\r\n" % HUNDRED_MB
            return head(self.path, media_type=media_type, transfer_encoding="chunked") + first
        return head(self.path, media_type=media_type, content_length=HUNDRED_MB)


FILE = b'--x\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\n'
PATHS = ["/it/run", "/files/run", "/v1/chat/completions", "/v1/responses", "/v1/files"]


@linux
@pytest.mark.parametrize("upload", [Upload(path, yes) for path in PATHS for yes in (True, False)])
def test_a_huge_body_is_refused_costs_no_memory_and_the_client_learns_it(
    server: Process, client: Client, upload: Upload
) -> None:
    assert client.ask(post("/it/run", b"{}")).status == 200
    before = most_memory_of(server)
    client.send(upload.head() + (FILE if upload.is_form else b""))
    send_all(client, HUNDRED_MB - 1_000_000)

    refused = client.answer()

    assert refused.status == 413
    assert refused.is_last
    assert "larger than 1 MB" in refused.body.decode()
    assert ("error" in refused.json) == upload.path.startswith("/v1/")
    assert client.is_closed()
    assert most_memory_of(server) - before <= 8


def test_headers_without_an_end_are_refused(server: Process, client: Client) -> None:
    client.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-flood: ")
    with suppress(ConnectionError):
        for _ in range(1000):
            if client.has_answer_within(0.001):
                break
            client.send(b"x" * 10_000)

    refused = client.answer()

    assert (refused.status, refused.json["code"]) == (431, "too_large")


def test_headers_that_come_a_byte_a_second_are_given_up(client: Client) -> None:
    late = drip(client, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: " + b"x" * 60)

    assert (late.status, late.json["code"], late.is_last) == (408, "request_timeout", True)


def test_a_connection_over_which_nothing_comes_is_closed(client: Client) -> None:
    assert client.is_closed()


@pytest.mark.parametrize("path", ["/it/run", "/v1/chat/completions", "/v1/responses"])
def test_a_body_that_stalls_is_given_up(client: Client, path: str) -> None:
    client.send(head(path, content_length=100) + b'{"word": ')

    late = client.answer()

    assert (late.status, late.is_last) == (408, True)
    assert late.json.get("error", late.json)["code"] == "request_timeout"
    assert client.is_closed()


def test_a_body_that_comes_slowly_but_comes_is_read(client: Client) -> None:
    body = b'{"word": "a"}'
    client.send(head("/it/run", content_length=len(body)))
    for start in range(0, len(body), 5):
        assert not client.has_answer_within(0.8)
        client.send(body[start : start + 5])

    assert client.answer().json == {"result": "a"}


def test_a_body_that_is_longer_than_was_said_ends_where_was_said(client: Client) -> None:
    client.send(head("/it/run", content_length=2) + b"{} and more\r\n\r\n")

    assert client.answer().json == {"result": "none"}
    assert client.answer().status == 400
    assert client.is_closed()


def test_requests_that_come_at_once_are_answered_in_order(client: Client) -> None:
    words = [f"word {number}" for number in range(20)]
    client.send(b"".join(post("/it/run", b'{"word": "%b"}' % word.encode()) for word in words))

    assert [client.answer().json["result"] for _ in words] == words


def test_who_expects_to_be_asked_for_the_body_is_asked_unless_it_is_too_large(
    client: Client, server: Process
) -> None:
    client.send(head("/it/run", content_length=2, expect="100-continue"))
    assert client.answer().status == 100
    assert client.ask(b"{}").json == {"result": "none"}

    assert client.ask(head("/it/run", content_length=HUNDRED_MB, expect="100-continue")).is_last


@pytest.mark.parametrize("path", ["/it/run", "/v1/chat/completions", "/v1/responses"])
def test_json_that_is_nested_too_deeply_is_refused(client: Client, path: str) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000

    assert client.ask(post(path, b'{"deep": ' + deep + b"}")).status in {400, 422}
    assert client.ask(post("/v1/chat/completions", CHAT)).status == 200


def test_others_are_answered_while_hundreds_of_requests_stall(server: Process) -> None:
    stalled = [Client(server.port) for _ in range(300)]
    for number, client in enumerate(stalled):
        client.send(head("/it/run", content_length=9) if number % 2 else b"GET / HTTP/1.1\r\n")
    begun = time.monotonic()
    assert server.run("it", word="quick").json() == {"result": "quick"}
    assert time.monotonic() - begun < 1

    assert {client.answer().status for client in stalled} == {408}
    for client in stalled:
        client.socket.close()
