"""The lean generator beside Haystack's, on the same answers of the same upstream."""

import asyncio
import copy
import gzip
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, replace
from typing import Any, cast

import openai
import pytest
from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.components.generators.utils import print_streaming_chunk
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.tools import Toolset
from haystack.tools.tool import Tool
from haystack.utils import Secret
from pydantic import BaseModel

from generators.recorded import (
    STREAMS,
    WHOLE,
    Answer,
    How,
    Outcome,
    ask,
    generator_of,
    head,
    said,
    stream,
    streamed,
    upstream,
    whole,
)
from hayserve.generators import LeanOpenAIChatGenerator

both_ways = pytest.mark.parametrize("how", ["sync", "async"])
Pair = tuple[dict[str, Any], dict[str, Any]]


def both(*script: Answer, how: How, streams: bool, **arguments: Any) -> Pair:
    """What the lean one gives, and the original, each with an upstream of its own."""
    kinds = (LeanOpenAIChatGenerator, OpenAIChatGenerator)
    lean, original = [run(kind, *script, how=how, streams=streams, **arguments) for kind in kinds]
    return lean.comparable(), original.comparable()


def run(
    kind: type[OpenAIChatGenerator], *script: Answer, how: How, streams: bool, **arguments: Any
) -> Outcome:
    with upstream(*script) as server:
        return ask(generator_of(kind, server), how, streams=streams, **arguments)


@both_ways
@pytest.mark.parametrize("name", [name for name in STREAMS if not name.startswith("reasoning")])
def test_a_stream_gives_the_chunks_and_the_reply_of_the_original(name: str, how: How) -> None:
    lean, original = both(streamed(stream(name)), how=how, streams=True)

    assert lean == original


@both_ways
@pytest.mark.parametrize("name", [name for name in WHOLE if not name.startswith("reasoning")])
def test_an_answer_in_one_piece_gives_the_replies_of_the_original(name: str, how: How) -> None:
    lean, original = both(said(whole(name)), how=how, streams=False)

    assert lean == original


