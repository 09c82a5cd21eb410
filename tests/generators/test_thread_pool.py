"""Connections of threads: shared, kept, and let go of."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import httpx2
import pytest
from haystack.dataclasses import StreamingChunk

from generators.recorded import (
    Answer,
    Upstream,
    generator_of,
    said,
    stream,
    streamed,
    upstream,
    whole,
)
from hayserve.generators import LeanOpenAIChatGenerator
from hayserve.generators.http_answer import BODY
from hayserve.generators.thread_pool import ThreadTransport, thread_pool


def nothing(chunk: StreamingChunk) -> None:
    pass


def lean(server: Upstream) -> LeanOpenAIChatGenerator:
    return generator_of(LeanOpenAIChatGenerator, server)


def ask(transport: ThreadTransport, server: Upstream, **timeouts: float) -> httpx2.Response:
    url = f"http://127.0.0.1:{server.port}/"
    request = httpx2.Request("POST", url, json={}, extensions={"timeout": timeouts})
    return transport.handle_request(request)


def read(response: httpx2.Response) -> bytes:
    body = response.read()
    response.close()
    return body


@contextmanager
def transport() -> Generator[ThreadTransport]:
    with ThreadTransport() as made:
        yield made


def test_generators_share_connections() -> None:
    with upstream(streamed(stream("text"))) as server:
        first, second = lean(server), lean(server)
        for generator in (first, second, first):
            generator.run("Hay?", streaming_callback=nothing)

        first.close()
        second.run("Hay?", streaming_callback=nothing)
        second.close()

        assert server.connections == 1
        assert server.hung_up.wait(5)


def test_a_callback_that_raises_hangs_up() -> None:
    def leave(chunk: StreamingChunk) -> None:
        raise LookupError("nobody listens")

    with upstream(Answer(streamed(stream("text")).pieces[:5], then="hang")) as server:
        generator = lean(server)
        with pytest.raises(LookupError):
            generator.run("Hay?", streaming_callback=leave)

        assert server.hung_up.wait(5)
        generator.close()


def test_an_answer_that_does_not_end_after_its_last_event_is_left() -> None:
    pieces = streamed(stream("text")).pieces
    with upstream(Answer(pieces[:-1], then="hang")) as server:
        generator = lean(server)
        result = generator.run("Hay?", streaming_callback=nothing)

        assert result["replies"][0].text
        assert server.hung_up.wait(5)
        generator.close()


def test_what_comes_after_the_last_event_is_read_for_the_next_run() -> None:
    with upstream(streamed(stream("text") + b":" + b"x" * 500_000 + b"\n\n")) as server:
        generator = lean(server)
        for _ in range(2):
            generator.run("Hay?", streaming_callback=nothing)
        generator.close()

    assert server.connections == 1


def test_a_connection_that_the_upstream_has_closed_is_not_used_again() -> None:
    answer = streamed(stream("text"))
    with upstream(Answer(answer.pieces, then="close"), answer) as server:
        generator = lean(server)
        generator.run("Hay?", streaming_callback=nothing)
        assert server.hung_up.wait(5)
        result = generator.run("Hay?", streaming_callback=nothing)
        generator.close()

    assert server.connections == 2
    assert result["replies"][0].text


def test_a_connection_that_was_reset_is_not_used_again() -> None:
    answer = said(whole("text"))
    reset = Answer(answer.pieces, then="reset")
    with upstream(reset, answer) as server, transport() as shared:
        read(ask(shared, server))
        assert server.hung_up.wait(5)

        assert read(ask(shared, server)) == whole("text")


def test_a_connection_that_has_rested_too_long_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hayserve.generators.thread_pool.LONGEST_REST", -1)
    with upstream(streamed(stream("text"))) as server:
        generator = lean(server)
        for _ in range(2):
            generator.run("Hay?", streaming_callback=nothing)
        generator.close()

    assert server.connections == 2


def test_no_more_connections_rest_than_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hayserve.generators.thread_pool.MOST_RESTING", 1)
    with upstream(said(whole("text"))) as server, transport() as shared:
        answers = [ask(shared, server) for _ in range(3)]
        for answer in answers:
            read(answer)
        read(ask(shared, server))

        assert server.connections == 3


def test_what_is_under_way_when_the_last_user_leaves_is_not_kept() -> None:
    with upstream(said(whole("text"))) as server:
        with transport() as shared:
            answer = ask(shared, server)
        assert read(answer) == whole("text")

        assert server.hung_up.wait(5)


def test_a_forked_process_has_connections_of_its_own() -> None:
    assert thread_pool(1) is thread_pool(1)
    assert thread_pool(1) is not thread_pool(2)


def test_a_body_that_was_let_go_of_is_empty() -> None:
    with upstream(said(whole("text"))) as server, transport() as shared:
        body = ask(shared, server).extensions[BODY]
        body.close()

        assert body.read() == b""
        body.drain()
        body.close()


def test_an_upstream_that_does_not_take_a_request_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, transport() as shared:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        much = b"x" * 50_000_000
        extensions = {"timeout": {"connect": 5, "write": 0.05}}
        request = httpx2.Request("POST", url, content=much, extensions=extensions)

        with pytest.raises(httpx2.WriteTimeout):
            shared.handle_request(request)


def test_an_upstream_that_closes_amid_a_request_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, transport() as shared:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1)
            connection.close()

        other = threading.Thread(target=hang_up)
        other.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        request = httpx2.Request("POST", url, content=b"x" * 50_000_000)

        with pytest.raises(httpx2.WriteError):
            shared.handle_request(request)
        other.join()


def test_a_connection_that_is_reset_is_an_error() -> None:
    reset = upstream(Answer([], then="reset"))
    with reset as server, transport() as shared, pytest.raises(httpx2.ReadError):
        ask(shared, server)
