"""Agents, pipelines and components that stream, for tests."""

import asyncio
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import anyio.to_thread
from haystack import Pipeline, component
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder
from haystack.dataclasses import ChatMessage, StreamingChunk, ToolCall
from haystack.tools.tool import Tool

from hayserve.testing import ScriptedChatGenerator
from hayserve.wrappers.streaming import async_streaming_generator, streaming_generator

where: ContextVar[str] = ContextVar("where", default="nowhere")
USER = [ChatMessage.from_user("hi")]


def say(items: Iterable[Any]) -> str:
    """The text of a stream, with everything that is not text as its type."""
    return "".join(
        item.content if isinstance(item, StreamingChunk) else f"<{getattr(item, 'type', item)}>"
        for item in items
    )


def add(a: int, b: int) -> int:
    return a + b


ADD = Tool(
    name="add",
    description="Adds.",
    parameters={"type": "object", "properties": {"a": {"type": "integer"}}},
    function=add,
)


def calculator() -> Agent:
    calls = [
        [ToolCall("add", {"a": 1, "b": 2}, id="c1"), ToolCall("add", {"a": 3, "b": 4}, id="c2")],
        ToolCall("add", {"a": 3, "b": 7}, id="c3"),
    ]
    return Agent(chat_generator=ScriptedChatGenerator([*calls, "It is 10."]), tools=[ADD])


def chat(*components: tuple[str, Any]) -> Pipeline:
    pipeline = Pipeline()
    for name, part in components:
        pipeline.add_component(name, part)
    return pipeline


def two_models() -> Pipeline:
    second = ChatPromptBuilder(
        template=[ChatMessage.from_user("{{previous[0].text}}")], required_variables="*"
    )
    pipeline = chat(
        ("first_prompt", ChatPromptBuilder(template=[ChatMessage.from_user("{{query}}")])),
        ("first", ScriptedChatGenerator(["one two"])),
        ("second_prompt", second),
        ("second", ScriptedChatGenerator(["three four"])),
    )
    pipeline.connect("first_prompt.prompt", "first.messages")
    pipeline.connect("first.replies", "second_prompt.previous")
    pipeline.connect("second_prompt.prompt", "second.messages")
    return pipeline


@component
class Shout:
    """A component that cannot stream."""

    @component.output_types(replies=list[str])
    def run(self, query: str) -> dict[str, Any]:
        return {"replies": [query.upper()]}


@component
class SyncOnly:
    """A component with a sync form only."""

    def __init__(self, words: int = 2) -> None:
        self.words = words
        self.said: int = 0
        self.ended = threading.Event()

    @component.output_types(replies=list[str])
    def run(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        try:
            for number in range(self.words):
                streaming_callback(StreamingChunk(content=f"{number} "))
                self.said += 1
        finally:
            self.ended.set()
        return {"replies": [query]}


@component
class Own(SyncOnly):
    """A component with an async form, that comes with Haystack."""

    @component.output_types(replies=list[str])
    async def run_async(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        for number in range(self.words):
            await streaming_callback(StreamingChunk(content=f"{number} "))
            self.said += 1
        self.ended.set()
        return {"replies": [query]}


Own.__module__ = "haystack.own"


@component
class CallsBackOnLoop:
    """A component from elsewhere, with an async form that calls a sync callback."""

    @component.output_types(replies=list[str])
    def run(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        raise NotImplementedError

    @component.output_types(replies=list[str])
    async def run_async(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        for word in query.split():
            assert streaming_callback(StreamingChunk(content=word)) is None
        return {"replies": [query]}


@component
class Waiting:
    """A component that says a word and then waits to be let go, and cleans up in any case."""

    def __init__(self, ending: BaseException | None = None) -> None:
        self.go = asyncio.Event()
        self.ending = ending
        self.cleaned_up = asyncio.Event()

    @component.output_types(replies=list[str])
    def run(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        raise NotImplementedError

    @component.output_types(replies=list[str])
    async def run_async(self, query: str, streaming_callback: Any = None) -> dict[str, Any]:
        streaming_callback(StreamingChunk(content="a"))
        try:
            await self.go.wait()
            streaming_callback(StreamingChunk(content="b"))
            if self.ending is not None:
                raise self.ending
        finally:
            self.cleaned_up.set()
        return {"replies": ["ab"]}


@component
class Mute:
    """A model that cannot stream."""

    def __init__(self) -> None:
        self.replies = [
            ChatMessage.from_assistant(tool_calls=[ToolCall("add", {"a": 1, "b": 1}, id="c")]),
            ChatMessage.from_assistant("2"),
        ]

    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage], tools: Any = None) -> dict[str, Any]:
        return {"replies": [self.replies.pop(0)]}


@component
class TakesNoNotice(Mute):
    """A model that takes a callback and does not call it."""

    @component.output_types(replies=list[ChatMessage])
    def run(
        self, messages: list[ChatMessage], tools: Any = None, streaming_callback: Any = None
    ) -> dict[str, Any]:
        return {"replies": [self.replies.pop(0)]}


def words(count: int) -> tuple[SyncOnly, Pipeline]:
    talks = SyncOnly(words=count)
    return talks, chat(("talks", talks))


async def read_in_thread(*args: Any, **options: Any) -> list[Any]:
    return await anyio.to_thread.run_sync(lambda: list(streaming_generator(*args, **options)))


async def read_on_loop(*args: Any, **options: Any) -> list[Any]:
    return [item async for item in async_streaming_generator(*args, **options)]


async def read_driven_on_loop(*args: Any, **options: Any) -> list[Any]:
    items: list[Any] = []

    async def room() -> None:
        await asyncio.sleep(0)

    await async_streaming_generator(*args, **options).drive(items.append, room)
    return items


async def read_driven(*args: Any, **options: Any) -> list[Any]:
    items: list[Any] = []
    stream = streaming_generator(*args, **options)
    await anyio.to_thread.run_sync(stream.drive, items.append)
    return items
