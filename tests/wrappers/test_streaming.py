"""What streams while an agent or a pipeline runs, in both forms."""

import asyncio
import logging
import queue
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from haystack import component
from haystack.components.agents import Agent
from haystack.core.errors import PipelineRuntimeError
from haystack.dataclasses import ChatMessage, Document, StreamingChunk

from hayserve.events import Citation
from hayserve.testing import Reply, ScriptedChatGenerator
from hayserve.wrappers.client_events import PipelineEvent, create_status_event
from hayserve.wrappers.context import RunContext, current_run
from hayserve.wrappers.streaming import (
    async_streaming_generator,
    streaming_generator,
)
from wrappers.streaming_parts import (
    ADD,
    USER,
    CallsBackOnLoop,
    Mute,
    Own,
    Shout,
    SyncOnly,
    TakesNoNotice,
    calculator,
    chat,
    read_driven,
    read_driven_on_loop,
    read_in_thread,
    read_on_loop,
    say,
    two_models,
    where,
    words,
)

Read = Callable[..., Awaitable[list[Any]]]


@pytest.fixture(params=[read_in_thread, read_on_loop, read_driven, read_driven_on_loop])
def read(request: pytest.FixtureRequest) -> Read:
    return request.param


@pytest.mark.anyio
async def test_an_agent_streams_its_answer(read: Read) -> None:
    agent = Agent(chat_generator=ScriptedChatGenerator(["Hello you there"]))
    assert say(await read(agent, pipeline_run_args={"messages": USER})) == "Hello you there"


@pytest.mark.anyio
async def test_the_last_component_that_can_streams(read: Read) -> None:
    items = await read(two_models(), pipeline_run_args={"first_prompt": {"query": "hi"}})
    assert say(items) == "three four"


@pytest.mark.anyio
@pytest.mark.parametrize("chosen", ["all", ["first", "second"], ["second", "first", "first"]])
async def test_several_components_stream(read: Read, chosen: Any) -> None:
    items = await read(
        two_models(),
        pipeline_run_args={"first_prompt": {"query": "hi"}},
        streaming_components=chosen,
    )
    assert say(items) == "one two" + "three four"
    assert [chunk.component_info.name for chunk in items if chunk.content] == [
        "first",
        "first",
        "second",
        "second",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("chosen", ["first", ["first"]])
async def test_a_named_component_streams(read: Read, chosen: Any) -> None:
    items = await read(
        two_models(),
        pipeline_run_args={"first_prompt": {"query": "hi"}},
        streaming_components=chosen,
    )
    assert say(items) == "one two"


@pytest.mark.anyio
async def test_an_unknown_component_is_refused_before_anything_runs() -> None:
    for make in (streaming_generator, async_streaming_generator):
        with pytest.raises(ValueError, match=r"No component named 'x' .*'first', 'second'"):
            make(two_models(), streaming_components=["x"])


@pytest.mark.anyio
async def test_what_is_no_pipeline_is_refused() -> None:
    for make in (streaming_generator, async_streaming_generator):
        with pytest.raises(ValueError, match="Unsupported pipeline type 'str'"):
            make("pipeline")  # pyright: ignore[reportArgumentType] - what is tested


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("setting", "said"), [("all", "one twothree four"), ("first", "one two"), ("x", "three four")]
)
async def test_the_setting_of_the_run_chooses_where_the_call_does_not(
    read: Read, setting: str, said: str
) -> None:
    current_run.set(RunContext("1", streaming_components=setting))
    items = await read(two_models(), pipeline_run_args={"first_prompt": {"query": "hi"}})
    assert say(items) == said


@pytest.mark.anyio
async def test_run_arguments_may_be_flat(read: Read) -> None:
    items = await read(two_models(), pipeline_run_args={"query": "hi"}, streaming_components="all")
    assert say(items) == "one twothree four"


@pytest.mark.anyio
async def test_flat_run_arguments_that_nothing_takes_are_refused(read: Read) -> None:
    with pytest.raises(ValueError, match="takes an input named 'quest'"):
        await read(two_models(), pipeline_run_args={"quest": "hi"})


@pytest.mark.anyio
async def test_a_pipeline_that_cannot_stream_gives_its_finished_answer(read: Read) -> None:
    items = await read(chat(("shout", Shout())), pipeline_run_args={"query": "hi"})
    assert say(items) == "HI"