@both_ways
@pytest.mark.parametrize("in_bytes", [1, 7, 100_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_it_does_not_matter_how_a_stream_is_cut(how: How, in_bytes: int, line_end: bytes) -> None:
    body = stream("parallel_tool_calls").replace(b"\n", line_end)

    lean, original = both(streamed(body, in_bytes=in_bytes), how=how, streams=True)

    assert lean == original
    assert len(lean["replies"][0]["content"]) == 4


@both_ways
def test_a_compressed_stream_is_read_too(how: How) -> None:
    body = gzip.compress(stream("text"))
    answer = said(body, content_encoding="gzip")

    lean, original = both(answer, how=how, streams=True)

    assert lean == original
    assert len(lean["chunks"]) == 11


@both_ways
@pytest.mark.parametrize("name", [name for name in STREAMS if name.startswith("reasoning")])
def test_reasoning_is_more_than_the_original_gives(name: str, how: How) -> None:
    lean = run(LeanOpenAIChatGenerator, streamed(stream(name)), how=how, streams=True)
    original = run(OpenAIChatGenerator, streamed(stream(name)), how=how, streams=True)
    reply, plain = lean.replies[0], original.replies[0]
    reasoned = [chunk for chunk in lean.chunks if chunk.reasoning]

    assert reply.reasoning is not None
    assert reply.reasoning.reasoning_text.startswith("Grass dries")
    assert [chunk.start for chunk in reasoned[2:]] == [False] * len(reasoned[2:])
    assert {chunk.index for chunk in reasoned} == {0}
    assert (reply.text, reply.tool_calls) == (plain.text, plain.tool_calls)
    assert reply.meta | {"completion_start_time": ""} == plain.meta | {"completion_start_time": ""}
    assert said_in(lean.chunks) == said_in(original.chunks)


def said_in(chunks: list[StreamingChunk]) -> list[object]:
    """What a reader sees and an agent does, without what was thought."""
    return [(c.content, c.tool_calls, c.finish_reason) for c in chunks if c.content or c.tool_calls]


@both_ways
@pytest.mark.parametrize("name", ["reasoning", "reasoning_with_tool_call"])
def test_reasoning_of_an_answer_in_one_piece_is_in_the_reply(name: str, how: How) -> None:
    lean = run(LeanOpenAIChatGenerator, said(whole(name)), how=how, streams=False)
    original = run(OpenAIChatGenerator, said(whole(name)), how=how, streams=False)

    assert lean.replies[0].reasoning is not None
    assert lean.replies[0].text == original.replies[0].text
    assert lean.replies[0].tool_calls == original.replies[0].tool_calls
    assert lean.replies[0].meta == original.replies[0].meta


@both_ways
def test_events_without_data_are_passed_over(how: How) -> None:
    """The SDK takes them for broken JSON once an event had a number."""
    body = b"id: 1\n" + stream("comments") + b"event: ping\n\n"

    lean = run(LeanOpenAIChatGenerator, streamed(body), how=how, streams=True)

    assert lean.error is None
    assert len(lean.chunks) == 5


def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


class Bale(BaseModel):
    """What a model is asked for."""

    name: str
    kilos: int


PLACE = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = Tool("weather", "The weather of a city.", PLACE, function=weather)
PRINTER = Tool("print", "Prints.", {"type": "object"}, function=print_streaming_chunk)


@both_ways
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"tools": [TOOL]},
        {"tools": Toolset([TOOL]), "tools_strict": True},
        {"generation_kwargs": {"temperature": 0.5, "max_completion_tokens": 7}},
        {"generation_kwargs": {"response_format": {"type": "json_object"}}},
        {"generation_kwargs": {"extra_headers": {"x-more": "1"}, "extra_body": {"top_k": 3}}},
        {"messages": [ChatMessage.from_system("Be brief."), ChatMessage.from_user("Häy? 🌾")]},
    ],
)
@pytest.mark.parametrize("streams", [True, False])
def test_the_request_is_the_one_of_the_original(
    how: How, arguments: dict[str, Any], streams: bool
) -> None:
    answer = streamed(stream("text")) if streams else said(whole("structured"))
    asked: list[Any] = []
    for kind in (LeanOpenAIChatGenerator, OpenAIChatGenerator):
        with upstream(answer) as server:
            generator = generator_of(kind, server, organization="hay", timeout=7.0)
            assert ask(generator, how, streams=streams, **arguments).error is None
        request = server.asked[0]
        asked.append((request.line, request.body, {**request.headers, "host": ""}))

    assert asked[0] == asked[1]


@both_ways
@pytest.mark.parametrize("name", ["structured", "structured_and_cut", "refusal"])
def test_a_pydantic_class_as_response_format(name: str, how: How) -> None:
    kwargs = {"response_format": Bale}

    lean, original = both(said(whole(name)), how=how, streams=False, generation_kwargs=kwargs)

    assert lean == original


@both_ways
def test_what_cannot_be_asked_for_is_refused_as_by_the_original(how: How) -> None:
    two = {"generation_kwargs": {"n": 2}}
    typed = {"generation_kwargs": {"response_format": Bale}}
    same = {"tools": [TOOL, TOOL]}
    for arguments in (two, typed, same, {"messages": [1]}):
        lean, original = both(streamed(b""), how=how, streams=True, **arguments)

        assert lean == original
        assert lean["error"] is not None


@both_ways
@pytest.mark.parametrize("streams", [True, False])
def test_no_messages_give_no_replies(how: How, streams: bool) -> None:
    lean, original = both(streamed(b""), how=how, streams=streams, messages=[])

    assert lean == original == {"chunks": [], "replies": [], "error": None}


REFUSAL = b'{"error": {"message": "No hay.", "type": "t", "param": "model", "code": "none"}}'


