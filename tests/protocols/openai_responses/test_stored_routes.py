"""Responses are there for who comes back: as a whole, as a stream, on any worker."""

from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import anyio
import httpx2
import pytest
from openai.types.responses import Response
from sqlalchemy import event, text
from starlette.types import Message

from hayserve.events import BytesDelta
from hayserve.protocols.openai_responses import keeper as keeper_module
from protocols.openai_responses.paced import AFTER, BEFORE, Gives, Paced, Recalls
from protocols.openai_responses.serving import (
    Frame,
    Worker,
    frames_in,
    serving,
    serving_pair,
    serving_worker,
    streaming,
)

pytestmark = pytest.mark.anyio

OTHER = {"authorization": "Bearer other"}
WORDS = 3
ALL = BEFORE + WORDS + AFTER


async def make(http: httpx2.AsyncClient, model: str = "recalls", **fields: Any) -> Any:
    answer = await http.post("/v1/responses", json={"model": model, "input": "a", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def retrieve(http: httpx2.AsyncClient, id_: str, query: str = "") -> httpx2.Response:
    return await http.get(f"/v1/responses/{id_}{query}")


async def ended(http: httpx2.AsyncClient, id_: str) -> Any:
    """The response, once it has ended."""
    with anyio.fail_after(10):
        found = (await retrieve(http, id_)).json()
        while found["status"] == "in_progress":
            await anyio.sleep(0.02)
            found = (await retrieve(http, id_)).json()
    return found


def id_in(frames: list[Frame]) -> str:
    return str(frames[0][1]["response"]["id"])


@pytest.mark.parametrize("root", ["/v1", ""])
async def test_a_response_is_found_again_on_every_worker(root: str) -> None:
    async with serving_pair(recalls=Recalls()) as (one, two):
        made = await make(one.http)
        for worker in (one, two):
            found = await worker.http.get(f"{root}/responses/{made['id']}")
            assert found.json() == made
            Response.model_validate_json(found.content, strict=True)


async def test_a_response_that_was_streamed_is_found_as_it_ended() -> None:
    async with serving(recalls=Recalls()) as http:
        sent = {"model": "recalls", "input": "a", "stream": True}
        frames = frames_in((await http.post("/v1/responses", json=sent)).text)
        found = await retrieve(http, id_in(frames))
    assert found.json() == frames[-1][1]["response"]


async def test_what_was_made_for_nobody_to_come_back_is_not_kept() -> None:
    async with serving(recalls=Recalls()) as http:
        made = await make(http, store=False)
        assert (await retrieve(http, made["id"])).status_code == 404


async def test_nothing_of_it_is_shown_to_another_key() -> None:
    async with serving(recalls=Recalls()) as http:
        path = f"/v1/responses/{(await make(http))['id']}"
        for method, at in (
            ("GET", path),
            ("GET", f"{path}?stream=true"),
            ("GET", f"{path}/input_items"),
            ("POST", f"{path}/cancel"),
            ("DELETE", path),
        ):
            answer = await http.request(method, at, headers=OTHER)
            assert answer.status_code == 404
            assert answer.json()["error"]["param"] == "response_id"
        assert (await http.get(path)).status_code == 200


async def test_a_response_is_deleted() -> None:
    async with serving(recalls=Recalls()) as http:
        path = f"/v1/responses/{(await make(http))['id']}"
        answer = await http.delete(path)
        assert answer.json()["deleted"] is True
        assert [(await http.get(path)).status_code, (await http.delete(path)).status_code] == [
            404,
            404,
        ]


async def test_what_was_sent_is_listed_in_pages_the_newest_first() -> None:
    async with serving(recalls=Recalls()) as http:
        sent = [{"role": "user", "content": text} for text in "abc"]
        path = f"/v1/responses/{(await make(http, input=sent))['id']}/input_items"
        first = (await http.get(f"{path}?limit=2")).json()
        second = (await http.get(f"{path}?limit=2&after={first['last_id']}")).json()
        upwards = (await http.get(f"{path}?order=asc")).json()
    texts = [item["content"][0]["text"] for item in first["data"] + second["data"]]
    assert texts == ["c", "b", "a"]
    assert [item["content"][0]["text"] for item in upwards["data"]] == ["a", "b", "c"]
    assert (first["has_more"], second["has_more"]) == (True, False)


async def test_a_response_in_the_background_is_made_without_its_client() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        made = await make(one.http, "paced", background=True)
        assert (made["status"], made["output"], made["background"]) == ("in_progress", [], True)
        assert (await retrieve(two.http, made["id"])).json()["status"] == "in_progress"
        paced.let(WORDS)
        found = await ended(two.http, made["id"])
    assert (found["status"], found["id"]) == ("completed", made["id"])
    assert found["output"][0]["content"][0]["text"] == "0 1 2 "


async def test_a_response_in_the_background_goes_on_when_its_client_leaves() -> None:
    paced = Paced(WORDS)
    async with serving_worker(paced=paced) as worker:
        body = {"model": "paced", "input": "a", "stream": True, "background": True}
        async with streaming(worker.app, "/v1/responses", body=body) as stream:
            paced.let(1)
            frames = await stream.has(BEFORE + 1)
        paced.let(WORDS)
        found = await ended(worker.http, id_in(frames))
    assert found["status"] == "completed"


async def test_a_response_that_nobody_waits_for_is_stopped_when_its_client_leaves() -> None:
    paced = Paced(WORDS)
    async with serving_worker(paced=paced) as worker:
        body = {"model": "paced", "input": "a", "stream": True}
        async with streaming(worker.app, "/v1/responses", body=body) as stream:
            paced.let(1)
            frames = await stream.has(BEFORE + 1)
        with anyio.fail_after(5):
            await paced.has_stopped.wait()
        found = await ended(worker.http, id_in(frames))
    assert found["status"] == "failed"


@pytest.mark.parametrize("which", [0, 1])
async def test_a_response_in_the_background_is_cancelled_on_any_worker(which: int) -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as workers:
        made = await make(workers[0].http, "paced", background=True)
        await paced.has_begun.wait()
        path = f"/v1/responses/{made['id']}/cancel"
        answer = await workers[which].http.post(path)
        with anyio.fail_after(5):
            await paced.has_stopped.wait()
        again = await workers[which].http.post(path)
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["error"]) == ("cancelled", None)
    assert again.json() == answer.json()


async def test_only_a_response_in_the_background_can_be_cancelled() -> None:
    async with serving(recalls=Recalls()) as http:
        made = await make(http)
        answer = await http.post(f"/v1/responses/{made['id']}/cancel")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "response_id")


