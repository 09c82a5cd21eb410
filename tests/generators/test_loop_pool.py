"""Connections of event loops: shared, kept, and let go of."""

import asyncio
import gc
import threading

import httpx2
import pytest
from haystack.dataclasses import StreamingChunk

from generators.recorded import (
    Answer,
    Then,
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
from hayserve.generators.loop_connection import MOST_WAITING
from hayserve.generators.loop_pool import LoopPools, LoopTransport, loop_pools

pytestmark = pytest.mark.anyio


async def nothing(chunk: StreamingChunk) -> None:
    pass


def lean(server: Upstream) -> LeanOpenAIChatGenerator:
    return generator_of(LeanOpenAIChatGenerator, server)


def post(server: Upstream) -> httpx2.Request:
    return httpx2.Request("POST", f"http://127.0.0.1:{server.port}/", json={})


async def body_of(response: httpx2.Response) -> bytes:
    body = await response.aread()
    await response.aclose()
    return body


async def test_generators_share_connections() -> None:
    with upstream(streamed(stream("text"))) as server:
        first, second = lean(server), lean(server)
        for generator in (first, second, first):
            await generator.run_async("Hay?", streaming_callback=nothing)

        await first.close_async()
        await second.run_async("Hay?", streaming_callback=nothing)
        await second.close_async()

        assert server.connections == 1
        assert await asyncio.to_thread(server.hung_up.wait, 5)


async def test_runs_at_the_same_time_have_connections_of_their_own() -> None:
    with upstream(streamed(stream("text"))) as server:
        generator = lean(server)
        await asyncio.gather(
            *(generator.run_async("Hay?", streaming_callback=nothing) for _ in range(5))
        )
        await generator.close_async()

        assert 1 < server.connections <= 5


async def test_what_is_asked_for_amid_a_close_is_answered() -> None:
    with upstream(streamed(stream("text"))) as server:
        first, second = lean(server), lean(server)
        chunks: list[StreamingChunk] = []

        async def close_the_other(chunk: StreamingChunk) -> None:
            chunks.append(chunk)
            await second.close_async()

        await second.run_async("Hay?", streaming_callback=nothing)
        await first.run_async("Hay?", streaming_callback=close_the_other)
        await first.close_async()

    assert len(chunks) == 11


async def test_a_cancelled_run_hangs_up_at_once() -> None:
    with upstream(Answer(streamed(stream("text")).pieces[:5], then="hang")) as server:
        generator = lean(server)
        streaming = asyncio.Event()

        async def note(chunk: StreamingChunk) -> None:
            streaming.set()

        async with asyncio.TaskGroup() as group:
            run = group.create_task(generator.run_async("Hay?", streaming_callback=note))
            await streaming.wait()
            run.cancel()
        assert await asyncio.to_thread(server.hung_up.wait, 5)
        await generator.close_async()


async def test_a_run_cancelled_before_its_answer_hangs_up_too() -> None:
    with upstream(Answer([], then="hang")) as server:
        generator = lean(server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await generator.run_async("Hay?", streaming_callback=nothing)

        assert await asyncio.to_thread(server.hung_up.wait, 5)
        await generator.close_async()


async def test_a_callback_that_raises_hangs_up() -> None:
    async def leave(chunk: StreamingChunk) -> None:
        raise LookupError("nobody listens")

    with upstream(Answer(streamed(stream("text")).pieces[:5], then="hang")) as server:
        generator = lean(server)
        with pytest.raises(LookupError):
            await generator.run_async("Hay?", streaming_callback=leave)

        assert await asyncio.to_thread(server.hung_up.wait, 5)
        await generator.close_async()


async def test_the_end_of_an_answer_may_come_after_its_last_event() -> None:
    late = threading.Event()
    pieces = streamed(stream("text")).pieces
    with upstream(Answer([*pieces[:-1], late, pieces[-1]])) as server:
        generator = lean(server)
        chunks: list[StreamingChunk] = []

        async def note(chunk: StreamingChunk) -> None:
            chunks.append(chunk)
            if chunk.finish_reason:
                asyncio.get_running_loop().call_later(0.01, late.set)

        for _ in range(2):
            await generator.run_async("Hay?", streaming_callback=note)
        await generator.close_async()

    assert server.connections == 1


@pytest.mark.parametrize("then", ["hang", "reset"])
async def test_an_answer_that_does_not_end_after_its_last_event_is_left(then: Then) -> None:
    pieces = streamed(stream("text")).pieces
    with upstream(Answer(pieces[:-1], then=then)) as server:
        generator = lean(server)
        result = await generator.run_async("Hay?", streaming_callback=nothing)

        assert result["replies"][0].text
        assert await asyncio.to_thread(server.hung_up.wait, 5)
        await generator.close_async()


async def test_a_connection_that_the_upstream_has_closed_is_not_used_again() -> None:
    answer = streamed(stream("text"))
    with upstream(Answer(answer.pieces, then="close"), answer) as server:
        generator = lean(server)
        await generator.run_async("Hay?", streaming_callback=nothing)
        assert await asyncio.to_thread(server.hung_up.wait, 5)
        result = await generator.run_async("Hay?", streaming_callback=nothing)
        await generator.close_async()

    assert server.connections == 2
    assert result["replies"][0].text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_each_event_loop_has_connections_of_its_own() -> None:
    with upstream(streamed(stream("text"))) as server:
        generator = lean(server)

        async def run() -> None:
            await generator.run_async("Hay?", streaming_callback=nothing)
            await LoopTransport().aclose()  # somebody else's end changes nothing

        for _ in range(2):
            asyncio.run(run())
        asyncio.run(generator.close_async())
        gc.collect()

        assert server.connections == 2
        assert all(request.connection == at for at, request in enumerate(server.asked, 1))


async def test_the_connections_of_another_loop_are_closed_there() -> None:
    with upstream(streamed(stream("text"))) as server:
        generator = lean(server)
        ran, closed = threading.Event(), threading.Event()

        async def run() -> None:
            await generator.run_async("Hay?", streaming_callback=nothing)
            ran.set()
            await asyncio.to_thread(closed.wait, 5)

        elsewhere = asyncio.create_task(asyncio.to_thread(asyncio.run, run()))
        await asyncio.to_thread(ran.wait, 5)
        await generator.close_async()

        assert await asyncio.to_thread(server.hung_up.wait, 5)
        closed.set()
        await elsewhere


async def test_a_transport_sends_what_httpx_does() -> None:
    with upstream(said(whole("text"))) as server:
        async with httpx2.AsyncClient(transport=LoopTransport()) as client:
            response = await client.post(f"http://127.0.0.1:{server.port}/a?b=%20", json={"c": 1})

    assert response.json()["object"] == "chat.completion"
    assert response.reason_phrase == "OK"
    assert server.asked[0].line == "POST /a?b=%20 HTTP/1.1"
    assert server.asked[0].body == {"c": 1}


async def test_no_more_connections_rest_than_are_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hayserve.generators.loop_pool.MOST_RESTING", 1)
    with upstream(said(whole("text"))) as server:
        transport = LoopTransport()
        answers = [await transport.handle_async_request(post(server)) for _ in range(3)]
        for answer in answers:
            await body_of(answer)
        await transport.aclose()

        assert server.connections == 3


async def test_a_connection_that_has_ended_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hayserve.generators.loop_pool.MOST_RESTING", 1)
    pushy = Answer([*said(whole("text")).pieces, b"HTTP/1.1 200 OK\r\n\r\n"])
    with upstream(said(whole("text")), pushy) as server:
        transport = LoopTransport()
        first = await transport.handle_async_request(post(server))
        second = await transport.handle_async_request(post(server))
        await body_of(second)
        assert await asyncio.to_thread(server.hung_up.wait, 5)
        await body_of(first)
        await body_of(await transport.handle_async_request(post(server)))
        await transport.aclose()

    assert server.asked[2].connection in {1, 3}


async def test_who_comes_while_the_last_one_leaves_finds_the_connections() -> None:
    with upstream(said(whole("text"))) as server:
        first, second = LoopTransport(), LoopTransport()
        await body_of(await first.handle_async_request(post(server)))
        await first.aclose()
        loop_pools().here().join(second)
        await asyncio.sleep(0)
        await body_of(await second.handle_async_request(post(server)))
        await second.aclose()

    assert server.connections == 1


async def test_a_body_that_was_let_go_of_is_empty() -> None:
    with upstream(said(whole("text"))) as server:
        transport = LoopTransport()
        response = await transport.handle_async_request(post(server))
        body = response.extensions[BODY]
        await body.aclose()

        assert await body.read() == b""
        await body.aclose()
        await transport.aclose()


async def test_a_long_answer_is_not_read_ahead_of_who_reads_it() -> None:
    text = b"x" * (40 * MOST_WAITING)
    with upstream(said(text)) as server:
        transport = LoopTransport()
        response = await transport.handle_async_request(post(server))

        assert await body_of(response) == text
        await transport.aclose()


async def test_pools_of_loops_that_have_ended_are_forgotten() -> None:
    pools = LoopPools()
    user = LoopTransport()

    async def join() -> None:
        pools.here().join(user)

    await asyncio.to_thread(asyncio.run, join())
    await asyncio.to_thread(asyncio.run, join())
    pools.left_by(user)

    assert pools.here() is pools.here()
    assert loop_pools() is loop_pools()
