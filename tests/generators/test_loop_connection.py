"""What a connection does with what arrives, told by the bytes themselves."""

import asyncio

import httpx2
import pytest

from hayserve.generators.loop_connection import MOST_WAITING, LoopConnection

pytestmark = pytest.mark.anyio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhay"
HALF = ANSWER[:-1]
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.done: list[str] = []
        self.aborted = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.done.append("abort")
        self.aborted.set()

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")


class Pool(list[LoopConnection]):
    """Takes every connection that wants to rest."""

    def take(self, connection: LoopConnection) -> bool:
        self.append(connection)
        return True


def connected(pool: Pool) -> tuple[LoopConnection, Wire]:
    connection, wire = LoopConnection(pool.take), Wire()
    connection.connection_made(wire)
    return connection, wire


async def exchange(connection: LoopConnection, *received: bytes) -> None:
    """Asks, and lets this be what comes back."""
    async with asyncio.TaskGroup() as group:
        group.create_task(connection.exchange(b"ask", patience=5))
        await asyncio.sleep(0)
        for data in received:
            connection.data_received(data)


async def test_an_answer_that_has_been_read_leaves_a_connection_that_rests() -> None:
    pool = Pool()
    connection, wire = connected(pool)
    await exchange(connection, ANSWER)

    assert await connection.read(patience=5) == b"hay"
    assert await connection.read(patience=5) == b""
    connection.leave()
    connection.leave()

    assert pool == [connection]
    assert connection.resting
    assert wire.written == b"ask"
    await exchange(connection, ANSWER)
    assert not connection.resting
    connection.close()


async def test_an_answer_that_nobody_wants_is_cut_off() -> None:
    pool = Pool()
    connection, wire = connected(pool)
    await exchange(connection, HALF)

    connection.leave()
    connection.connection_lost(None)

    assert wire.done == ["abort"]
    assert pool == []


async def test_a_connection_does_not_rest_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hayserve.generators.loop_connection.LONGEST_REST", 0)
    pool = Pool()
    connection, wire = connected(pool)
    await exchange(connection, ANSWER)

    connection.leave()
    await wire.aborted.wait()

    assert not connection.resting


async def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    pool = Pool()
    connection, wire = connected(pool)
    await exchange(connection, ANSWER)
    connection.leave()

    connection.data_received(b"HTTP/1.1 408 Timeout\r\n\r\n")

    assert not connection.resting
    assert wire.done == ["abort"]


async def test_a_connection_that_says_more_than_was_asked_is_not_used_again() -> None:
    pool = Pool()
    connection, wire = connected(pool)
    await exchange(connection, ANSWER + ANSWER)

    connection.leave()

    assert pool == []
    assert wire.done == ["abort"]


async def test_a_second_answer_is_not_given_for_the_first_one() -> None:
    connection, _ = connected(Pool())
    await exchange(connection, ANSWER + ANSWER)

    assert await connection.read(patience=5) == b"hay"
    assert await connection.read(patience=5) == b""


async def test_what_is_not_http_is_an_error() -> None:
    connection, wire = connected(Pool())

    with pytest.RaisesGroup(httpx2.RemoteProtocolError):
        await exchange(connection, b"220 smtp.example.com\r\n")

    assert wire.done == ["abort"]


async def test_an_answer_may_end_with_the_connection() -> None:
    connection, _ = connected(Pool())
    await exchange(connection, ENDLESS, b"hay")

    connection.connection_lost(None)

    assert await connection.read(patience=None) == b"hay"
    assert await connection.read(patience=None) == b""


async def test_an_answer_that_ends_too_early_is_an_error() -> None:
    connection, _ = connected(Pool())
    await exchange(connection, HALF)
    reading = connection.read(patience=None)

    connection.connection_lost(None)

    assert await reading == b"ha"
    with pytest.raises(httpx2.RemoteProtocolError, match="amid"):
        await connection.read(patience=None)


async def test_a_connection_that_breaks_is_an_error() -> None:
    connection, _ = connected(Pool())
    await exchange(connection, ENDLESS)

    connection.connection_lost(ConnectionResetError("gone"))

    with pytest.raises(httpx2.ReadError, match="gone"):
        await connection.read(patience=5)
    with pytest.raises(httpx2.ReadError, match="gone"):
        await connection.exchange(b"ask", patience=5)


async def test_silence_is_an_error() -> None:
    connection, _ = connected(Pool())

    with pytest.raises(httpx2.ReadTimeout):
        await connection.exchange(b"ask", patience=0)


async def test_who_reads_slowly_slows_the_other_side() -> None:
    pool = Pool()
    connection, wire = connected(pool)
    much = b"x" * (MOST_WAITING + 1)
    await exchange(connection, ENDLESS, much, much)

    assert wire.done == ["pause"]
    assert await connection.read(patience=5) == much * 2
    assert wire.done == ["pause", "resume"]


async def test_a_connection_that_was_slowed_does_not_rest_like_that() -> None:
    pool = Pool()
    connection, wire = connected(pool)
    much = MOST_WAITING + 1
    await exchange(connection, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % much, b"x" * much)

    connection.leave()

    assert wire.done == ["pause", "abort"]
    assert pool == []


async def test_what_came_before_a_connection_broke_is_given_still() -> None:
    connection, wire = connected(Pool())
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    much = b"%x\r\n%s\r\n" % (MOST_WAITING + 1, b"x" * (MOST_WAITING + 1))
    await exchange(connection, chunked, much + b"no chunk\r\n")

    assert len(await connection.read(patience=5)) == MOST_WAITING + 1
    with pytest.raises(httpx2.RemoteProtocolError):
        await connection.read(patience=5)
    assert wire.done == ["abort"]


async def test_who_reads_slowly_gets_what_came_before_a_connection_broke() -> None:
    connection, wire = connected(Pool())
    await exchange(connection, ENDLESS, b"x" * (MOST_WAITING + 1))
    connection.connection_lost(ConnectionResetError("gone"))

    assert len(await connection.read(patience=5)) == MOST_WAITING + 1
    with pytest.raises(httpx2.ReadError, match="gone"):
        await connection.read(patience=5)
    assert wire.done == ["pause"]