@pytest.mark.anyio
async def test_a_component_that_streams_nothing_gives_its_finished_answer(read: Read) -> None:
    pipeline = chat(("quiet", SyncOnly(words=0)))
    assert say(await read(pipeline, pipeline_run_args={"query": "hi"})) == "hi"


@pytest.mark.anyio
@pytest.mark.parametrize("model", [Mute, TakesNoNotice])
async def test_an_agent_whose_model_does_not_stream_gives_its_finished_answer(
    read: Read, model: Callable[[], Any]
) -> None:
    agent = Agent(chat_generator=model(), tools=[ADD])
    assert say(await read(agent, pipeline_run_args={"messages": USER})) == "2"


@pytest.mark.anyio
async def test_outputs_of_other_components_can_be_included(read: Read) -> None:
    results: list[Any] = []
    await read(
        two_models(),
        pipeline_run_args={"query": "hi"},
        include_outputs_from={"first"},
        on_pipeline_end=results.append,
    )
    assert set(results[0]) == {"first", "second"}


def recording(said: list[Any], *, is_async: bool) -> dict[str, Callable[..., Any]]:
    def start(name: str, arguments: dict[str, Any], call: str | None) -> PipelineEvent:
        said.append((name, arguments, call))
        return create_status_event(f"Calling {name}")

    def end(*args: Any) -> list[Any]:
        said.append(args)
        return [create_status_event("done", done=True), "details"]

    async def start_async(name: str, arguments: dict[str, Any], call: str | None) -> PipelineEvent:
        await asyncio.sleep(0)
        return start(name, arguments, call)

    async def end_async(*args: Any) -> list[Any]:
        return end(*args)

    if is_async:
        return {"on_tool_call_start": start_async, "on_tool_call_end": end_async}
    return {"on_tool_call_start": start, "on_tool_call_end": end}


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_tool_callbacks_get_whole_arguments_in_every_step(read: Read, is_async: bool) -> None:
    said: list[Any] = []
    callbacks = recording(said, is_async=is_async)
    items = await read(calculator(), pipeline_run_args={"messages": USER}, **callbacks)
    assert said == [
        ("add", {"a": 1, "b": 2}, "c1"),
        ("add", {"a": 3, "b": 4}, "c2"),
        ("add", {"a": 1, "b": 2}, "3", False),
        ("add", {"a": 3, "b": 4}, "7", False),
        ("add", {"a": 3, "b": 7}, "c3"),
        ("add", {"a": 3, "b": 7}, "10", False),
    ]
    steps = "<status><status><status><details><status><details><status><status><details>"
    assert say(items) == f"{steps}It is 10."


@pytest.mark.anyio
async def test_what_a_callback_says_comes_before_the_chunk(read: Read) -> None:
    items = await read(
        calculator(),
        pipeline_run_args={"messages": USER},
        on_tool_call_end=lambda *args: f"={args[2]}",  # pyright: ignore[reportUnknownLambdaType] - what it is called with
    )
    at = items.index("=10")
    assert items[at + 1].tool_call_result.result == "10"


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_reasoning_is_told(read: Read, is_async: bool) -> None:
    heard: list[str] = []

    def on_reasoning(text: str, extra: dict[str, Any]) -> str:
        assert extra == {}
        heard.append(text)
        return f"[{text}]"

    async def on_reasoning_async(text: str, extra: dict[str, Any]) -> str:
        return on_reasoning(text, extra)

    agent = Agent(chat_generator=ScriptedChatGenerator([Reply("Yes", reasoning="let me see")]))
    items = await read(
        agent,
        pipeline_run_args={"messages": USER},
        on_reasoning=on_reasoning_async if is_async else on_reasoning,
    )
    assert heard == ["let ", "me ", "see"]
    assert say(items) == "<[let ]><[me ]><[see]>Yes"


@pytest.mark.anyio
@pytest.mark.parametrize("said", [" Bye.", "", None, {"a": 1}])
@pytest.mark.parametrize("is_async", [False, True])
async def test_the_end_may_add_a_text(read: Read, is_async: bool, said: Any) -> None:
    async def end_async(result: dict[str, Any]) -> Any:
        return said

    def end(result: dict[str, Any]) -> Any:
        assert result["last_message"].text == "ok"
        return said

    agent = Agent(chat_generator=ScriptedChatGenerator(["ok"]))
    items = await read(
        agent,
        pipeline_run_args={"messages": USER},
        on_pipeline_end=end_async if is_async else end,
    )
    assert say(items) == ("ok Bye." if said == " Bye." else "ok")


