"""The load client, against a server on a real socket."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.calls import Calls, Task
from benchmarks.client import processor_time, run

ROOT = Path(__file__).parent.parent.parent
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwort "
STREAM = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b"10\r\ndata: {wort   }\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)

Answers = Callable[[bytes], bytes]


@asynccontextmanager
async def serving(answers: Answers) -> AsyncGenerator[int]:
    """A server that answers each request by its first line; an empty answer closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                answer = answers(head.partition(b"\r\n")[0])
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def said(answer: bytes) -> Answers:
    return lambda _: answer


@pytest.mark.anyio
async def test_calls_are_repeated_for_a_time_and_counted() -> None:
    async with serving(said(OK)) as port:
        task = Task(port, (Calls("/it", "{}", 4),), seconds=0.1, warm_up=0.01)
        found = await run(task)

    assert found.failures == {}
    assert found.answers == pytest.approx(found.tokens, abs=4)
    assert found.answers > 4
    assert found.seconds >= 0.1
    assert [*found.times] == sorted(found.times)


@pytest.mark.anyio
async def test_each_connection_calls_once_if_that_is_asked_for() -> None:
    calls = Calls("/it", "{}", 8, again=False, ending="[DONE]")
    async with serving(said(STREAM)) as port:
        found = await run(Task(port, (calls,), pids=(os.getpid(),)))

    assert found.failures == {}
    assert (found.answers, found.tokens, found.frames) == (8, 8, 16)
    assert len(found.times) == len(found.first_tokens) == 8
    assert found.cpu >= 0


@pytest.mark.anyio
async def test_another_path_is_asked_for_all_the_while() -> None:
    def answer(line: bytes) -> bytes:
        return OK if b"/it" in line else b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    async with serving(answer) as port:
        found = await run(Task(port, (Calls("/it", "{}"),), seconds=0.1, probe="/healthz"))

    assert found.failures == {}
    assert len(found.probes) > 1


def flaky() -> Answers:
    """Answers once, and then closes."""
    answers = itertools.chain([OK], itertools.repeat(b""))
    return lambda _: next(answers)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        (said(OK.replace(b"200", b"503")), "status 503"),
        (said(OK.replace(b"wort ", b"empty")), "0 tokens of 1"),
        (said(STREAM.replace(b"[DONE]", b"[OVER]")), "a stream without its end"),
        (flaky(), "connection lost"),
    ],
)
async def test_a_wrong_answer_is_a_failure(answers: Answers, wrong: str) -> None:
    ending = "[DONE]" if "stream" in wrong else ""
    async with serving(answers) as port:
        found = await run(Task(port, (Calls("/it", "{}", ending=ending),), seconds=0.05))

    assert found.failures == {wrong: 1}


@pytest.mark.anyio
async def test_an_answer_that_does_not_end_is_a_failure_in_the_end() -> None:
    calls = Calls("/it", "{}", 2, again=False)
    async with serving(said(OK[:-1])) as port:
        found = await run(Task(port, (calls,), patience=0.05))

    assert found.failures == {"no whole answer in time": 2}


@pytest.mark.anyio
async def test_a_probe_that_is_not_answered_is_a_failure() -> None:
    async with serving(lambda line: OK if b"/it" in line else OK[:-1]) as port:
        task = Task(port, (Calls("/it", "{}"),), seconds=0.05, patience=0.05, probe="/healthz")
        found = await run(task)

    assert found.failures == {"probe: no answer": 1}


def test_the_time_of_a_process_that_is_gone_is_none() -> None:
    assert processor_time([2**22 + 1]) == 0
    assert processor_time([os.getpid()]) > 0


@pytest.mark.anyio
async def test_it_is_a_program_that_reads_and_prints_json() -> None:
    async with serving(said(OK)) as port:
        task = Task(port, (Calls("/it", "{}", again=False),))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.client"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        printed, _ = await process.communicate(json.dumps(asdict(task)).encode())

    found = json.loads(printed)
    assert found["answers"] == 1
    assert found["failures"] == {}
