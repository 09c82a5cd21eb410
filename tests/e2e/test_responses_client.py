"""OpenAI's own client, as people use it, reads what is served."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from haystack.dataclasses import ReasoningContent, StreamingChunk, ToolCallDelta
from openai.types.responses import ResponseTextDeltaEvent

from hayserve.wrappers.base import BasePipelineWrapper
from protocols.openai_responses.serving import serving

pytestmark = pytest.mark.anyio


class Assistant(BasePipelineWrapper):
    """Thinks, says something and asks the client for a call."""

    def setup(self) -> None:
        return

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[object]:
        yield StreamingChunk("", reasoning=ReasoningContent("hm"), index=0)
        yield "Hello "
        yield "you"
        if "break" in str(input_items):
            raise ValueError("no model")
        name = ToolCallDelta(index=0, tool_name="add", id="call_a")
        arguments = ToolCallDelta(index=0, arguments='{"a":1}')
        yield StreamingChunk("", tool_calls=[name], index=0)
        yield StreamingChunk("", tool_calls=[arguments], index=0)

    def run_file_upload(  # noqa: PLR0917 - the contract
        self, filename: str | None, content_type: str | None, content: bytes, purpose: str
    ) -> dict[str, Any]:
        size = len(content)
        return {
            "id": "file-1",
            "bytes": size,
            "created_at": 1,
            "filename": filename,
            "purpose": purpose,
        }


@asynccontextmanager
async def connected() -> AsyncGenerator[openai.AsyncOpenAI]:
    async with serving(assistant=Assistant()) as http:
        yield openai.AsyncOpenAI(
            api_key="none", base_url="http://server/v1", http_client=http, max_retries=0
        )


async def test_a_response() -> None:
    async with connected() as client:
        response = await client.responses.create(model="assistant", input="Hi")

    assert response.output_text == "Hello you"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]


async def test_a_stream() -> None:
    async with connected() as client:
        stream = await client.responses.create(model="assistant", input="Hi", stream=True)
        events = [event async for event in stream]

    said = [event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)]
    assert said == ["Hello ", "you"]
    assert [getattr(event, "sequence_number", None) for event in events] == list(range(len(events)))


async def test_the_stream_helper_puts_the_response_together() -> None:
    async with (
        connected() as client,
        client.responses.stream(model="assistant", input="Hi") as stream,
    ):
        kinds = [event.type async for event in stream]
        response = await stream.get_final_response()

    assert kinds[-1] == "response.completed"
    assert response.output_text == "Hello you"
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]


async def test_a_stream_helper_sees_a_failure_with_its_reason() -> None:
    async with (
        connected() as client,
        client.responses.stream(model="assistant", input="break") as stream,
    ):
        events = [event async for event in stream]

    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "ValueError: no model" in last.response.error.message


async def test_an_unknown_model_is_not_found() -> None:
    async with connected() as client:
        with pytest.raises(openai.NotFoundError, match="No deployment is named 'nobody'"):
            await client.responses.create(model="nobody", input="Hi")


async def test_a_file_is_kept_and_given_back() -> None:
    async with connected() as client:
        stored = await client.files.create(file=("a.txt", b"abc"), purpose="user_data")
        content = await client.files.content(stored.id)

    assert (stored.bytes, stored.filename, content.read()) == (3, "a.txt", b"abc")


async def test_a_file_for_a_model_is_given_to_it() -> None:
    async with connected() as client:
        stored = await client.files.create(
            file=("a.txt", b"abc"), purpose="user_data", extra_body={"model": "assistant"}
        )

    assert (stored.id, stored.bytes, stored.filename) == ("file-1", 3, "a.txt")
