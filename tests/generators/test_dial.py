"""Opening connections: which address, which certificate, and what goes wrong."""

import asyncio
import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import openai
import pytest
from haystack.utils import Secret

from generators.recorded import How, ask, stream, streamed, upstream
from hayserve.generators import LeanOpenAIChatGenerator
from hayserve.generators.dial import Origin, dial, dial_blocking, origin_of, tls
from hayserve.generators.loop_connection import LoopConnection

pytestmark = pytest.mark.anyio
both_ways = pytest.mark.parametrize("how", ["sync", "async"])
CERTIFICATE = Path(__file__).parent / "tls" / "certificate.pem"


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's certificate is one of those that are believed."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    tls.cache_clear()
    yield
    tls.cache_clear()


def server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
    return context


def generator_at(url: str) -> LeanOpenAIChatGenerator:
    return LeanOpenAIChatGenerator(Secret.from_token("key"), api_base_url=url, max_retries=0)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@both_ways
@pytest.mark.usefixtures("believed")
def test_a_connection_is_encrypted(how: How) -> None:
    with upstream(streamed(stream("text")), tls=server_side()) as server:
        outcome = ask(generator_at(f"https://localhost:{server.port}/v1"), how, streams=True)

    assert outcome.error is None
    assert len(outcome.chunks) == 11


@both_ways
def test_a_certificate_of_nobody_is_not_believed(how: How) -> None:
    with upstream(streamed(stream("text")), tls=server_side()) as server:
        outcome = ask(generator_at(f"https://localhost:{server.port}/v1"), how, streams=True)

    assert isinstance(outcome.error, openai.APIConnectionError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(outcome.error.__cause__)


@both_ways
@pytest.mark.usefixtures("believed")
def test_a_certificate_of_another_host_is_not_believed(how: How) -> None:
    with upstream(streamed(stream("text")), tls=server_side()) as server:
        outcome = ask(generator_at(f"https://127.0.0.1:{server.port}/v1"), how, streams=True)

    assert isinstance(outcome.error, openai.APIConnectionError)


@both_ways
def test_where_nobody_answers_is_an_error(how: How) -> None:
    outcome = ask(generator_at(f"http://127.0.0.1:{unused_port()}/v1"), how, streams=True)

    assert isinstance(outcome.error, openai.APIConnectionError)
    assert isinstance(outcome.error.__cause__, httpx2.ConnectError)


@both_ways
def test_only_the_web_is_spoken(how: How) -> None:
    outcome = ask(generator_at("ftp://127.0.0.1/v1"), how, streams=True)

    assert isinstance(outcome.error, openai.APIConnectionError)
    assert isinstance(outcome.error.__cause__, httpx2.UnsupportedProtocol)


@both_ways
def test_a_key_with_a_line_break_is_not_sent(how: How) -> None:
    with upstream(streamed(stream("text"))) as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        generator = LeanOpenAIChatGenerator(
            Secret.from_token("key\r\nx-more: 1"), api_base_url=url, max_retries=0
        )
        outcome = ask(generator, how, streams=True)

    assert isinstance(outcome.error, openai.APIConnectionError)
    assert isinstance(outcome.error.__cause__, httpx2.LocalProtocolError)
    assert server.asked == []


def test_an_origin_has_the_port_of_its_scheme() -> None:
    assert origin_of(httpx2.URL("http://hay/")) == Origin("http", "hay", 80)
    assert origin_of(httpx2.URL("https://hay/")) == Origin("https", "hay", 443)
    assert origin_of(httpx2.URL("https://[::1]:8000/")) == Origin("https", "::1", 8000)


@contextmanager
def deaf() -> Generator[tuple[str, int]]:
    """The address of a listener whose queue is full, so that it never answers."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


def answered_by(*places: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The running loop finds these addresses for every name."""

    async def resolve(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)


async def test_an_address_that_does_not_answer_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one is tried while the silent one still has its time."""
    with upstream(streamed(stream("text"))) as server, deaf() as silent:
        refusing = ("127.0.0.1", unused_port())
        answered_by(refusing, silent, ("127.0.0.1", server.port), monkeypatch=monkeypatch)
        hay = Origin("http", "hay", 80)
        connection = await dial(hay, protocol=lambda: LoopConnection(lambda _: False), patience=5)
        connection.close()

        assert await asyncio.to_thread(server.hung_up.wait, 5)


async def test_of_two_addresses_that_answer_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hayserve.generators.dial.HEAD_START", 0)
    loop = asyncio.get_running_loop()
    together, connect = asyncio.Barrier(3), loop.sock_connect

    async def connect_together(sock: socket.socket, address: tuple[str, int]) -> None:
        await connect(sock, address)
        await together.wait()

    monkeypatch.setattr(loop, "sock_connect", connect_together)
    with upstream(streamed(stream("text"))) as server:
        answered_by(*[("127.0.0.1", server.port)] * 3, monkeypatch=monkeypatch)
        hay = Origin("http", "hay", 80)
        connection = await dial(hay, protocol=lambda: LoopConnection(lambda _: False), patience=5)
        assert await connection.exchange(b"POST / HTTP/1.1\r\n\r\n", patience=5)
        connection.close()
        await asyncio.sleep(0)


async def test_addresses_that_do_not_answer_are_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with deaf() as silent:
        answered_by(silent, monkeypatch=monkeypatch)
        with pytest.raises(httpx2.ConnectTimeout):
            await dial(Origin("http", "hay", 80), protocol=asyncio.Protocol, patience=0.05)
        with pytest.raises(httpx2.ConnectTimeout):
            dial_blocking(Origin("http", *silent), patience=0.05)