@contextmanager
def reads_of(worker: Worker) -> Generator[list[str]]:
    """What a worker asks its database of responses while the block lasts."""
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        if "FROM response" in arguments[2]:
            asked.append(arguments[2])

    engine = worker.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def pick_up(worker: Worker, id_: str, start: int | None) -> list[Frame]:
    """The rest of a stream."""
    after = "" if start is None else f"&starting_after={start}"
    async with streaming(worker.app, f"/v1/responses/{id_}?stream=true{after}") as stream:
        return await stream.whole()


@pytest.mark.parametrize("start", [None, 0, 2, BEFORE, ALL - 2, ALL - 1])
async def test_a_stream_is_picked_up_where_it_was_left_on_any_worker(start: int | None) -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        body = {"model": "paced", "input": "a", "stream": True, "store": True}
        rest: dict[Worker, list[Frame]] = {}

        async def follow(worker: Worker, id_: str) -> None:
            rest[worker] = await pick_up(worker, id_, start)

        async with streaming(one.app, "/v1/responses", body=body) as stream:
            paced.let(1)
            id_ = id_in(await stream.has(BEFORE + 1))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, one, id_)
                tasks.start_soon(follow, two, id_)
                await anyio.sleep(0.05)
                paced.let(WORDS)
            whole = await stream.whole()
            assert stream.numbers == list(range(ALL))
        expected = whole[0 if start is None else start + 1 :]
        assert rest == {one: expected, two: expected}
        for worker in (one, two):
            assert await pick_up(worker, id_, start) == expected


