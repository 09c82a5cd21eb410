"""Responses over WebSocket, from the message to the wrapper and back."""

from collections.abc import AsyncGenerator
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from hayserve.protocols.call import Reading
from hayserve.protocols.openai_responses import socket as sockets
from hayserve.protocols.openai_responses.socket import ResponseSocket
from hayserve.server.middleware import LastAnswers, RunIds
from hayserve.wrappers.base import BasePipelineWrapper
from protocols.doors import entrance
from protocols.openai_responses.paced import Paced, Recalls
from protocols.openai_responses.serving import frames_in, serving_worker
from protocols.openai_responses.socket_client import SocketClient, on_socket

pytestmark = pytest.mark.anyio

MISSING: dict[str, Any] = {"type": "function_call_output", "call_id": "call_x", "output": "3"}


class Long(BasePipelineWrapper):
    """Says so much that it has to wait for a reader, and counts what it has said."""

    def setup(self) -> None:
        self.said = 0
        self.has_stopped = anyio.Event()

    async def run_response_async(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> AsyncGenerator[str]:
        return self._say()

    async def _say(self) -> AsyncGenerator[str]:
        try:
            for _ in range(10_000):
                self.said += 1
                yield "x" * 10_000
        finally:
            self.has_stopped.set()


def text_of(response: dict[str, Any]) -> str:
    return response["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
async def test_a_response_comes_as_the_events_that_http_has(path: str) -> None:
    async with serving_worker(it=Recalls()) as worker:
        async with on_socket(worker.app, path) as client:
            client.create("it")
            events = await client.turn()
        body = {"model": "it", "input": "Hi", "stream": True}
        over_http = frames_in((await worker.http.post(path, json=body)).text)

    assert [event["type"] for event in events] == [kind for kind, _ in over_http]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["response"]
    assert (last["status"], text_of(last)) == ("completed", "1 items")


@pytest.mark.parametrize("store", [True, False])
async def test_responses_come_one_after_the_other_on_one_connection(store: bool) -> None:
    async with serving_worker(it=Recalls()) as worker, on_socket(worker.app) as client:
        ids: set[str] = set()
        for _ in range(3):
            client.create("it", store=store)
            response = await client.response()
            assert (response["status"], response["store"]) == ("completed", store)
            ids.add(response["id"])

    assert len(ids) == 3


async def test_requests_that_come_together_have_their_turns_in_order() -> None:
    paced = Paced(words=1)
    async with serving_worker(it=paced) as worker, on_socket(worker.app) as client:
        for word in ("one", "two", "three"):
            client.create("it", word, store=False)
        paced.let(3)
        turns = [await client.turn() for _ in range(3)]

    assert [turn[0]["type"] for turn in turns] == ["response.created"] * 3
    assert [given[0]["content"] for given in paced.given] == ["one", "two", "three"]


async def test_more_requests_than_may_wait_are_refused_at_once() -> None:
    paced = Paced(words=1)
    async with serving_worker(it=paced) as worker, on_socket(worker.app) as client:
        client.create("it", store=False)
        await paced.has_begun.wait()
        for _ in range(sockets.MOST_WAITING + 1):
            client.create("it", store=False)
        while (event := await client.event())["type"] != "error":
            pass
        paced.let(sockets.MOST_WAITING + 1)
        answered = [(await client.turn())[-1]["type"] for _ in range(sockets.MOST_WAITING + 1)]

    assert (event["status"], event["error"]["code"]) == (429, "too_busy")
    assert answered == ["response.completed"] * len(answered)


async def test_a_response_that_is_not_kept_can_be_continued_where_it_was_made() -> None:
    recalls = Recalls()
    async with serving_worker(it=recalls) as worker, on_socket(worker.app) as client:
        client.create("it", "One", store=False)
        first = await client.response()
        client.create("it", "Two", store=False, previous_response_id=first["id"])
        second = await client.response()
        client.create("it", "Three", store=False, previous_response_id=second["id"])
        third = await client.response()
        got = await worker.http.get(f"/v1/responses/{third['id']}")

    assert recalls.texts() == ["One", "1 items", "Two", "3 items", "Three"]
    assert third["previous_response_id"] == second["id"]
    assert got.status_code == 404


async def test_a_response_that_is_not_kept_can_be_continued_nowhere_else() -> None:
    async with serving_worker(it=Recalls()) as worker:
        async with on_socket(worker.app) as client:
            client.create("it", store=False)
            first = await client.response()
        async with on_socket(worker.app) as client:
            client.create("it", store=False, previous_response_id=first["id"])
            error = await client.error()
            client.create("it", store=False)
            again = await client.response()

    assert error["code"] == "previous_response_not_found"
    assert error["param"] == "previous_response_id"
    assert error["run_id"]
    assert again["status"] == "completed"


@pytest.mark.parametrize("store", [True, False])
async def test_only_the_newest_response_is_remembered(store: bool) -> None:
    async with serving_worker(it=Recalls()) as worker, on_socket(worker.app) as client:
        client.create("it", store=False)
        first = await client.response()
        client.create("it", store=store)
        await client.response()
        client.create("it", store=False, previous_response_id=first["id"])
        error = await client.error()

    assert error["code"] == "previous_response_not_found"


@pytest.mark.parametrize("failing", [[MISSING], "fail"])
async def test_a_response_is_forgotten_whose_continuation_fails(failing: Any) -> None:
    async with serving_worker(it=Recalls()) as worker, on_socket(worker.app) as client:
        client.create("it", store=False)
        first = await client.response()
        client.create("it", failing, store=False, previous_response_id=first["id"])
        failed = await client.error()
        client.create("it", store=False, previous_response_id=first["id"])
        retried = await client.error()

    assert failed["code"] != "previous_response_not_found"
    assert retried["code"] == "previous_response_not_found"


async def test_a_response_is_forgotten_whose_continuation_fails_in_its_middle() -> None:
    class Breaks(Recalls):
        async def run_response_async(
            self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
        ) -> Any:
            return self._say() if len(input_items) > 1 else "Hello"

        async def _say(self) -> AsyncGenerator[str]:
            yield "Hel"
            raise ValueError("no model")

    async with serving_worker(it=Breaks()) as worker, on_socket(worker.app) as client:
        client.create("it", store=False)
        first = await client.response()
        client.create("it", store=False, previous_response_id=first["id"])
        failed = (await client.turn())[-1]
        client.create("it", store=False, previous_response_id=first["id"])
        retried = await client.error()

    assert failed["type"] == "response.failed"
    assert retried["code"] == "previous_response_not_found"


async def test_another_chain_that_fails_makes_nothing_forgotten() -> None:
    async with serving_worker(it=Recalls()) as worker, on_socket(worker.app) as client:
        client.create("it", store=False)
        first = await client.response()
        client.create("it", "fail", store=False)
        await client.error()
        client.create("it", store=False, previous_response_id=first["id"])
        second = await client.response()

    assert text_of(second) == "3 items"


async def test_a_kept_response_that_continues_one_that_is_not_is_kept_with_all_of_it() -> None:
    recalls = Recalls()
    async with serving_worker(it=recalls) as worker:
        async with on_socket(worker.app) as client:
            client.create("it", "One", store=False)
            first = await client.response()
            client.create("it", "Two", previous_response_id=first["id"])
            second = await client.response()
        body = {"model": "it", "input": "Three", "previous_response_id": second["id"]}
        await worker.http.post("/v1/responses", json=body)

    assert recalls.texts() == ["One", "1 items", "Two", "3 items", "Three"]


async def test_a_response_that_is_not_kept_may_continue_one_that_is() -> None:
    recalls = Recalls()
    async with serving_worker(it=recalls) as worker:
        body = {"model": "it", "input": "One"}
        kept = await worker.http.post("/v1/responses", json=body)
        async with on_socket(worker.app) as client:
            client.create("it", "Two", store=False, previous_response_id=kept.json()["id"])
            second = await client.response()
            client.create("it", "Three", store=False, previous_response_id=second["id"])
            await client.response()

    assert recalls.texts() == ["One", "1 items", "Two", "3 items", "Three"]


async def test_a_response_of_another_key_cannot_be_continued() -> None:
    async with serving_worker(it=Recalls()) as worker:
        kept = await worker.http.post("/v1/responses", json={"model": "it", "input": "One"})
        async with on_socket(worker.app, key="other") as client:
            client.create("it", previous_response_id=kept.json()["id"])
            error = await client.error()

    assert error["code"] == "previous_response_not_found"


async def test_what_could_not_be_sent_again_is_not_remembered() -> None:
    async with serving_worker(it=Recalls()) as worker:
        socket = ResponseSocket(worker.maker, reading=Reading(body=300), entry=entrance())
        app = Starlette(routes=socket.routes(), middleware=[Middleware(RunIds)])
        async with on_socket(app) as client:
            client.create("it", "x" * 150, store=False)
            first = await client.response()
            client.create("it", store=False, previous_response_id=first["id"])
            error = await client.error()
            client.create("it", "x" * 300)
            large = await client.error()

    assert error["code"] == "previous_response_not_found"
    assert large["code"] == "too_large"


async def test_a_compacted_conversation_begins_a_chain() -> None:
    recalls = Recalls()
    async with serving_worker(it=recalls) as worker:
        body = {"model": "it", "input": [{"role": "user", "content": "The word is slate."}]}
        compacted = await worker.http.post("/v1/responses/compact", json=body)
        async with on_socket(worker.app) as client:
            items = [*compacted.json()["output"], {"role": "user", "content": "Which?"}]
            client.create("it", items, store=False)
            first = await client.response()
            client.create("it", "Sure?", store=False, previous_response_id=first["id"])
            await client.response()

    assert recalls.texts() == ["The word is slate.", "Which?", "2 items", "Sure?"]


@pytest.mark.parametrize(
    ("message", "param", "said"),
    [
        ("{", None, "is not JSON"),
        (b"\xff", None, "is not JSON"),
        ("[]", "type", "type None means nothing"),
        ('{"type": "response.steer"}', "type", "type 'response.steer' means nothing"),
        ('{"type": "response.create"}', "model", "Field required"),
        ('{"type": "response.create", "model": "nobody"}', "model", "nobody"),
        ('{"type": "response.create", "background": true}', "background", "cannot be true"),
        ('{"type": "response.create", "generate": false}', "generate", "cannot be false"),
        ('{"type": "response.create", "stream": false}', "stream", "cannot be false"),
        ('{"type": "response.create", "stream_id": "a"}', "stream_id", "is not served"),
    ],
)
async def test_what_cannot_be_served_is_refused_and_the_connection_stays(
    message: str | bytes, param: str | None, said: str
) -> None:
    async with serving_worker(it=Recalls()) as worker, on_socket(worker.app) as client:
        client.send_raw(message)
        event = await client.event()
        client.create("it", stream=True, stream_id=None, background=False, generate=True)
        response = await client.response()

    assert (event["type"], event["error"]["param"]) == ("error", param)
    assert event["status"] in (400, 404)
    assert said in event["error"]["message"]
    assert event["error"]["code"]
    assert response["status"] == "completed"


async def test_each_response_has_a_run_of_its_own_and_the_headers_of_the_handshake() -> None:
    class Tells(Recalls):
        async def run_response_async(
            self,
            model: str,
            input_items: list[dict[str, Any]],
            body: dict[str, Any],
            *,
            headers: Headers | None = None,
        ) -> str:
            assert headers is not None
            assert "type" not in body
            return str(headers["x-tenant"])

    async with serving_worker(it=Tells()) as worker, on_socket(worker.app, x_tenant="a") as client:
        client.create("it")
        first = await client.response()
        client.create("it")
        second = await client.response()

    assert text_of(first) == text_of(second) == "a"
    assert first["id"][:29] != second["id"][:29]


async def test_what_waits_in_a_message_of_bytes_is_read_too() -> None:
    async with serving_worker(it=Recalls()) as worker, on_socket(worker.app) as client:
        client.send_raw(b'{"type": "response.create", "model": "it", "input": "Hi"}')
        assert (await client.response())["status"] == "completed"


@pytest.mark.parametrize("store", [None, False])
async def test_a_client_that_leaves_stops_what_is_made_for_it(store: bool | None) -> None:
    paced = Paced()
    async with serving_worker(it=paced) as worker:
        async with on_socket(worker.app) as client:
            client.create("it", store=store)
            paced.let(1)
            while (await client.event())["type"] != "response.output_text.delta":
                pass
        with anyio.fail_after(5):
            await paced.has_stopped.wait()


@pytest.mark.parametrize(
    ("store", "headers"), [(True, {}), (False, {"x_run_on_disconnect": "continue"})]
)
async def test_what_is_to_go_on_goes_on_when_its_client_leaves(
    store: bool, headers: dict[str, str]
) -> None:
    paced = Paced()
    async with serving_worker(it=paced) as worker, anyio.create_task_group() as tasks:
        client = SocketClient()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        tasks.start_soon(client.serve, worker.app, "/v1/responses", named)
        client.create("it", store=store)
        paced.let(1)
        while (await client.event())["type"] != "response.output_text.delta":
            pass
        client.leave()
        client.create("it")  # is too late
        await anyio.wait_all_tasks_blocked()
        assert not paced.has_stopped.is_set()
        paced.let(2)
        with anyio.fail_after(5):
            await paced.has_stopped.wait()

    assert len(paced.given) == 1


async def test_a_client_that_leaves_while_its_request_waits_ends_it() -> None:
    paced = Paced()
    async with serving_worker(it=paced) as worker:
        async with on_socket(worker.app) as client:
            client.create("it", store=False)
            await paced.has_begun.wait()
        with anyio.fail_after(5):
            await paced.has_stopped.wait()


async def test_a_client_that_takes_nothing_holds_its_response_up() -> None:
    long = Long()
    async with serving_worker(it=long) as worker, on_socket(worker.app) as client:
        client.takes = anyio.Event()
        client.create("it", store=False)
        while client.count == 0:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        said = long.said
        await anyio.wait_all_tasks_blocked()

        assert long.said == said < 100
    await long.has_stopped.wait()


async def test_a_connection_that_breaks_while_something_is_sent_is_left() -> None:
    paced = Paced()
    async with serving_worker(it=paced) as worker:
        client = Breaking()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.serve, worker.app, "/v1/responses")
            client.create("it", store=False)
            paced.let(1)
            with anyio.fail_after(5):
                await paced.has_stopped.wait()


class Breaking(SocketClient):
    """Leaves without a word."""

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self.leave()
            raise OSError
        await super()._send(message)


async def test_the_web_server_is_told_whether_something_is_under_way() -> None:
    paced = Paced(words=1)
    async with serving_worker(it=paced) as worker, on_socket(worker.app) as client:
        await anyio.wait_all_tasks_blocked()
        assert not client.line.is_busy
        client.create("it", store=False)
        await paced.has_begun.wait()
        assert client.line.is_busy
        paced.let(1)
        await client.turn()
        await anyio.wait_all_tasks_blocked()
        assert not client.line.is_busy


async def test_a_server_that_stops_ends_the_response_and_then_the_connection() -> None:
    paced = Paced(words=1)
    async with serving_worker(it=paced) as worker, on_socket(worker.app) as client:
        client.create("it", store=False)
        client.create("it", store=False)
        await paced.has_begun.wait()
        worker.app.state.is_stopping = True
        paced.let(2)
        response = await client.response()
        await anyio.wait_all_tasks_blocked()

    assert response["status"] == "completed"
    assert client.closed == 1012
    assert len(paced.given) == 1


async def test_a_server_that_has_waited_long_enough_says_that_it_stops() -> None:
    paced = Paced()
    client = SocketClient()
    async with serving_worker(it=paced) as worker:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.serve, LastAnswers(worker.app), "/v1/responses")
            client.create("it", store=False)
            await paced.has_begun.wait()
            tasks.cancel_scope.cancel()
        await paced.has_stopped.wait()
    error = await client.error()

    assert error["code"] == "not_ready"
    assert client.closed == 1012


async def test_a_mistake_of_the_server_ends_the_connection() -> None:
    class Mistaken:
        async def begin(self, *_: object, **__: object) -> None:
            raise ZeroDivisionError("a mistake")

    socket = ResponseSocket(cast(Any, Mistaken()), reading=Reading(), entry=entrance())
    client = SocketClient()
    client.create("it")
    with pytest.raises(ExceptionGroup):
        await client.serve(RunIds(socket), "/v1/responses")

    assert client.closed == 1011


async def test_under_another_web_server_it_is_the_same() -> None:
    async with serving_worker(it=Recalls()) as worker:
        with (
            TestClient(worker.app) as http,
            http.websocket_connect("/v1/responses") as connection,
        ):
            connection.close()
