"""Bodies, headers and paths that no honest client sends, to a real server.

tests/e2e/test_bodies.py has more of what is too large or too slow, and the memory that it costs.
"""

import io
import threading
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress

import httpx2
import pytest

from e2e.started import Process, running
from e2e.test_bodies import head, linux, most_memory_of, post
from server.raw_http import Client
from server.serving import HELLO, WORD_OR_CHAT, put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FORM = wrapper(
    """
    def run_api(self, files: list[UploadFile]) -> int:
        return len(files)
    """,
    top="from starlette.datastructures import UploadFile",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("fed")
    put(folder / "pipelines" / "it", WORD_OR_CHAT)
    put(folder / "pipelines" / "form", FORM)
    with running(folder, "--port", "0", HAYSERVE_MAX_BUNDLE_MB="20") as server:
        yield server


@contextmanager
def looking(server: Process) -> Generator[list[float]]:
    """How many seconds the server takes to answer others meanwhile, once and again."""
    took: list[float] = []
    looks, is_over = threading.Event(), threading.Event()

    def look() -> None:
        with httpx2.Client(base_url=server.url, trust_env=False, timeout=10) as http:
            while not is_over.is_set():
                begun = time.monotonic()
                assert http.get("/healthz").status_code == 200
                took.append(time.monotonic() - begun)
                looks.set()
                time.sleep(0.01)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        assert looks.wait(10)
        yield took
    finally:
        is_over.set()
        watching.join()


@linux
def test_others_are_answered_while_a_hundred_megabytes_come_and_are_not_kept(
    server: Process,
) -> None:
    chunk = b"x" * 1_000_000
    before = most_memory_of(server)
    with looking(server) as took:
        client = Client(server.port)
        client.send(head("/it/run", transfer_encoding="chunked"))
        for number in range(100):
            first = b'{"word": "' if number == 0 else b""
            client.send(b"%x\r\n%b%b\r\n" % (len(first) + len(chunk), first, chunk))
        refused = client.answer()
        client.socket.close()
    assert refused.status == 413
    assert max(took) < 1
    assert most_memory_of(server) - before <= 60  # it may be of 20, which are read


@linux
def test_a_huge_body_is_not_read_either_to_be_known_again(server: Process) -> None:
    assert server.run("it", word="w").json() == {"result": "w"}
    before = most_memory_of(server)
    client = Client(server.port)
    client.send(head("/it/run", transfer_encoding="chunked", idempotency_key="a"))
    for _ in range(100):
        client.send(b"%x\r\n%b\r\n" % (1_000_000, b"x" * 1_000_000))
    assert client.answer().status == 413
    client.socket.close()
    assert most_memory_of(server) - before <= 60


def flood_of_parts(count: int) -> bytes:
    part = b'--x\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\n\r\n'
    return part * count + b"--x--\r\n"


def bomb() -> bytes:
    """An archive of a hundred kilobytes that would be a hundred megabytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pipeline_wrapper.py", HELLO)
        archive.writestr("big.bin", b"\0" * 100_000_000)
    return data.getvalue()


@linux
def test_an_archive_that_would_grow_is_refused_before_it_has(server: Process) -> None:
    data = bomb()
    headers = {"authorization": f"Bearer {server.key_file.read_text()}"}
    before = most_memory_of(server)
    answer = server.http.put("/deployments/bomb", content=data, headers=headers)
    assert answer.status_code == 413, answer.text
    assert most_memory_of(server) - before <= 60


JSON_PATHS = ["/it/run", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"]
BAD: Mapping[str, bytes] = {
    "invalid UTF-8": b'{"word": "\xff\xfe"}',
    "a lone surrogate": b'{"word": "\\ud800"}',
    "NaN": b'{"number": NaN, "temperature": NaN}',
    "Infinity": b'{"number": -Infinity, "temperature": Infinity}',
    "a number without an end": b'{"number": 1e999999, "temperature": 1e999999}',
    "very many digits": b'{"number": ' + b"9" * 1_000_000 + b"}",
    "no JSON": b"{",
    "two of them": b"{}{}",
    "no object": b"[]",
    "a text": b'"x"',
    "nothing": b"null",
    "deep": b'{"deep": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many keys": b"{" + b",".join(b'"%d": 0' % number for number in range(200_000)) + b"}",
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("path", JSON_PATHS)
def test_a_bad_body_is_the_senders_mistake_and_hurts_nobody(
    server: Process, path: str, bad: str
) -> None:
    client = Client(server.port)
    begun = time.monotonic()
    status = client.ask(post(path, BAD[bad])).status
    is_only_unusual = bad in {"a lone surrogate", "many keys", "a number without an end"}
    assert 400 <= status < 500 or (status == 200 and is_only_unusual), bad
    assert time.monotonic() - begun < 5
    client.socket.close()
    assert server.run("it", word="w").json() == {"result": "w"}


@pytest.mark.parametrize("path", ["/form/run", "/v1/files"])
def test_a_form_of_very_many_parts_is_refused(server: Process, path: str) -> None:
    data = flood_of_parts(200_000)
    client = Client(server.port)
    begun = time.monotonic()
    client.send(head(path, media_type="multipart/form-data; boundary=x", content_length=len(data)))
    answer = client.ask(data)
    client.socket.close()
    assert answer.status in {400, 413, 422}
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(b"x-%d: y\r\n" % number for number in range(100_000)),
        b"x: " + b"y" * 1_000_000 + b"\r\n",
        b"cookie: " + b"a=b; " * 100_000 + b"\r\n",
    ],
    ids=["many", "long", "cookies"],
)
def test_a_flood_of_headers_is_refused(server: Process, flood: bytes) -> None:
    client = Client(server.port)
    with suppress(ConnectionError):
        client.send(b"GET /status HTTP/1.1\r\nhost: localhost\r\n" + flood + b"\r\n")
    assert client.answer().status == 431
    client.socket.close()


ASIDE: Mapping[str, Callable[[httpx2.Client], httpx2.Response]] = {
    "a path with NUL": lambda http: http.post("/it%00/run", json={}),
    "a path that is no UTF-8": lambda http: http.post("/%ff%fe/run", json={}),
    "a path above": lambda http: http.post("/../../etc/passwd/run", json={}),
    "an encoded path above": lambda http: http.get("/v1/files/..%2f..%2fstate/content"),
    "a very long name": lambda http: http.post(f"/{'x' * 10_000}/run", json={}),
    "a very long id": lambda http: http.get(f"/v1/responses/{'x' * 10_000}"),
    "an id with NUL": lambda http: http.get("/v1/responses/a%00b"),
    "a pattern as a name": lambda http: http.post("/{name}/run", json={}),
    "many slashes": lambda http: http.post("/it" + "/" * 1000 + "run", json={}),
    "a query that is no UTF-8": lambda http: http.get("/v1/files?purpose=%ff&after=%00&limit=%ff"),
}


@pytest.mark.parametrize("aside", ASIDE)
def test_a_strange_path_leads_nowhere(server: Process, aside: str) -> None:
    answer = ASIDE[aside](server.http)
    assert 400 <= answer.status_code < 500, answer.text
    assert "root:" not in answer.text