@both_ways
@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 422, 429, 500, 503])
def test_a_refusal_is_the_error_of_the_original(how: How, status: int, streams: bool) -> None:
    answer = said(REFUSAL, status=f"{status} No", x_request_id="req_1")

    lean, original = both(answer, how=how, streams=streams)

    assert lean == original
    assert lean["error"] is not None


@both_ways
@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b'["oops"]'])
def test_a_refusal_in_other_words_is_one_too(how: How, body: bytes) -> None:
    lean, original = both(said(body, status="502 Bad Gateway"), how=how, streams=True)

    assert lean == original


@both_ways
@pytest.mark.parametrize("status", ["429 Slow", "500 Oops", "408 Late", "409 Locked"])
def test_what_fails_twice_is_asked_for_a_third_time(how: How, status: str) -> None:
    failure = said(REFUSAL, status=status, retry_after_ms="1")
    with upstream(failure, failure, streamed(stream("text"))) as server:
        generator = generator_of(LeanOpenAIChatGenerator, server, max_retries=2)
        outcome = ask(generator, how, streams=True)

    assert outcome.replies[0].text is not None
    assert [request.headers["x-stainless-retry-count"] for request in server.asked] == list("012")
    assert server.connections == 1


@both_ways
@pytest.mark.parametrize(
    ("answer", "times"),
    [
        (said(REFUSAL, status="429 Slow", retry_after_ms="1"), 3),
        (said(REFUSAL, status="429 Slow", retry_after="1000"), 1),
        (said(REFUSAL, status="500 Oops", x_should_retry="false"), 1),
        (said(REFUSAL, status="400 Bad", x_should_retry="true", retry_after_ms="1"), 3),
        (said(REFUSAL, status="400 Bad"), 1),
    ],
)
def test_it_tries_as_often_as_the_original(how: How, answer: Answer, times: int) -> None:
    for kind in (LeanOpenAIChatGenerator, OpenAIChatGenerator):
        with upstream(answer) as server:
            outcome = ask(generator_of(kind, server, max_retries=2), how, streams=True)

        assert isinstance(outcome.error, openai.APIStatusError)
        assert len(server.asked) == times


@both_ways
@pytest.mark.parametrize("streams", [True, False])
def test_a_lost_connection_is_the_error_of_the_original(how: How, streams: bool) -> None:
    begun = head(content_type="application/json", content_length="100") + b'{"id'
    for pieces in ([], [b"HTTP/1.1 200"], [begun], [b"Who is there?\r\n\r\n"]):
        lean, original = both(Answer(pieces, then="close"), how=how, streams=streams)

        assert lean["error"]["class"] == original["error"]["class"] == openai.APIConnectionError
        assert lean["error"]["text"] == original["error"]["text"]
        assert lean["chunks"] == original["chunks"] == []


@both_ways
def test_a_stream_that_breaks_gives_what_came_before(how: How) -> None:
    answer = streamed(stream("text"))
    broken = Answer(answer.pieces[:5], then="close")

    lean, original = both(broken, how=how, streams=True)

    assert lean["chunks"] == original["chunks"]
    assert len(lean["chunks"]) == 4
    assert lean["error"]["class"] == openai.APIConnectionError


@both_ways
@pytest.mark.parametrize("pieces", [0, 5])
def test_an_upstream_that_says_nothing_for_too_long_is_left(how: How, pieces: int) -> None:
    begun = Answer(streamed(stream("text")).pieces[:pieces], then="hang")
    with upstream(begun) as server:
        generator = generator_of(LeanOpenAIChatGenerator, server, timeout=0.05)
        outcome = ask(generator, how, streams=True)

        assert isinstance(outcome.error, openai.APITimeoutError)
        assert server.hung_up.wait(5)


@both_ways
def test_a_stream_may_end_where_the_connection_does(how: How) -> None:
    answer = Answer([head(content_type="text/event-stream"), stream("without_done")], then="close")

    lean, original = both(answer, how=how, streams=True)

    assert lean == original
    assert len(lean["chunks"]) == 11


