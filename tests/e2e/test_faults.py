"""What goes wrong around runs, with a real process and real sockets: each ends properly."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from e2e.flood import Flood
from e2e.started import Process, running
from e2e.telling import (
    Asked,
    Caller,
    Callers,
    Telling,
    key_of,
    put_tellers,
    runs_of,
    settled,
    wait_for,
    wait_until,
    ways,
)
from server.serving import put, wrapper

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

AT_ONCE = 64
RUNS = 1000
ALL = ways("rest", "chat", "responses")
WHOLE = ways("chat", "responses", streamed=(False,))
STREAMED = ways("rest", "events", "chat", "responses", streamed=(True,))
PLAIN = Asked("rest", "async", streamed=False)
# How many words may be said between a client's leaving and its being noticed, at 20 ms each.
A_FEW = 30
BIG_WORDS = {"size": 10_000, "pause": 0}

HANGING = wrapper(
    """
    limits = {"run_timeout": 1, "max_runs": 1, "max_waiting": 1}

    def run_api(self) -> str:
        return self.pipeline.run([ChatMessage.from_user("Go")])["last_message"].text
    """,
    top="""
    import time
    from pathlib import Path
    from haystack.components.agents import Agent
    from haystack.dataclasses import ChatMessage, ToolCall
    from haystack.tools import tool
    from hayserve.testing.scripted import ScriptedChatGenerator

    @tool
    def hang() -> str:
        "Return when others let it."
        while not Path("go_on").exists():
            time.sleep(0.02)
        return "went on"
    """,
    setup="""
    script = [ToolCall("hang", {}), "It went on."]
    self.pipeline = Agent(chat_generator=ScriptedChatGenerator(script, loop=True), tools=[hang])
    """,
)
CENSUS = wrapper(
    """
    async def run_api_async(self) -> dict[str, int]:
        gc.collect()
        runs = sum(type(one).__name__ == "LiveRun" for one in gc.get_objects())
        return {"tasks": len(asyncio.all_tasks()), "runs": runs}
    """,
    top="import asyncio, gc",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("faults")
    put_tellers(folder / "pipelines")
    put(folder / "pipelines" / "hanging", HANGING)
    put(folder / "pipelines" / "census", CENSUS)
    settings = {
        "HAYSERVE_MAX_RUNS": str(AT_ONCE),
        "HAYSERVE_MAX_WAITING": str(AT_ONCE),
        "HAYSERVE_LOG_LEVEL": "WARNING",
    }
    with running(folder, "--port", "0", **settings) as server:
        assert server.http.get("/readyz").status_code == 200, server.log.read_text()
        yield server
    log = server.log.read_text()
    failures = re.findall(r"^ *(\w*(?:Error|Exception)\b.*)", log, re.MULTILINE)
    assert set(failures) <= {"ValueError: the model broke"}
    assert "never" not in log


@pytest.fixture(autouse=True)
def callers(server: Process) -> Iterator[Callers]:
    """Those who ask in a test; when they have left, no test leaves a run behind."""
    callers = Callers(server.port)
    yield callers
    callers.leave()
    wait_until(lambda: runs_of(server) == [])


def tellings(server: Process, folder: Path, all_asked: Sequence[Asked]) -> list[Telling]:
    return [Telling(server, asked, folder / str(asked)) for asked in all_asked]


leaving = pytest.mark.parametrize("leave", [Caller.close, Caller.reset], ids=["close", "reset"])
Leave = Callable[[Caller], None]

# A client leaves


class Moment(NamedTuple):
    """When a client leaves: after so many words of what it asked for."""

    words: int
    plan: dict[str, Any]


MOMENTS = {
    "before the first word": Moment(0, {"first": 1.0}),
    "between two words": Moment(3, {}),
    "in the last word": Moment(2, {"tokens": 2, "pause": 1.0}),
}


@leaving
def test_a_client_that_leaves_before_its_request_is_complete_starts_no_run(
    server: Process, callers: Callers, tmp_path: Path, *, leave: Leave
) -> None:
    asked = tellings(server, tmp_path, ALL)
    for telling in asked:
        leave(callers.ask(telling.request()[:-20]))

    assert settled(lambda: len(runs_of(server))) == 0
    assert [telling.said for telling in asked] == [0] * len(asked)


@leaving
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_the_run_of_a_client_that_left_ends(
    server: Process, callers: Callers, tmp_path: Path, *, leave: Leave, moment: Moment
) -> None:
    asked = tellings(server, tmp_path, ALL)
    there = [callers.ask(telling.request(**moment.plan)) for telling in asked]
    wait_until(lambda: len(runs_of(server)) == len(asked))
    heard: dict[Asked, int] = {}
    for telling, caller in zip(asked, there, strict=True):
        wait_until(lambda telling=telling: telling.said >= moment.words)
        leave(caller)
        heard[telling.asked] = telling.said

    wait_until(lambda: runs_of(server) == [])

    assert [str(one.asked) for one in asked if not one.has_ended] == []
    assert [str(one.asked) for one in asked if one.said > heard[one.asked] + A_FEW] == []


def test_a_run_goes_on_without_its_client_if_the_request_says_so(
    server: Process, callers: Callers, tmp_path: Path
) -> None:
    asked = tellings(server, tmp_path, ALL)
    headers = {"x-run-on-disconnect": "continue"}
    for telling in asked:
        caller = callers.ask(telling.request(headers=headers, tokens=30, size=20_000))
        wait_until(lambda telling=telling: telling.said >= 3)
        caller.reset()

    wait_until(lambda: all(telling.has_ended for telling in asked))

    assert {telling.said for telling in asked} == {30}


# A client does not read


def test_the_runs_of_clients_that_read_nothing_wait_cost_little_and_run_out_of_time(
    server: Process, callers: Callers, tmp_path: Path
) -> None:
    before = memory_of(server)
    asked = tellings(server, tmp_path, STREAMED)
    for telling in asked:
        request = telling.request(headers={"x-run-timeout": "4"}, tokens=1_000_000, **BIG_WORDS)
        callers.ask(request, receives=4096)
    wait_until(lambda: min(telling.said for telling in asked) > 20)

    # The system takes up to 4 MB for a client; without an end it would be that in a moment.
    assert settled(lambda: max(telling.said for telling in asked)) < 800
    assert memory_of(server) - before <= 3 * len(asked)
    assert len(runs_of(server)) == len(asked)
    assert Telling(server, PLAIN).post(tokens=2).json() == {"result": "0 1 "}
    wait_until(lambda: runs_of(server) == [])
    assert all(telling.has_ended for telling in asked)


@pytest.mark.parametrize("asked", ways("rest", streamed=(True,)), ids=str)
def test_who_reads_on_after_a_pause_misses_nothing(
    server: Process, tmp_path: Path, asked: Asked
) -> None:
    telling = Telling(server, asked, tmp_path / "marks")
    body = asked.body(telling.plan(tokens=2000, **BIG_WORDS))
    with server.http.stream("POST", asked.path, json=body) as answer:
        assert settled(lambda: telling.said) < 2000
        heard = answer.read().decode()

    assert heard.split() == [str(number) for number in range(2000)]


# Code that hangs, and code that fails


def test_a_tool_that_hangs_is_given_up_is_shown_and_keeps_its_slot(server: Process) -> None:
    late = server.run("hanging")
    assert (late.status_code, late.json()["code"]) == (504, "run_timed_out")
    [stuck] = runs_of(server, deployment="hanging")
    assert (stuck["stage"], stuck["cancelled"]) == ("tool: hang", True)
    assert stuck["deadline_in_seconds"] < 0

    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(server.run, "hanging")
        wait_until(lambda: len(runs_of(server, deployment="hanging")) == 2)
        assert runs_of(server, deployment="hanging")[1]["stage"] == "waiting"
        third = server.run("hanging")
        assert (third.status_code, third.json()["code"]) == (429, "too_busy")
        assert int(third.headers["retry-after"]) >= 1
        (server.folder / "go_on").touch()
        assert second.result().json() == {"result": "It went on."}

    assert runs_of(server, deployment="hanging") == []


@pytest.mark.parametrize("asked", [*STREAMED, *WHOLE], ids=str)
def test_what_fails_before_its_first_word_is_answered_with_a_status(
    server: Process, asked: Asked
) -> None:
    answer = Telling(server, asked).post(fails_at=0)

    body = answer.json()
    assert answer.status_code == 500
    assert body.get("error", body)["code"] == "wrapper_failed"
    assert "the model broke" in answer.text


@pytest.mark.parametrize("asked", STREAMED, ids=str)
def test_what_fails_after_a_hundred_words_says_so_in_its_own_form(
    server: Process, asked: Asked
) -> None:
    answer = Telling(server, asked).post(fails_at=100, pause=0.001)

    assert answer.status_code == 200
    assert answer.text.count("99 ") >= 1
    assert "the model broke" in error_in(answer, asked)


def error_in(answer: httpx2.Response, asked: Asked) -> str:
    """The error that a stream ends with, in the form of its protocol."""
    if asked.protocol == "rest":
        return answer.text.rpartition("\n[error] ")[2]
    frames = answer.text.removesuffix("\n\n").split("\n\n")
    if asked.protocol in ("chat", "responses"):
        assert frames.pop() == "data: [DONE]"
    event, _, data = frames[-1].rpartition("data: ")
    said: dict[str, Any] = json.loads(data)
    if asked.protocol == "events":
        assert event == "event: error\n"
        return str(said["detail"])
    if asked.protocol == "responses":
        assert event == "event: response.failed\n"
        said = said["response"]
        assert said.pop("status") == "failed"
    return str(said["error"]["message"])


# Too much at once


def test_too_much_is_refused_and_what_is_no_run_is_answered_at_once(
    server: Process, callers: Callers
) -> None:
    for number in range(2 * AT_ONCE):
        callers.ask(Telling(server, ALL[number % len(ALL)]).request())
    wait_until(lambda: len(runs_of(server)) == 2 * AT_ONCE)

    assert [run["stage"] for run in runs_of(server)].count("waiting") == AT_ONCE
    for asked in ALL:
        refused = Telling(server, asked).post()
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        body = refused.json()
        assert body.get("error", body)["code"] == "too_busy"
    for path in ("/healthz", "/readyz", "/v1/models", "/status"):
        begun = time.monotonic()
        assert server.http.get(path).status_code == 200
        assert time.monotonic() - begun < 1


# An operator stops it


def by_http(server: Process, ids: list[str]) -> None:
    for run_id in ids:
        told = server.http.delete(f"/runs/{run_id}", headers=key_of(server))
        assert told.json()["cancelled"] is True, told.text


def by_command(server: Process, ids: list[str]) -> None:
    told = server.command("cancel", *ids)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("stop", [by_http, by_command])
def test_a_run_that_an_operator_stops_ends_and_its_caller_is_told(
    server: Process, tmp_path: Path, stop: Callable[[Process, list[str]], None]
) -> None:
    asked = tellings(server, tmp_path, [*ALL, *ways("events", streamed=(True,))])
    with ThreadPoolExecutor(len(asked)) as threads:
        answers: dict[Asked, Future[httpx2.Response]] = {
            telling.asked: threads.submit(telling.post) for telling in asked
        }
        wait_until(lambda: min(telling.said for telling in asked) >= 3)
        stop(server, [run["id"] for run in runs_of(server)])
        heard = {asked: answer.result() for asked, answer in answers.items()}

    wait_until(lambda: all(telling.has_ended for telling in asked))
    for one, answer in heard.items():
        if one.streamed:
            assert "an operator cancelled it" in error_in(answer, one), one
        else:
            body = answer.json()
            assert (answer.status_code, body.get("error", body)["code"]) == (409, "run_stopped")


# All of it, often


def test_a_thousand_runs_whose_clients_leave_at_random_leave_nothing_behind(
    server: Process, callers: Callers
) -> None:
    asyncio.run(Flood(server, kinds=[*ALL, *STREAMED], at_once=16).run(32))
    wait_until(lambda: runs_of(server) == [])
    before, files, threads = census_of(server), count(server, "fd"), count(server, "task")

    flood = Flood(server, kinds=[*ALL, *STREAMED], at_once=16)
    asyncio.run(flood.run(RUNS))
    assert set(flood.statuses) == {b"200"}
    wait_until(lambda: runs_of(server) == [])

    wait_for(lambda: count(server, "fd"), lambda now: now <= files)
    wait_for(lambda: census_of(server), lambda now: all(now[what] <= before[what] for what in now))
    assert count(server, "task") <= threads + AT_ONCE  # those are idle, and soon go
    assert Telling(server, PLAIN).post(tokens=2).json() == {"result": "0 1 "}
    for number in range(AT_ONCE):
        callers.ask(Telling(server, ALL[number % len(ALL)]).request())
    wait_until(lambda: len(runs_of(server)) == AT_ONCE)
    assert "waiting" not in {run["stage"] for run in runs_of(server)}


def census_of(server: Process) -> dict[str, int]:
    result: dict[str, int] = server.run("census").json()["result"]
    return result


def count(server: Process, what: str) -> int:
    return len([*Path(f"/proc/{server.process.pid}/{what}").iterdir()])


def memory_of(server: Process) -> float:
    """Its resident memory, in MB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s*(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1000
