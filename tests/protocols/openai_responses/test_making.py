"""What a response is made of, whichever way it was asked for."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.datastructures import Headers

from hayserve.protocols.openai_responses.making import wants_events
from hayserve.wrappers.base import BasePipelineWrapper
from protocols.openai_responses.paced import BEFORE, Made, Paced, Recalls
from protocols.openai_responses.serving import serving, serving_worker, streaming

pytestmark = pytest.mark.anyio

OUTPUT: dict[str, Any] = {"type": "function_call_output", "call_id": "call_1", "output": "3"}
CALL: dict[str, Any] = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "add",
    "arguments": "{}",
}


class Calls(BasePipelineWrapper):
    """Asks its client for a call, until it has what came of it."""

    def setup(self) -> None:
        return

    async def run_chat_completion_async(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Any:
        if messages[-1]["role"] == "tool":
            return f"It is {messages[-1]['content']}."
        call = {
            "id": "call_1",
            "type": "function",
            "function": {"name": "add", "arguments": "{}"},
        }
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return self._stream(message)

    async def _stream(self, message: dict[str, Any]) -> AsyncGenerator[Any]:
        made: dict[str, Any] = {"object": "chat.completion", "choices": [{"message": message}]}
        yield Made(**made)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_previous_response_that_is_not_there_is_said_to_be_so(stream: bool) -> None:
    body = {"model": "it", "input": "Hi", "previous_response_id": "resp_x", "stream": stream}
    async with serving(it=Recalls()) as client:
        refused = await client.post("/v1/responses", json=body)
        unknown = await client.get("/v1/responses/resp_x")

    error = refused.json()["error"]
    assert refused.status_code == 400
    assert error["code"] == "previous_response_not_found"
    assert error["param"] == "previous_response_id"
    assert error["message"].startswith("Previous response with id 'resp_x' not found.")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "items",
    [
        [OUTPUT],
        [{**CALL, "call_id": "call_2"}, OUTPUT],
        [{**CALL, "type": "mcp_call"}, OUTPUT],
        [CALL, {**OUTPUT, "call_id": ["call_1"]}],
        [{**CALL, "call_id": {"id": "call_1"}}, OUTPUT],
    ],
)
async def test_an_output_of_a_call_that_nobody_made_is_refused(items: list[Any]) -> None:
    async with serving(it=Recalls()) as client:
        refused = await client.post("/v1/responses", json={"model": "it", "input": items})

    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "input")
    assert error["message"].startswith("No tool call found for function call output with call_id")


async def test_what_continues_a_response_that_was_deleted_says_which() -> None:
    async with serving(it=Recalls()) as client:
        first = (await client.post("/v1/responses", json={"model": "it", "input": "Hi"})).json()
        body = {"model": "it", "input": "Ho", "previous_response_id": first["id"]}
        second = (await client.post("/v1/responses", json=body)).json()
        await client.delete(f"/v1/responses/{first['id']}")
        body["previous_response_id"] = second["id"]
        refused = await client.post("/v1/responses", json=body)

    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith(
        f"Previous response with id {second['id']!r} continues one that is gone: "
        f"No response {first['id']!r} is kept."
    )


@pytest.mark.parametrize("asked", [{}, {"input": None}, {"input": []}])
async def test_a_request_for_nothing_is_refused(asked: dict[str, Any]) -> None:
    async with serving(it=Recalls()) as client:
        refused = await client.post("/v1/responses", json={"model": "it", **asked})

    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "input")


@pytest.mark.parametrize("field", ["input", "tools"])
async def test_there_may_be_so_many_items_and_tools(field: str) -> None:
    body: dict[str, Any] = {"model": "it", "input": "Hi", field: [{}] * 10_001}
    async with serving(it=Recalls()) as client:
        refused = await client.post("/v1/responses", json=body)

    assert refused.status_code == 400
    assert "at most" in refused.json()["error"]["message"]


@pytest.mark.parametrize("call", [CALL, {**CALL, "call_id": None, "id": "call_1"}])
async def test_an_output_of_a_call_that_is_sent_with_it_is_taken(call: dict[str, Any]) -> None:
    body = {"model": "it", "input": [call, OUTPUT]}
    async with serving(it=Calls()) as client:
        answer = await client.post("/v1/responses", json=body)

    assert answer.json()["output"][0]["content"][0]["text"] == "It is 3."


async def test_an_output_of_a_call_in_the_response_before_is_taken() -> None:
    async with serving(it=Calls()) as client:
        first = await client.post("/v1/responses", json={"model": "it", "input": "Hi"})
        body = {"model": "it", "input": [OUTPUT], "previous_response_id": first.json()["id"]}
        answer = await client.post("/v1/responses", json=body)

    assert first.json()["output"][0]["type"] == "function_call"
    assert answer.json()["output"][0]["content"][0]["text"] == "It is 3."


async def test_an_output_of_a_call_in_the_conversation_is_taken() -> None:
    async with serving(it=Calls()) as client:
        made = await client.post("/v1/conversations", json={})
        body = {"model": "it", "conversation": made.json()["id"]}
        await client.post("/v1/responses", json={**body, "input": "Hi"})
        answer = await client.post("/v1/responses", json={**body, "input": [OUTPUT]})

    assert answer.json()["output"][0]["content"][0]["text"] == "It is 3."


async def test_a_response_in_the_background_is_given_before_it_is_made() -> None:
    paced = Paced()
    async with serving(it=paced) as client:
        body = {"model": "it", "input": "Hi", "background": True}
        begun = await client.post("/v1/responses", json=body)
        assert begun.json()["status"] == "in_progress"
        paced.let(3)


async def test_the_turn_goes_to_the_next_if_a_response_comes_to_nothing() -> None:
    async with serving(it=Recalls()) as client:
        made = await client.post("/v1/conversations", json={})
        body = {"model": "it", "conversation": made.json()["id"]}
        failed = await client.post("/v1/responses", json={**body, "input": "fail"})
        answer = await client.post("/v1/responses", json={**body, "input": "Hi"})

    assert failed.status_code == 500
    assert answer.json()["output"][0]["content"][0]["text"] == "1 items"


async def test_a_header_says_whether_to_wait_for_a_turn() -> None:
    async with serving(it=Recalls()) as client:
        headers = {"x-on-turn-taken": "perhaps"}
        body = {"model": "it", "input": "Hi"}
        refused = await client.post("/v1/responses", json=body, headers=headers)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "x-on-turn-taken"


@pytest.mark.parametrize(("store", "goes_on"), [(True, True), (None, False), (False, False)])
async def test_a_stream_whose_client_leaves_goes_on_if_it_is_to_be_kept(
    store: bool | None, goes_on: bool
) -> None:
    paced = Paced()
    async with serving_worker(it=paced) as worker:
        body = {"model": "it", "input": "Hi", "stream": True, "store": store}
        async with streaming(worker.app, "/v1/responses", body=body) as stream:
            paced.let(1)
            await stream.has(BEFORE + 1)
        if goes_on:
            paced.let(2)
        await paced.has_stopped.wait()
        response = stream.frames[0][1]["response"]
        got = await worker.http.get(f"/v1/responses/{response['id']}")
        while got.status_code == 200 and got.json()["status"] == "in_progress":
            got = await worker.http.get(f"/v1/responses/{response['id']}")

    ending = got.json()["status"] if got.status_code == 200 else None
    assert ending == (None if store is False else "completed" if goes_on else "failed")


@pytest.mark.parametrize("store", [True, False])
async def test_a_stream_ends_with_a_word_that_is_no_event(store: bool) -> None:
    async with serving(it=Recalls()) as client:
        body = {"model": "it", "input": "Hi", "stream": True, "store": store}
        answer = await client.post("/v1/responses", json=body)

    assert answer.text.endswith("\n\ndata: [DONE]\n\n")
    assert answer.text.count("[DONE]") == 1


async def test_a_stream_that_is_picked_up_again_ends_so_too_and_counts_as_before() -> None:
    async with serving(it=Recalls()) as client:
        body = {"model": "it", "input": "Hi", "stream": True, "store": True}
        first = await client.post("/v1/responses", json=body)
        id_ = first.text.partition('"id":"')[2].partition('"')[0]
        again = await client.get(f"/v1/responses/{id_}", params={"stream": "true"})

    assert again.text == first.text


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"x-hayserve-events": "True"}, True),
        ({"X-OpenWebUI-Chat-Id": "1"}, True),
        ({"x-hayserve-events": "false"}, False),
        ({}, False),
    ],
)
def test_open_webui_and_who_says_so_want_events(headers: dict[str, str], wanted: bool) -> None:
    assert wants_events(Headers(headers)) is wanted