@pytest.mark.anyio
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callback_that_raises_is_logged_and_ignored(
    read: Read, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*args: Any) -> None:
        raise ValueError("callback")

    async def fails_async(*args: Any) -> None:
        raise ValueError("callback")

    callback = fails_async if is_async else fails
    agent = calculator()
    items = await read(
        agent,
        pipeline_run_args={"messages": USER},
        on_tool_call_start=callback,
        on_tool_call_end=callback,
        on_pipeline_end=callback,
    )
    assert say(items) == "It is 10."
    logged = [record for record in caplog.records if record.message == "callback_failed"]
    assert len(logged) == 3 + 3 + 1
    assert all(record.exc_info for record in logged)


@component
class PutsEvents:
    """A component that puts something into a queue before, and after, it says something."""

    def __init__(self, into: Any, *, ending: Exception | None = None) -> None:
        self.into = into
        self.ending = ending

    @component.output_types(replies=list[str])
    def run(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        self.into.put_nowait("before")
        streaming_callback(StreamingChunk(content=query))
        self.into.put_nowait("after")
        if self.ending:
            raise self.ending
        return {"replies": [query]}


def _put_end(events: Any, _: object) -> None:
    events.put_nowait("end")


@pytest.mark.anyio
@pytest.mark.parametrize("make", [queue.Queue, asyncio.Queue])
async def test_no_external_event_is_lost(read: Read, make: Callable[[], Any]) -> None:
    events = make()
    events.put_nowait({"at": "start"})
    items = await read(
        chat(("talks", PutsEvents(events))),
        pipeline_run_args={"query": "hi"},
        external_event_queue=events,
        on_pipeline_end=partial(_put_end, events),
    )
    assert items[0] == {"at": "start"}
    assert {item for item in items[1:] if isinstance(item, str)} == {"before", "after", "end"}
    assert say(item for item in items if isinstance(item, StreamingChunk)) == "hi"


@pytest.mark.anyio
async def test_external_events_of_a_run_that_fails_come_before_its_error() -> None:
    events: queue.Queue[str] = queue.Queue()
    pipeline = chat(("talks", PutsEvents(events, ending=ValueError("no"))))
    options: Any = {"pipeline_run_args": {"query": "hi"}, "external_event_queue": events}
    heard: list[list[Any]] = [[], [], []]
    with pytest.raises(PipelineRuntimeError):
        heard[0].extend(streaming_generator(pipeline, **options))
    stream = async_streaming_generator(pipeline, **options)
    with suppress(PipelineRuntimeError):
        async for item in stream:
            heard[1].append(item)
    with pytest.raises(PipelineRuntimeError):
        streaming_generator(pipeline, **options).drive(heard[2].append)
    for items in heard:
        assert sorted(say([item]) for item in items) == ["<after>", "<before>", "hi"]


@pytest.mark.anyio
async def test_an_error_in_the_pipeline_names_the_component(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = chat(("llm", ScriptedChatGenerator([Reply("a b", fails_with=ValueError("broke"))])))
    with pytest.raises(PipelineRuntimeError, match="broke") as caught:
        await read(pipeline, pipeline_run_args={"messages": USER})
    assert caught.value.component_name == "llm"
    assert isinstance(caught.value.__cause__, ValueError)
    names = {record.name for record in caplog.records if record.levelno >= logging.WARNING}
    assert not [name for name in names if name.startswith(("haystack", "hayserve"))]


@pytest.mark.anyio
async def test_what_was_said_before_an_error_is_heard() -> None:
    model = ScriptedChatGenerator([Reply("a b", fails_with=ValueError("broke"))], loop=True)
    stream = streaming_generator(chat(("llm", model)), pipeline_run_args={"messages": USER})
    assert next(stream).content + next(stream).content == "a b"
    with pytest.raises(PipelineRuntimeError):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


@pytest.mark.anyio
@pytest.mark.parametrize("error", [StopIteration("x"), StopAsyncIteration("x")])
async def test_an_error_does_not_look_like_the_end_of_the_stream(error: Exception) -> None:
    @component
    class Model:
        @component.output_types(replies=list[ChatMessage])
        def run(self, messages: Any, streaming_callback: Any = None) -> dict[str, Any]:
            raise error

        @component.output_types(replies=list[ChatMessage])
        async def run_async(self, messages: Any, streaming_callback: Any = None) -> dict[str, Any]:
            raise error

    agent = Agent(chat_generator=Model())
    with pytest.raises(RuntimeError):
        await read_in_thread(agent, pipeline_run_args={"messages": USER})
    with pytest.raises(RuntimeError):
        await read_on_loop(agent, pipeline_run_args={"messages": USER})


@pytest.mark.anyio
async def test_the_run_sees_the_context_of_whoever_reads(read: Read) -> None:
    @component
    class Looks:
        @component.output_types(replies=list[str])
        def run(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
            streaming_callback(StreamingChunk(content=where.get()))
            return {"replies": []}

    where.set("here")
    assert say(await read(chat(("looks", Looks())), pipeline_run_args={"query": ""})) == "here"


@pytest.mark.anyio
async def test_the_arguments_that_were_given_stay_as_they_are(read: Read) -> None:
    args = {"first_prompt": {"query": "hi"}, "second": {"generation_kwargs": {"a": 1}}}
    await read(two_models(), pipeline_run_args=args)
    assert args == {"first_prompt": {"query": "hi"}, "second": {"generation_kwargs": {"a": 1}}}


async def no_wait() -> None:
    """There is always room."""


@pytest.mark.anyio
async def test_a_component_that_can_wait_does_so_after_each_chunk() -> None:
    talks, items, waits = Own(words=3), list[Any](), list[int]()

    async def room() -> None:
        waits.append(len(items))

    stream = async_streaming_generator(chat(("talks", talks)), pipeline_run_args={"query": ""})
    await stream.drive(items.append, room)
    assert (say(items), waits) == ("0 1 2 ", [1, 2, 3])


@pytest.mark.anyio
async def test_a_component_that_calls_back_on_the_loop_is_not_waited_for() -> None:
    items: list[Any] = []
    pipeline = chat(("talks", CallsBackOnLoop()))
    stream = async_streaming_generator(pipeline, pipeline_run_args={"query": "a b"})
    await stream.drive(items.append, no_wait)
    assert say(items) == "ab"


@pytest.mark.anyio
async def test_a_stream_that_was_begun_elsewhere_is_driven_to_its_end() -> None:
    options: Any = {"pipeline_run_args": {"query": ""}}
    items: list[Any] = []
    stream = streaming_generator(words(3)[1], **options)
    items.append(next(stream))
    stream.drive(items.append)
    later = async_streaming_generator(words(3)[1], **options)
    items.append(await anext(later))
    await later.drive(items.append, no_wait)
    assert say(items) == "0 1 2 " * 2


class Ended(BaseException):
    """What stops a run from inside."""


def end_it(item: object) -> None:
    raise Ended


@pytest.mark.anyio
@pytest.mark.parametrize("is_begun", [False, True])
async def test_whoever_takes_the_chunks_may_end_the_run(is_begun: bool) -> None:
    options: Any = {"pipeline_run_args": {"query": ""}}
    talks, pipeline = words(10_000_000)
    stream = streaming_generator(pipeline, **options)
    if is_begun:
        next(stream)
    with pytest.raises(Ended):
        stream.drive(end_it)
    assert await asyncio.to_thread(talks.ended.wait, 5)
    talks_later, pipeline = words(10_000_000)
    later = async_streaming_generator(pipeline, **options)
    if is_begun:
        await anext(later)
    with pytest.raises(Ended):
        await later.drive(end_it, no_wait)
    assert await asyncio.to_thread(talks_later.ended.wait, 5)


@component
class Cites(Shout):
    """A component that cannot stream, and returns what its answer is based on."""

    @component.output_types(replies=list[str], documents=list[Document])
    def run(self, query: str) -> dict[str, Any]:
        return {"replies": [query], "documents": [Document(id="1", meta={"title": "Hay"})]}


@pytest.mark.anyio
async def test_the_documents_that_are_returned_come_last(read: Read) -> None:
    items = await read(chat(("cites", Cites())), pipeline_run_args={"query": "hi"})

    assert say(items) == "hi"
    assert items[-1].citations == (Citation("Hay", file_id="1", filename="Hay"),)