async def test_a_stream_that_goes_on_elsewhere_is_heard_as_it_comes() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        made = await make(one.http, "paced", background=True)
        async with streaming(two.app, f"/v1/responses/{made['id']}?stream=true") as stream:
            for word in range(WORDS):
                paced.let(1)
                frames = await stream.has(BEFORE + word + 1)
                assert frames[BEFORE + word][1]["delta"] == f"{word} "
            await stream.whole()
            assert stream.numbers == list(range(ALL))
            assert stream.frames[-1][0] == "response.completed"


async def test_what_is_known_here_a_little_later_is_not_told_twice() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        made = await make(one.http, "paced", background=True)
        path = f"/v1/responses/{made['id']}?stream=true&starting_after={BEFORE}"
        async with streaming(two.app, path) as stream:  # before a word of it is there
            paced.let(WORDS)
            await stream.whole()
            assert stream.numbers == list(range(BEFORE + 1, ALL))


async def test_a_cancelled_stream_ends_with_the_response_as_it_is_kept() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        body = {"model": "paced", "input": "a", "stream": True, "background": True}
        async with streaming(one.app, "/v1/responses", body=body) as stream:
            paced.let(1)
            id_ = id_in(await stream.has(BEFORE + 1))
            kept = (await two.http.post(f"/v1/responses/{id_}/cancel")).json()
            whole = await stream.whole()
        assert stream.numbers == list(range(len(whole)))
        assert await pick_up(two, id_, None) == whole
    assert whole[-1][0] == "response.failed"
    assert whole[-1][1]["response"] == kept
    assert kept["status"] == "cancelled"


async def test_a_response_whose_worker_died_has_failed_and_so_its_stream_ends() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        made = await make(one.http, "paced", background=True)
        async with streaming(two.app, f"/v1/responses/{made['id']}?stream=true") as stream:
            paced.let(1)
            await stream.has(BEFORE + 1)
            one.die()
            frames = await stream.whole()
            assert stream.numbers == list(range(BEFORE + 2))
        found = (await retrieve(two.http, made["id"])).json()
        assert frames[-1] == (
            "response.failed",
            {"type": "response.failed", "sequence_number": BEFORE + 1, "response": found},
        )
        assert await pick_up(two, made["id"], BEFORE) == frames[-1:]
        paced.let(WORDS)  # it was not so dead; what it says now is too late
        with anyio.fail_after(5):
            await paced.has_stopped.wait()
        assert (await retrieve(two.http, made["id"])).json() == found
    assert found["status"] == "failed"
    assert "ended before it" in found["error"]["message"]


async def test_what_is_deleted_under_way_is_made_to_its_end_for_nobody() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        made = await make(one.http, "paced", background=True)
        path = f"/v1/responses/{made['id']}"
        async with (
            streaming(one.app, f"{path}?stream=true") as here,
            streaming(two.app, f"{path}?stream=true") as there,
        ):
            paced.let(1)
            await here.has(BEFORE + 1)
            await there.has(BEFORE + 1)
            assert (await two.http.delete(path)).status_code == 200
            await there.whole()
            assert there.numbers == list(range(BEFORE + 1))
            paced.let(WORDS)
            assert (await here.whole())[-1][0] == "response.completed"
        assert (await one.http.get(path)).status_code == 404
        assert (await make(one.http, "paced", background=True))["status"] == "in_progress"


async def test_who_listens_no_longer_is_not_followed_for() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        made = await make(one.http, "paced", background=True)
        async with streaming(two.app, f"/v1/responses/{made['id']}?stream=true") as stream:
            paced.let(1)
            await stream.has(BEFORE + 1)
        with anyio.fail_after(10):
            reads = ["?"]
            while reads:
                with reads_of(two) as reads:
                    await anyio.sleep(3 * keeper_module.FOLLOW_SECONDS)
        paced.let(WORDS)


