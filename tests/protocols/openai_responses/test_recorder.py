"""A response is written down to its end, whatever its wrapper, its client and the database do."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from hayserve.errors import RunFailed, RunStopped, WrapperFailed
from hayserve.kept.responses import Kept
from hayserve.protocols.openai_responses import recorder as recorder_module
from hayserve.protocols.openai_responses.encode import ResponseEncoder
from hayserve.protocols.openai_responses.log import Reader
from hayserve.protocols.openai_responses.recorder import CANCELLED, Recorder
from hayserve.protocols.openai_responses.response_object import new_response, response_id
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run, new_ids
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from kept.frames import frames_of
from protocols.openai_responses.paced import AFTER, BEFORE, Gives, Paced, Recalls
from protocols.openai_responses.serving import Frame, Worker, frames_in, serving_worker

pytestmark = pytest.mark.anyio

WORDS = 3
ALL = BEFORE + WORDS + AFTER
LIMITS = {"LAST_WORD_SECONDS": 0.05, "RETRY_SECONDS": 0.05, "FLUSH_SECONDS": 0.01}


class Recording:
    """A recorder at work, and what is kept of its response."""

    def __init__(self, worker: Worker, wrapper: Any, *, survives: bool) -> None:
        method = capabilities_of(wrapper, name="it").response
        assert method is not None
        run_id = new_ids(1)[0]
        items = [{"type": "message", "role": "user", "content": "Hi"}]
        arguments: dict[str, Any] = {"model": "it", "input_items": items, "body": {}}
        body = new_response({"model": "it"}, run_id=run_id, created_at=1)
        self._worker = worker
        self.kept = Kept(
            id=response_id(run_id),
            owner="me",
            run=run_id,
            worker=worker.members.id,
            previous=None,
            conversation=None,
            input=items,
            body=body,
        )
        worker.responses.add(self.kept)
        self.live: LiveRun = worker.executor.start(
            Run(run_id, "it", method, arguments, survives=survives)
        )
        self.recorder = Recorder(
            self.kept,
            self.live,
            ResponseEncoder(body, run_id=run_id),
            responses=worker.responses,
            turns=worker.turns,
            limiter=anyio.CapacityLimiter(1),
        )

    @property
    def now(self) -> Kept:
        """The response as it is kept."""
        found = self._worker.responses.find(self.kept.id, owner="me")
        assert found is not None
        return found

    def kept_frames(self) -> list[Frame]:
        return frames_in(b"".join(frames_of(self._worker.responses, self.kept.id)).decode())

    def said(self) -> list[Frame]:
        return frames_in(b"".join(self.recorder.log.frames).decode())

    async def has_kept(self, count: int) -> None:
        """Return when so many events are in the database."""
        with anyio.fail_after(10):
            while len(self.kept_frames()) < count:  # noqa: ASYNC110 - nothing else tells
                await anyio.sleep(0.01)

    async def has_said(self, count: int) -> None:
        """Return when so many events were said."""
        with anyio.fail_after(10):
            while len(self.recorder.log.frames) < count:  # noqa: ASYNC110 - nothing else tells
                await anyio.sleep(0.01)


def recording(worker: Worker, wrapper: Any, *, survives: bool = True) -> Recording:
    wrapper.setup()
    return Recording(worker, wrapper, survives=survives)


def numbers(frames: list[Frame]) -> list[int]:
    return [data["sequence_number"] for _, data in frames]


async def test_all_that_is_said_is_kept() -> None:
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced)
        paced.let(WORDS)
        await one.recorder.record()
        assert await one.recorder.opened is None
        assert one.kept_frames() == one.said()
        assert numbers(one.said()) == list(range(ALL))
        assert one.now.has_ended
        assert one.said()[-1][1]["response"] == one.now.body


async def test_of_a_run_that_ends_with_its_client_only_the_response_is_kept() -> None:
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced, survives=False)
        paced.let(WORDS)
        await one.recorder.record()
        assert one.kept_frames() == []
        assert one.said()[-1][1]["response"] == one.now.body


async def test_events_are_kept_while_the_run_goes_on() -> None:
    paced = Paced(WORDS)
    async with serving_worker() as worker, anyio.create_task_group() as tasks:
        one = recording(worker, paced)
        tasks.start_soon(one.recorder.record)
        paced.let(1)
        await one.has_kept(BEFORE + 1)
        assert not one.now.has_ended
        paced.let(WORDS)


async def test_why_a_run_said_nothing_is_told_when_that_is_kept() -> None:
    async with serving_worker() as worker, anyio.create_task_group() as tasks:
        one = recording(worker, Recalls())
        two = recording(worker, Gives())
        one.live.cancel("enough")
        for each in (one, two):
            tasks.start_soon(each.recorder.record)
        assert isinstance(await one.recorder.opened, RunStopped)
        assert one.now.body["status"] == "failed"
        assert await two.recorder.opened is None


async def test_what_is_no_answer_fails() -> None:
    async with serving_worker() as worker:
        one = recording(worker, SaysNothing())
        await one.recorder.record()
        assert isinstance(await one.recorder.opened, WrapperFailed)
        assert [kind for kind, _ in one.kept_frames()][-1] == "response.failed"
        assert "returned 'NoneType'" in one.now.body["error"]["message"]


class SaysNothing(Recalls):
    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        return None


async def test_what_has_no_form_as_a_response_fails() -> None:
    async with serving_worker() as worker:
        odd = {"object": "chat.completion", "choices": [5]}
        one = recording(worker, Gives(odd))
        await one.recorder.record()
        assert isinstance(await one.recorder.opened, RunFailed)
        assert [kind for kind, _ in one.said()] == ["response.failed"]
        assert one.kept_frames() == one.said()
        assert one.now.body["status"] == "failed"
        assert "'it'" in one.now.body["error"]["message"]


async def test_what_has_no_form_after_the_first_word_ends_the_stream_in_its_order() -> None:
    async with serving_worker() as worker:
        word = {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "a"}}]}
        one = recording(worker, Gives(word, {"object": "chat.completion.chunk", "choices": [5]}))
        await one.recorder.record()
        assert one.said()[-1][0] == "response.failed"
        assert numbers(one.kept_frames()) == list(range(len(one.said())))
        assert one.now.body["status"] == "failed"


async def test_a_response_that_its_client_cancels_is_cancelled() -> None:
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.recorder.record)
            paced.let(1)
            await one.has_said(BEFORE + 1)
            one.live.cancel(CANCELLED)
        assert numbers(one.said()) == list(range(len(one.said())))
        assert one.kept_frames() == one.said()
        assert (one.now.body["status"], one.now.body["error"]) == ("cancelled", None)
        assert one.said()[-1][1]["response"] == one.now.body


async def test_a_response_that_has_ended_already_cannot_be_cancelled() -> None:
    whole: dict[str, Any] = {"object": "response", "output": [], "id": "theirs"}
    async with serving_worker() as worker:
        one = recording(worker, Ends(whole))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.recorder.record)
            await one.has_said(3)
            one.live.cancel(CANCELLED)
        assert one.now.body["status"] == "completed"
        assert one.said()[-1][0] == "response.completed"


class Ends(Gives):
    """Says all, and then goes on for ever."""

    async def _give(self) -> AsyncGenerator[object]:
        async for one in super()._give():
            yield one
        await anyio.sleep_forever()


async def test_what_is_deleted_under_way_is_written_down_no_more() -> None:
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.recorder.record)
            paced.let(1)
            await one.has_kept(BEFORE + 1)
            worker.responses.delete(one.kept.id, owner="me")
            paced.let(1)
            await one.has_said(BEFORE + 2)
            await anyio.sleep(2 * recorder_module.FLUSH_SECONDS)
            paced.let(1)
        assert one.said()[-1][0] == "response.completed"
        assert one.kept_frames() == []


async def test_events_wait_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.02)
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.recorder.record)
            with worker.outage():
                paced.let(1)
                await one.has_said(BEFORE + 1)
                await anyio.sleep(0.2)
            await one.has_kept(BEFORE + 1)
            paced.let(WORDS)
        assert one.kept_frames() == one.said()


async def test_the_last_events_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in LIMITS.items():
        monkeypatch.setattr(recorder_module, name, seconds)
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.recorder.record)
            paced.let(1)
            await one.has_kept(BEFORE + 1)
            with worker.outage():
                paced.let(WORDS)
                await one.has_said(ALL)
                reader = Reader()
                one.recorder.log.read(reader, start=ALL - 1)
                assert len(await reader.channel.receive()) == 2
        assert one.kept_frames() == one.said()
        assert one.now.body["status"] == "completed"


async def test_a_request_that_gives_up_waiting_harms_nothing() -> None:
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.recorder.record)
            with anyio.move_on_after(0.01):
                await one.recorder.opened
            assert one.recorder.opened.cancelled()
            paced.let(WORDS)
        assert one.now.body["status"] == "completed"


async def test_a_recorder_that_is_stopped_stops_its_run_and_tells_who_waits() -> None:
    paced = Paced(WORDS)
    async with serving_worker() as worker:
        one = recording(worker, paced)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.recorder.record)
            await paced.has_begun.wait()
            tasks.cancel_scope.cancel()
        assert one.live.closing is not None
        assert one.recorder.log.is_over
        assert await one.recorder.opened is None


class Chatters(BasePipelineWrapper):
    """Says as much as anybody takes."""

    said = 0

    def setup(self) -> None:
        return

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[str]:
        while self.said < MUCH:
            self.said += 1
            yield "hay " * 1000


MUCH = 2000


async def test_a_run_that_is_there_for_its_client_alone_is_no_faster_than_it_reads() -> None:
    wrapper = Chatters()
    async with serving_worker() as worker, anyio.create_task_group() as tasks:
        one = recording(worker, wrapper, survives=False)
        tasks.start_soon(one.recorder.record)
        await one.recorder.opened
        reader = Reader()
        one.recorder.log.read(reader, start=0)
        while not one.recorder.log.is_behind:  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)
        await anyio.sleep(0.1)
        assert wrapper.said < MUCH
        with anyio.fail_after(20):
            while reader.closing is None:
                await reader.channel.receive()

    assert wrapper.said == MUCH


async def test_a_run_that_goes_on_without_its_client_waits_for_nobody() -> None:
    wrapper = Chatters()
    async with serving_worker() as worker:
        one = recording(worker, wrapper)
        one.recorder.log.read(Reader(), start=0)
        with anyio.fail_after(20):
            await one.recorder.record()

    assert wrapper.said == MUCH


async def test_what_is_said_at_once_is_kept_in_rows_that_can_be_read_one_by_one() -> None:
    paced = Paced(0)
    async with serving_worker() as worker:
        paced.setup()
        recording = Recording(worker, paced, survives=True)
        large = [b"event: e\ndata: %s\n\n" % (b"x" * size) for size in (9, 200_000, 200_000, 9)]
        recording.recorder.log.add(b"".join(large))
        await recording.recorder.record()
        with worker.database.reading() as connection:
            query = text("SELECT number, next FROM response_frames ORDER BY number")
            rows = [tuple(row) for row in connection.execute(query)]
        assert rows[:2] == [(0, 2), (2, 4)]
        assert frames_of(worker.responses, recording.kept.id)[:4] == large
