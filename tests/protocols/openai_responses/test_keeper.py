"""Responses are kept, found and deleted, and what fails of one harms no other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from hayserve.errors import NotFound, NotReady, StorageUnavailable
from hayserve.events import BytesDelta
from hayserve.kept.conversations import Conversation
from hayserve.kept.responses import Kept
from hayserve.protocols.openai_responses import keeper as keeper_module
from hayserve.protocols.openai_responses.encode import ResponseEncoder
from hayserve.protocols.openai_responses.keeper import Keeper
from hayserve.protocols.openai_responses.log import Reader
from hayserve.protocols.openai_responses.recorder import Recorder
from hayserve.protocols.openai_responses.response_object import new_response, response_id
from hayserve.runs.live import LiveRun
from hayserve.runs.run import Run, new_ids
from hayserve.wrappers.capabilities import capabilities_of
from protocols.openai_responses.paced import BEFORE, Paced
from protocols.openai_responses.serving import (
    Worker,
    frames_in,
    serving_pair,
    serving_worker,
    streaming,
)

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
ONE = Kept(
    id="resp_1",
    owner="me",
    run="a" * 24,
    worker="gone",
    previous=None,
    conversation=None,
    input=[],
    body=BODY,
)
CONVERSATION = Conversation("conv_1", "me", {}, 1_000_000.0)


def begun(worker: Worker, paced: Paced, **fields: Any) -> tuple[Kept, LiveRun, ResponseEncoder]:
    """A run that makes a response, and what there is to keep of it."""
    method = capabilities_of(paced, name="it").response
    assert method is not None
    run_id = new_ids(1)[0]
    body = new_response({"model": "it"}, run_id=run_id, created_at=1)
    arguments: dict[str, Any] = {"model": "it", "input_items": [], "body": {}}
    live = worker.executor.start(Run(run_id, "it", method, arguments, survives=True))
    kept = replace(ONE, id=response_id(run_id), run=run_id, worker=worker.members.id, body=body)
    return replace(kept, **fields), live, ResponseEncoder(body, run_id=run_id)


async def recorded(worker: Worker, paced: Paced, **fields: Any) -> Recorder:
    return await worker.keeper.record(*begun(worker, paced, **fields))


def another_keeper(worker: Worker, purge: Callable[[], object] = lambda: None) -> Keeper:
    """A second one of the same worker, which a test starts and stops."""
    return Keeper(
        worker.responses,
        worker.turns,
        everywhere=worker.everywhere,
        worker=worker.members.id,
        is_alive=lambda _: True,
        purges=[purge],
    )


async def told(reader: Reader) -> str:
    """All that a reader is told."""
    said = b""
    with anyio.fail_after(10):
        while not (reader.has_ended and not reader.channel.has_events):
            events = await reader.channel.receive()
            said += b"".join(event.data for event in events if isinstance(event, BytesDelta))
    return said.decode()


async def until(holds: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not holds():  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)


async def ended(worker: Worker, id_: str) -> Kept:
    with anyio.fail_after(10):
        while not (kept := await worker.keeper.find(id_, owner="me")).has_ended:  # noqa: ASYNC110 - nothing else tells
            await anyio.sleep(0.01)
    return kept


async def test_what_a_database_cannot_keep_is_kept_as_it_would_be_sent() -> None:
    async with serving_worker() as worker:
        kept = replace(ONE, worker=worker.members.id)
        odd = {**BODY, "status": "completed", "output": [{"a": {1}}], "x": float("nan")}
        await worker.keeper.keep(kept, odd)
        found = await worker.keeper.find("resp_1", owner="me")
    assert found.has_ended
    assert (found.body["output"], found.body["x"]) == ([{"a": "{1}"}], None)


@pytest.mark.parametrize("id_", ["resp_none", "resp_\0", "chatcmpl-1"])
async def test_what_is_no_response_is_not_found(id_: str) -> None:
    async with serving_worker() as worker:
        completion = {"id": "chatcmpl-1", "object": "chat.completion"}
        worker.responses.add(replace(ONE, id="chatcmpl-1", body=completion, has_ended=True))
        with pytest.raises(NotFound) as refused:
            await worker.keeper.find(id_, owner="me", param="previous_response_id")
    assert refused.value.param == "previous_response_id"


async def test_what_this_worker_has_left_unfinished_has_failed() -> None:
    async with serving_worker() as worker:
        worker.responses.add(replace(ONE, worker=worker.members.id))
        found = await worker.keeper.find("resp_1", owner="me")
        frames = frames_in(await told(await worker.keeper.reader(found, start=0)))
    assert (found.has_ended, found.body["status"]) == (True, "failed")
    assert frames[0][1] == {
        "type": "response.failed",
        "sequence_number": 0,
        "response": found.body,
    }


async def test_what_has_ended_just_now_need_not_be_cancelled() -> None:
    async with serving_pair() as (one, two):
        kept = replace(ONE, worker=two.members.id)
        one.responses.add(kept)

        async def end() -> None:
            await anyio.sleep(0.05)
            two.responses.end("resp_1", {**BODY, "status": "completed"})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end)
            response = await one.keeper.cancel("resp_1", owner="me")
            assert response["status"] == "completed"
            assert await one.keeper.cancel("resp_1", owner="me") == response


async def test_a_server_that_has_stopped_begins_nothing() -> None:
    paced = Paced()
    paced.setup()
    async with serving_worker() as worker:
        keeper = another_keeper(worker)
        kept, live, encoder = begun(worker, paced)
        with pytest.raises(NotReady):
            await keeper.record(kept, live, encoder)
        assert live.closing is not None
        assert worker.responses.find(kept.id, owner="me") is None
        worker.responses.add(ONE)
        with pytest.raises(NotReady):
            await keeper.reader(ONE, start=0)


async def test_a_run_is_stopped_whose_response_cannot_be_kept() -> None:
    paced = Paced()
    paced.setup()
    async with serving_worker() as worker:
        kept, live, encoder = begun(worker, paced)
        with worker.outage(), pytest.raises(StorageUnavailable):
            await worker.keeper.record(kept, live, encoder)
        assert live.closing is not None
        worker.responses.add(kept)
        assert (await worker.keeper.find(kept.id, owner="me")).has_ended


async def test_one_response_that_cannot_be_written_ends_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    paced = Paced(words=1)
    paced.setup()
    async with serving_worker() as worker:
        worker.conversations.add(CONVERSATION, [])
        good = await recorded(worker, paced)
        bad = await recorded(worker, paced, conversation="conv_1")
        assert worker.conversations.begin_turn("conv_1", bad.kept.id, owner="me")
        with worker.database.writing_aside() as connection:
            refuse = f"""CREATE TRIGGER refuse BEFORE UPDATE ON responses
                WHEN new.id = '{bad.kept.id}' BEGIN SELECT RAISE(ABORT, 'no'); END"""
            connection.execute(text(refuse))
        paced.let(2)
        await until(lambda: good.log.is_over and bad.log.is_over)
        with worker.database.writing_aside() as connection:
            connection.execute(text("DROP TRIGGER refuse"))
        statuses = [(await ended(worker, one.kept.id)).body["status"] for one in (good, bad)]
        assert statuses == ["completed", "failed"]
        assert worker.conversations.begin_turn("conv_1", "resp_next", owner="me")
    assert [record.message for record in caplog.records if "kept" in record.message] == [
        "response_not_kept"
    ]


async def test_a_stream_is_followed_when_the_database_answers_again() -> None:
    paced = Paced(words=2)
    async with serving_pair(paced=paced) as (one, two):
        body = {"model": "paced", "input": "a", "background": True}
        id_ = (await one.http.post("/v1/responses", json=body)).json()["id"]
        async with streaming(two.app, f"/v1/responses/{id_}?stream=true") as stream:
            paced.let(1)
            await stream.has(BEFORE + 1)
            with two.outage():
                await anyio.sleep(2 * keeper_module.FOLLOW_SECONDS)
            paced.let(1)
            assert (await stream.whole())[-1][0] == "response.completed"
            assert stream.numbers == list(range(len(stream.frames)))


async def test_what_has_expired_is_deleted() -> None:
    async with serving_worker() as worker:
        worker.responses.add(replace(ONE, id="resp_old", has_ended=True))
        worker.responses.add(replace(ONE, id="resp_new", has_ended=True))
        worker.conversations.add(CONVERSATION, [])
        with worker.database.writing_aside() as connection:
            connection.execute(text("UPDATE responses SET expires_at = 1 WHERE id = 'resp_old'"))
            connection.execute(text("UPDATE conversations SET expires_at = 1"))
        done: list[bool] = []
        async with another_keeper(worker, lambda: done.append(True)).running():
            await until(lambda: done)
        with worker.database.reading() as connection:
            left = connection.execute(text("SELECT id FROM responses")).scalars().all()
            assert left == ["resp_new"]
            assert connection.execute(text("SELECT id FROM conversations")).all() == []


async def test_a_database_that_is_gone_is_purged_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_module, "PURGE_SECONDS", 0.01)
    async with serving_worker() as worker:
        with worker.outage():
            done: list[bool] = []
            async with another_keeper(worker, lambda: done.append(True)).running():
                await until(lambda: len(done) > 1)


async def test_what_is_under_way_when_the_server_stops_is_kept_as_it_ends() -> None:
    paced = Paced()
    paced.setup()
    async with serving_pair() as (one, two):
        keeper = another_keeper(one)
        async with keeper.running():
            kept, live, encoder = begun(one, paced)
            recorder = await keeper.record(kept, live, encoder)
            await paced.has_begun.wait()
            live.cancel("the server is stopping")
        assert recorder.log.is_over
        found = await two.keeper.find(kept.id, owner="me")
        assert (found.has_ended, found.body["status"]) == (True, "failed")


async def test_a_server_stops_although_the_database_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_module, "CLOSE_SECONDS", 0.1)
    paced = Paced()
    paced.setup()
    async with serving_worker() as worker:
        with anyio.fail_after(5):
            keeper = another_keeper(worker)
            async with keeper.running():
                recorder = await keeper.record(*begun(worker, paced))
                worker.database.close()
        worker.database.open()
        assert recorder.log.is_over


async def test_a_server_that_stops_follows_nobody() -> None:
    async with serving_pair() as (one, two):
        kept = replace(ONE, worker=two.members.id)
        one.responses.add(kept)
        with anyio.fail_after(5):
            keeper = another_keeper(one)
            async with keeper.running():
                reader = await keeper.reader(kept, start=0)
                await anyio.sleep(keeper_module.FOLLOW_SECONDS)
                assert not reader.has_ended
        assert reader.has_ended
