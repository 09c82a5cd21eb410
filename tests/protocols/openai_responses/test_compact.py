"""The endpoint that makes one item of a conversation."""

from typing import Any

import openai
import pytest

from protocols.openai_responses.paced import Recalls
from protocols.openai_responses.serving import serving

pytestmark = pytest.mark.anyio

AGREED = "We launch on Tuesday."
TALK: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "content": AGREED},
    {"type": "message", "role": "assistant", "content": "Understood."},
]


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/responses/compact"])
async def test_a_conversation_becomes_what_its_user_said_and_one_item(path: str) -> None:
    body = {"model": "recalls", "input": TALK, "prompt_cache_key": "a"}
    async with serving(recalls=Recalls()) as client:
        answer = await client.post(path, json=body)

    assert answer.status_code == 200
    compacted = answer.json()
    assert compacted["object"] == "response.compaction"
    assert compacted["id"].startswith("resp_")
    assert [item["type"] for item in compacted["output"]] == ["message", "compaction"]
    said = compacted["output"][0]
    assert said["content"] == [{"type": "input_text", "text": AGREED}]
    assert (said["role"], said["status"]) == ("user", "completed")
    assert compacted["usage"] == {
        "input_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 0,
    }


async def test_openais_client_reads_what_is_compacted() -> None:
    async with serving(recalls=Recalls()) as http:
        client = openai.AsyncOpenAI(
            api_key="none", base_url="http://server/v1", http_client=http, max_retries=0
        )
        compacted = await client.responses.compact(model="recalls", input=AGREED)

    assert [item.type for item in compacted.output] == ["message", "compaction"]
    assert compacted.usage.total_tokens == 0


async def test_what_is_compacted_is_told_in_full_and_once() -> None:
    recalls = Recalls()
    async with serving(recalls=recalls) as client:
        compacted = await client.post(
            "/v1/responses/compact", json={"model": "recalls", "input": TALK}
        )
        base = compacted.json()["output"]
        body = {"model": "recalls", "input": [*base, {"role": "user", "content": "When?"}]}
        answer = await client.post("/v1/responses", json=body)
        next_ = {"model": "recalls", "input": "Sure?", "previous_response_id": answer.json()["id"]}
        await client.post("/v1/responses", json=next_)

    assert answer.json()["output"][0]["content"][0]["text"] == "3 items"
    assert recalls.texts() == [AGREED, "Understood.", "When?", "3 items", "Sure?"]


async def test_what_was_compacted_can_be_compacted_again() -> None:
    recalls = Recalls()
    async with serving(recalls=recalls) as client:
        once = await client.post("/responses/compact", json={"model": "recalls", "input": TALK})
        body = {"model": "recalls", "input": once.json()["output"]}
        twice = await client.post("/responses/compact", json=body)
        await client.post("/responses", json={**body, "input": twice.json()["output"]})

    assert [item["type"] for item in twice.json()["output"]] == ["message", "compaction"]
    assert recalls.texts() == [AGREED, "Understood."]


async def test_a_response_is_compacted_with_all_that_it_continues() -> None:
    recalls = Recalls()
    async with serving(recalls=recalls) as client:
        first = await client.post("/responses", json={"model": "recalls", "input": "One"})
        body = {"model": "recalls", "previous_response_id": first.json()["id"], "input": "Two"}
        compacted = await client.post("/responses/compact", json=body)
        await client.post(
            "/responses", json={"model": "recalls", "input": compacted.json()["output"]}
        )

    assert recalls.texts() == ["One", "1 items", "Two"]


async def test_a_response_of_somebody_else_is_not_compacted() -> None:
    async with serving(recalls=Recalls()) as client:
        first = await client.post("/responses", json={"model": "recalls", "input": "One"})
        body = {"model": "recalls", "previous_response_id": first.json()["id"]}
        headers = {"authorization": "Bearer other"}
        refused = await client.post("/responses/compact", json=body, headers=headers)

    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": TALK}, 400, "model"),
        ({"model": "nobody", "input": TALK}, 404, "model"),
        ({"model": "recalls"}, 400, "input"),
        ({"model": "recalls", "input": []}, 400, "input"),
        ({"model": "recalls", "input": [{"type": "compaction"}]}, 400, "input"),
    ],
)
async def test_what_cannot_be_compacted_is_refused(
    body: dict[str, Any], status: int, param: str
) -> None:
    async with serving(recalls=Recalls()) as client:
        refused = await client.post("/v1/responses/compact", json=body)

    assert refused.status_code == status
    assert refused.json()["error"]["param"] == param
