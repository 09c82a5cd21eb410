"""A chat model that says what a script tells it: replies, tool calls, at a pace, with failures."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import isawaitable
from typing import Any, cast

from haystack import component, default_from_dict, default_to_dict
from haystack.dataclasses import (
    ChatMessage,
    ComponentInfo,
    ReasoningContent,
    StreamingChunk,
    ToolCall,
    ToolCallDelta,
)


class ScriptEnded(AssertionError):
    """The model was called more often than its script has replies."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the model.

    Args:
        text: What it says; streamed word by word.
        tool_calls: The tools that it asks for.
        reasoning: What it thinks before.
        finish_reason: Why it stops; by default "tool_calls" where it has any, else "stop".
        fails_with: Raised in place of the end, after everything else was streamed.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    finish_reason: str | None = None
    fails_with: Exception | None = None


Line = str | Reply | ToolCall | Sequence[ToolCall] | Exception


@component
class ScriptedChatGenerator:
    """A chat generator for tests, sync and async, that streams like a real one.

    Tool calls are streamed as providers do: the name first, the arguments in pieces after it.

    Args:
        script: The replies in order: a text, a `ToolCall` or several, an exception to raise, or a
            `Reply` for more.
        pace: The time between two pieces, in seconds.
        loop: Start again at the end of the script, instead of raising `ScriptEnded`.

    The messages of each call are kept in `received`.
    """

    def __init__(self, script: Sequence[Line], *, pace: float = 0.0, loop: bool = False) -> None:
        self._script = [_reply(line) for line in script]
        self._pace = pace
        self._loop = loop
        self._calls = 0
        self._lock = threading.Lock()
        self.received: list[list[ChatMessage]] = []

    def to_dict(self) -> dict[str, Any]:
        """Serialize the script, from its beginning; of an exception, only its text."""
        script = [_reply_as_dict(reply) for reply in self._script]
        return default_to_dict(self, script=script, pace=self._pace, loop=self._loop)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ScriptedChatGenerator":
        """Make one from what `to_dict` gave; what it raised is a `RuntimeError` now."""
        parameters: dict[str, Any] = data["init_parameters"]
        script = [_reply_from_dict(reply) for reply in parameters["script"]]
        data = {**data, "init_parameters": {**parameters, "script": script}}
        return cast(ScriptedChatGenerator, default_from_dict(cls, data))

    @component.output_types(replies=list[ChatMessage])
    def run(
        self,
        messages: list[ChatMessage],
        streaming_callback: Any = None,
        generation_kwargs: dict[str, Any] | None = None,  # noqa: ARG002 - what agents pass
        *,
        tools: Any = None,  # noqa: ARG002 - as above
    ) -> dict[str, list[ChatMessage]]:
        """Say the next reply."""
        reply = self._next(messages)
        for chunk in self._chunks(reply):
            if self._pace:
                time.sleep(self._pace)
            if streaming_callback is not None:
                streaming_callback(chunk)
        return _said(reply, messages)

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self,
        messages: list[ChatMessage],
        streaming_callback: Any = None,
        generation_kwargs: dict[str, Any] | None = None,  # noqa: ARG002 - what agents pass
        *,
        tools: Any = None,  # noqa: ARG002 - as above
    ) -> dict[str, list[ChatMessage]]:
        """Say the next reply on the event loop."""
        reply = self._next(messages)
        for chunk in self._chunks(reply):
            if self._pace:
                await asyncio.sleep(self._pace)
            if streaming_callback is not None:
                done: Awaitable[None] | None = streaming_callback(chunk)
                if isawaitable(done):
                    await done
        return _said(reply, messages)

    def _next(self, messages: list[ChatMessage]) -> Reply:
        with self._lock:
            number, self._calls = self._calls, self._calls + 1
            self.received.append(list(messages))
        if number >= len(self._script) and not (self._loop and self._script):
            raise ScriptEnded(
                f"The model was called {number + 1} times and its script has "
                f"{len(self._script)} replies."
            )
        return self._script[number % len(self._script)]

    def _chunks(self, reply: Reply) -> Iterator[StreamingChunk]:
        info = ComponentInfo.from_component(self)
        pieces = [*_pieces(reply)]
        if reply.fails_with is None:
            end = StreamingChunk(
                content="",
                finish_reason=cast(Any, _finish_reason(reply)),
                meta={"finish_reason": _finish_reason(reply)},
            )
            pieces.append(end)
        for piece in pieces:
            yield replace(piece, component_info=info)


def _reply(line: Line) -> Reply:
    if isinstance(line, Reply):
        return line
    if isinstance(line, str):
        return Reply(text=line)
    if isinstance(line, Exception):
        return Reply(fails_with=line)
    return Reply(tool_calls=(line,) if isinstance(line, ToolCall) else tuple(line))


def _reply_as_dict(reply: Reply) -> dict[str, Any]:
    return {
        "text": reply.text,
        "tool_calls": [call.to_dict() for call in reply.tool_calls],
        "reasoning": reply.reasoning,
        "finish_reason": reply.finish_reason,
        "fails_with": None if reply.fails_with is None else str(reply.fails_with),
    }


def _reply_from_dict(data: dict[str, Any]) -> Reply:
    return Reply(
        text=data["text"],
        tool_calls=tuple(ToolCall.from_dict(call) for call in data["tool_calls"]),
        reasoning=data["reasoning"],
        finish_reason=data["finish_reason"],
        fails_with=None if data["fails_with"] is None else RuntimeError(data["fails_with"]),
    )


def _pieces(reply: Reply) -> Iterator[StreamingChunk]:
    for word in _words(reply.reasoning):
        yield StreamingChunk(content="", index=0, reasoning=ReasoningContent(word))
    for number, word in enumerate(_words(reply.text)):
        yield StreamingChunk(content=word, index=0, start=number == 0)
    for index, call in enumerate(reply.tool_calls):
        name = ToolCallDelta(index=index, tool_name=call.tool_name, id=call.id)
        yield StreamingChunk(content="", index=index, tool_calls=[name], start=True)
        text = json.dumps(call.arguments)
        for part in (text[: len(text) // 2], text[len(text) // 2 :]):
            delta = ToolCallDelta(index=index, arguments=part)
            yield StreamingChunk(content="", index=index, tool_calls=[delta])


def _words(text: str) -> list[str]:
    """`text` cut after each space, so that the pieces joined are the text again."""
    return [word for word in text.replace(" ", " \0").split("\0") if word]


def _finish_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _said(reply: Reply, messages: list[ChatMessage]) -> dict[str, list[ChatMessage]]:
    if reply.fails_with is not None:
        raise reply.fails_with
    spoken = len(_words(reply.text)) + len(reply.tool_calls)
    heard = sum(len((message.text or "").split()) for message in messages)
    message = ChatMessage.from_assistant(
        reply.text or None,
        tool_calls=list(reply.tool_calls) or None,
        reasoning=reply.reasoning or None,
        meta={
            "model": "scripted",
            "finish_reason": _finish_reason(reply),
            "usage": {
                "prompt_tokens": heard,
                "completion_tokens": spoken,
                "total_tokens": heard + spoken,
            },
        },
    )
    return {"replies": [message]}