@both_ways
def test_a_redirect_is_followed(how: How) -> None:
    moved = Answer([head("307 Moved", location="/v2/chat/completions", content_length="0")])
    with upstream(moved, streamed(stream("text"))) as server:
        outcome = ask(generator_of(LeanOpenAIChatGenerator, server), how, streams=True)

    assert len(outcome.chunks) == 11
    assert server.asked[1].line == "POST /v2/chat/completions HTTP/1.1"


@both_ways
def test_arguments_for_httpx_are_followed(how: How) -> None:
    """Then httpx makes the connections, and the stream is parsed as ever."""
    kwargs = {"headers": {"x-hay": "1"}, "limits": {"max_connections": 3}}
    with upstream(streamed(stream("text"))) as server:
        generator = generator_of(LeanOpenAIChatGenerator, server, http_client_kwargs=kwargs)
        outcome = ask(generator, how, streams=True)

    assert len(outcome.chunks) == 11
    assert server.asked[0].headers["x-hay"] == "1"


@both_ways
def test_what_comes_after_the_last_event_is_passed_over(how: How) -> None:
    """So that httpx can use its connection again, as the original does."""
    with upstream(streamed(stream("comments"))) as server:
        kwargs = {"headers": {"x-hay": "1"}}
        generator = generator_of(LeanOpenAIChatGenerator, server, http_client_kwargs=kwargs)
        outcome = ask(generator, how, streams=True)

    assert len(outcome.chunks) == 5


@both_ways
def test_errors_of_httpx_are_the_sdks_too(how: How) -> None:
    answer = Answer(streamed(stream("text")).pieces[:5], then="close")
    kwargs = {"headers": {"x-hay": "1"}}
    with upstream(answer) as server:
        generator = generator_of(LeanOpenAIChatGenerator, server, http_client_kwargs=kwargs)
        outcome = ask(generator, how, streams=True)

    assert isinstance(outcome.error, openai.APIConnectionError)
    assert len(outcome.chunks) == 4