@pytest.mark.parametrize("fields", [{}, {"stream": True}])
async def test_the_events_of_other_responses_are_not_kept(fields: dict[str, Any]) -> None:
    async with serving(recalls=Recalls()) as http:
        sent = {"model": "recalls", "input": "a", **fields}
        answer = await http.post("/v1/responses", json=sent)
        id_ = id_in(frames_in(answer.text)) if fields else answer.json()["id"]
        refused = await retrieve(http, id_, "?stream=true")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stream")


async def test_the_events_of_any_response_are_heard_where_it_is_made() -> None:
    paced = Paced(WORDS)
    async with serving_worker(paced=paced) as worker:
        body = {"model": "paced", "input": "a", "stream": True}
        async with streaming(worker.app, "/v1/responses", body=body) as stream:
            paced.let(1)
            id_ = id_in(await stream.has(BEFORE + 1))
            path = f"/v1/responses/{id_}?stream=true"
            async with streaming(worker.app, path) as other:
                await other.has(BEFORE + 1)
            paced.let(WORDS)
            await stream.whole()
            assert stream.numbers == list(range(ALL))


@pytest.mark.parametrize("number", ["-1", "x", "²", "9" * 5000])
async def test_a_number_that_is_none_is_refused(number: str) -> None:
    async with serving(recalls=Recalls()) as http:
        made = await make(http, background=True)
        query = {"stream": "true", "starting_after": number}
        answer = await http.get(f"/v1/responses/{made['id']}", params=query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "starting_after")


async def test_a_response_goes_on_from_all_that_was_said_before() -> None:
    recalls = Recalls()
    async with serving(recalls=recalls) as http:
        first = await make(http, input="a")
        second = await make(http, input="b", previous_response_id=first["id"], stream=False)
        third = await make(http, input="c", previous_response_id=second["id"])
        assert recalls.texts() == ["a", "1 items", "b", "3 items", "c"]
        assert third["previous_response_id"] == second["id"]
        await make(http, input="d", previous_response_id=first["id"])
        assert recalls.texts() == ["a", "1 items", "d"]


async def test_a_response_that_is_not_there_cannot_be_continued() -> None:
    async with serving(recalls=Recalls()) as http:
        first = await make(http)
        second = await make(http, previous_response_id=first["id"])
        await http.delete(f"/v1/responses/{first['id']}")
        for previous in ("resp_none", second["id"]):
            body = {"model": "recalls", "input": "a", "previous_response_id": previous}
            answer = await http.post("/v1/responses", json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, "previous_response_id")


async def test_a_response_that_is_still_made_cannot_be_continued() -> None:
    paced = Paced(WORDS)
    async with serving_worker(paced=paced, recalls=Recalls()) as worker:
        made = await make(worker.http, "paced", background=True)
        body = {"model": "recalls", "input": "a", "previous_response_id": made["id"]}
        answer = await worker.http.post("/v1/responses", json=body)
        assert answer.status_code == 409
        assert answer.json()["error"]["param"] == "previous_response_id"
        paced.let(WORDS)
        await ended(worker.http, made["id"])
        answer = await worker.http.post("/v1/responses", json=body)
    assert answer.json()["output"][0]["content"][0]["text"] == "3 items"


async def test_a_completion_is_no_response() -> None:
    made = {"object": "chat.completion", "choices": [{"message": {"content": "Hi"}}]}
    async with serving(gives=Gives(made)) as http:
        response = await make(http, "gives", background=True)
        found = await ended(http, response["id"])
    assert found["output"][0]["content"][0]["text"] == "Hi"


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"background": True}])
async def test_a_database_that_is_gone_is_said_to_be(fields: dict[str, Any]) -> None:
    async with serving_worker(recalls=Recalls()) as worker:
        made = await make(worker.http)
        body = {"model": "recalls", "input": "a", **fields}
        with worker.outage():
            for answer in (
                await retrieve(worker.http, made["id"]),
                await worker.http.post("/v1/responses", json=body),
            ):
                assert answer.status_code == 503
                assert answer.json()["error"]["code"] == "storage_unavailable"
        assert (await worker.http.post("/v1/responses", json=body)).status_code == 200


async def test_however_many_follow_a_response_one_looks_for_what_is_new() -> None:
    paced = Paced(WORDS)
    async with serving_pair(paced=paced) as (one, two):
        made = await make(one.http, "paced", background=True)
        path = f"/v1/responses/{made['id']}?stream=true"
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(streaming(two.app, path)) for _ in range(20)]
            paced.let(1)
            for stream in streams:
                await stream.has(BEFORE + 1)
            start = anyio.current_time()
            with reads_of(two) as reads:
                while not reads or anyio.current_time() < start + 0.5:  # noqa: ASYNC110 - nothing else tells
                    await anyio.sleep(0.1)
            looks = (anyio.current_time() - start) / keeper_module.FOLLOW_SECONDS
            assert len(reads) < len(streams) * (looks + 1)  # each would read twice
            paced.let(WORDS)
            for stream in streams:
                assert (await stream.whole())[-1][0] == "response.completed"
                assert stream.numbers == list(range(ALL))


class Large(Recalls):
    """Says much at once."""

    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return "x" * 1_000_000


@pytest.mark.parametrize("start", [None, 0, 3])
async def test_large_events_are_read_in_pieces_and_come_whole(start: int | None) -> None:
    async with serving_worker(large=Large()) as worker:
        made = await make(worker.http, "large", background=True)
        found = await ended(worker.http, made["id"])
        whole = await pick_up(worker, made["id"], None)
        assert [data["sequence_number"] for _, data in whole] == list(range(len(whole)))
        assert whole[-1][1]["response"] == found
        rest = await pick_up(worker, made["id"], start)
    assert rest == whole[0 if start is None else start + 1 :]


@pytest.mark.parametrize("which", [0, 1])
async def test_who_does_not_read_a_stored_stream_has_little_of_it(which: int) -> None:
    async with serving_pair(large=Large()) as workers:
        made = await make(workers[0].http, "large", background=True)
        await ended(workers[0].http, made["id"])
        keeper = workers[which].keeper
        reader = await keeper.reader(await keeper.find(made["id"], owner=""), start=0)
        with anyio.fail_after(10):
            while not reader.channel.has_events:  # noqa: ASYNC110 - nothing else tells
                await anyio.sleep(0.01)
        await anyio.sleep(0.3)
        taken = [one.data for one in reader.channel.take() if isinstance(one, BytesDelta)]
        assert 0 < sum(map(len, taken)) < 1_000_000
        assert reader.closing is not None
        assert not reader.has_ended
        reader.cancel("the client left")


async def test_a_response_that_is_deleted_within_an_event_says_nothing_more() -> None:
    async with serving_worker(large=Large()) as worker:
        made = await make(worker.http, "large", background=True)
        await ended(worker.http, made["id"])
        path = f"/v1/responses/{made['id']}"
        sent: list[bytes] = []

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))
            if sum(map(len, sent)) == len(sent[-1]) > 0:  # the first of it
                assert (await worker.http.delete(path)).status_code == 200

        async def receive() -> Message:
            await anyio.sleep_forever()
            raise AssertionError

        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"stream=true",
            "headers": [],
        }
        with anyio.fail_after(10):
            await worker.app(scope, receive, send)
    said = b"".join(sent)
    assert 0 < len(said) < 3_000_000
    assert not said.endswith(b"\n\n")
    assert b"[DONE]" not in said


async def test_a_stream_that_cannot_be_read_ends_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving_worker(recalls=Recalls()) as worker:
        ids = [(await make(worker.http, background=True))["id"] for _ in range(2)]
        for id_ in ids:
            await ended(worker.http, id_)
        with worker.database.writing_aside() as connection:
            odd = text("UPDATE response_frames SET data = 'no bytes' WHERE response = :id")
            connection.execute(odd, {"id": ids[0]})
        assert await pick_up(worker, ids[0], None) == []
        assert (await pick_up(worker, ids[1], None))[-1][0] == "response.completed"
    assert "stream_not_read" in [record.message for record in caplog.records]