@both_ways
def test_a_proxy_of_the_environment_is_used(how: How, monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream(streamed(stream("text"))) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        url = "http://upstream.invalid/v1"
        generator = LeanOpenAIChatGenerator(Secret.from_token("key"), api_base_url=url)
        outcome = ask(generator, how, streams=True)

    assert len(outcome.chunks) == 11
    assert proxy.asked[0].line == "POST http://upstream.invalid/v1/chat/completions HTTP/1.1"


@both_ways
def test_a_client_that_a_tracer_has_wrapped_is_let_see_its_chunks(how: How) -> None:
    """Tracers wrap the SDK's stream to look at the chunks that pass through it."""
    with upstream(streamed(stream("text"))) as server:
        generator = generator_of(Watching, server)
        outcome = ask(generator, how, streams=True)

    assert outcome.error is None
    assert len(outcome.chunks) == len(generator.seen) == 11


class Watching(LeanOpenAIChatGenerator):
    """A generator whose clients were wrapped."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        LeanOpenAIChatGenerator.__init__(self, *arguments, **more)
        self.seen: list[object] = []

    def warm_up(self) -> None:
        LeanOpenAIChatGenerator.warm_up(self)
        completions = cast("Any", self.client).chat.completions
        create = completions.create

        def watched(**arguments: Any) -> "Watched":
            return Watched(create(**arguments), self.seen)

        completions.create = watched

    async def warm_up_async(self) -> None:
        await LeanOpenAIChatGenerator.warm_up_async(self)
        completions = cast("Any", self.async_client).chat.completions
        create = completions.create

        async def watched(**arguments: Any) -> "Watched":
            return Watched(await create(**arguments), self.seen)

        completions.create = watched


class Watched:
    """The SDK's stream in a wrapper that sees what passes."""

    def __init__(self, chunks: Any, seen: list[object]) -> None:
        self.chunks = chunks
        self.seen = seen

    def __iter__(self) -> Iterator[object]:
        for chunk in self.chunks:
            self.seen.append(chunk)
            yield chunk

    async def __aiter__(self) -> AsyncIterator[object]:
        async for chunk in self.chunks:
            self.seen.append(chunk)
            yield chunk


def test_a_callback_that_is_no_coroutine_function_may_be_called_on_the_loop() -> None:
    chunks: list[StreamingChunk] = []

    async def run_once(generator: LeanOpenAIChatGenerator) -> None:
        await generator.run_async("What is hay?", streaming_callback=chunks.append)
        await generator.close_async()

    with upstream(streamed(stream("text"))) as server:
        asyncio.run(run_once(generator_of(LeanOpenAIChatGenerator, server)))

    assert len(chunks) == 11


def test_what_is_written_down_is_read_again() -> None:
    made = LeanOpenAIChatGenerator(
        model="m",
        streaming_callback=print_streaming_chunk,
        api_base_url="http://upstream/v1",
        organization="hay",
        generation_kwargs={"response_format": Bale, "temperature": 0.1},
        timeout=3.0,
        max_retries=4,
        tools=[PRINTER],
        tools_strict=True,
        http_client_kwargs={"trust_env": False},
    )
    written = made.to_dict()
    original = OpenAIChatGenerator.from_dict(
        {
            **copy.deepcopy(written),
            "type": "haystack.components.generators.chat.openai.OpenAIChatGenerator",
        }
    )

    again = LeanOpenAIChatGenerator.from_dict(copy.deepcopy(written))
    turned = LeanOpenAIChatGenerator.from_dict(original.to_dict())

    assert written["type"] == "hayserve.generators.chat.LeanOpenAIChatGenerator"
    assert type(again) is type(turned) is LeanOpenAIChatGenerator
    assert written == again.to_dict() == turned.to_dict()
    assert original.to_dict()["init_parameters"] == written["init_parameters"]


def test_a_pipeline_that_was_written_down_is_read_again() -> None:
    pipeline = Pipeline()
    pipeline.add_component("llm", LeanOpenAIChatGenerator(Secret.from_env_var("KEY", strict=False)))

    again = Pipeline.loads(pipeline.dumps())

    assert type(again.get_component("llm")) is LeanOpenAIChatGenerator


def test_a_chunk_names_the_component_that_it_comes_from() -> None:
    chunks: list[StreamingChunk] = []
    with upstream(streamed(stream("text"))) as server:
        pipeline = Pipeline()
        pipeline.add_component("llm", generator_of(LeanOpenAIChatGenerator, server))
        pipeline.run({"messages": "Hay?", "streaming_callback": chunks.append})
        cast("LeanOpenAIChatGenerator", pipeline.get_component("llm")).close()

    assert {chunk.component_info for chunk in chunks if chunk.component_info is None} == set()
    assert chunks[3].component_info is not None
    assert chunks[3].component_info.name == "llm"
    assert chunks[3].component_info.type.endswith("LeanOpenAIChatGenerator")


def test_an_agent_calls_tools_with_it() -> None:
    with upstream(streamed(stream("text_then_tool_call")), streamed(stream("reasoning"))) as server:
        generator = generator_of(LeanOpenAIChatGenerator, server)
        agent = Agent(chat_generator=generator, tools=[TOOL])
        result = agent.run([ChatMessage.from_user("Rome?")], streaming_callback=lambda _: None)
        generator.close()

    assert result["last_message"].text == "It is hay."
    assert server.asked[1].body["messages"][-1]["content"] == "Rain in Rome"


def test_a_chunk_behaves_as_haystacks_do() -> None:
    with upstream(streamed(stream("text"))) as server:
        outcome = ask(generator_of(LeanOpenAIChatGenerator, server), "sync", streams=True)
    chunk = outcome.chunks[2]

    assert StreamingChunk.from_dict(chunk.to_dict()) == chunk
    assert replace(chunk, content="straw").content == "straw"
    assert {field.name for field in fields(StreamingChunk)} == vars(chunk).keys()
    with pytest.warns(Warning, match="Mutating attribute 'content'"):
        chunk.content = "straw"
