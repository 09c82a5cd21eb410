"""Haystack's `OpenAIChatGenerator` on a shorter way from the upstream's bytes to its chunks."""

from inspect import isawaitable
from typing import Any, cast
from urllib.request import getproxies

import anyio
import openai
from haystack import component
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.core.serialization import generate_qualified_class_name
from haystack.dataclasses import (
    ChatMessage,
    ComponentInfo,
    StreamingCallbackT,
    SyncStreamingCallbackT,
    select_streaming_callback,
)
from haystack.tools import ToolsType
from openai import AsyncStream, Stream
from openai.types.chat import ChatCompletion, ChatCompletionMessage

from hayserve.generators.chunks import StreamedReply
from hayserve.generators.loop_pool import LoopTransport
from hayserve.generators.originals import (
    as_messages,
    message_of_choice,
    replies_of_async_stream,
    replies_of_stream,
    warn_of_finish_reason,
)
from hayserve.generators.thread_pool import ThreadTransport
from hayserve.generators.upstream import AsyncUpstream, ThreadUpstream


@component  # makes the class anew: a `super()` without arguments would mean the one before
class LeanOpenAIChatGenerator(OpenAIChatGenerator):
    """Haystack's `OpenAIChatGenerator` with a tenth of its cost per streamed token.

    It takes the same arguments, sends the same requests through the same OpenAI SDK, which also
    retries and raises, and gives the same chunks and replies. Two things differ: what a model says
    as `reasoning_content` or `reasoning` becomes the chunks' and the reply's `reasoning`, and the
    connections to an upstream are shared by all of these generators in a process.

    With `http_client_kwargs`, or with a proxy in the environment, httpx makes the connections as
    it does for the original; streams are still parsed the short way.

    Example:
        ```python
        from haystack.components.agents import Agent

        from hayserve.generators import LeanOpenAIChatGenerator

        agent = Agent(chat_generator=LeanOpenAIChatGenerator(model="gpt-5-mini"))
        ```
    """

    @component.output_types(replies=list[ChatMessage])
    def run(
        self,
        messages: list[ChatMessage] | str,
        streaming_callback: StreamingCallbackT | None = None,
        generation_kwargs: dict[str, Any] | None = None,
        *,
        tools: ToolsType | None = None,
        tools_strict: bool | None = None,
    ) -> dict[str, list[ChatMessage]]:
        """Asks the model, and streams its answer if there is a callback.

        Args:
            messages: The conversation, or what the user says.
            streaming_callback: Takes the chunks, in place of the one given to the constructor.
            generation_kwargs: Parameters of the request, over the ones given to the constructor.
            tools: The tools of the model, in place of the ones given to the constructor.
            tools_strict: Whether arguments of tools must follow their schemas.

        Returns:
            The replies, as `{"replies": [...]}`.

        Raises:
            openai.APIError: The upstream cannot be reached, refuses, or fails.
        """
        self.warm_up()
        messages = as_messages(messages)
        if not messages:
            return {"replies": []}
        callback = select_streaming_callback(
            init_callback=self.streaming_callback,
            runtime_callback=streaming_callback,
            requires_async=False,
        )
        arguments = self._prepare_api_call(
            messages=messages,
            streaming_callback=callback,
            generation_kwargs=generation_kwargs,
            tools=tools,
            tools_strict=tools_strict,
        )
        endpoint = arguments.pop("openai_endpoint")
        answer = getattr(cast("openai.OpenAI", self.client).chat.completions, endpoint)(**arguments)
        if callback is None:
            replies = _replies_of(answer)
        else:
            replies = self._handle_stream_response(answer, callback)
        for reply in replies:
            warn_of_finish_reason(reply.meta)
        return {"replies": replies}

    @component.output_types(replies=list[ChatMessage])
    async def run_async(
        self,
        messages: list[ChatMessage] | str,
        streaming_callback: StreamingCallbackT | None = None,
        generation_kwargs: dict[str, Any] | None = None,
        *,
        tools: ToolsType | None = None,
        tools_strict: bool | None = None,
    ) -> dict[str, list[ChatMessage]]:
        """Does what `run` does, on the event loop; a cancelled run lets go of the upstream at once.

        Args:
            messages: The conversation, or what the user says.
            streaming_callback: Takes the chunks; may be a coroutine function.
            generation_kwargs: Parameters of the request, over the ones given to the constructor.
            tools: The tools of the model, in place of the ones given to the constructor.
            tools_strict: Whether arguments of tools must follow their schemas.

        Returns:
            The replies, as `{"replies": [...]}`.

        Raises:
            openai.APIError: The upstream cannot be reached, refuses, or fails.
        """
        await self.warm_up_async()
        messages = as_messages(messages)
        callback = select_streaming_callback(
            init_callback=self.streaming_callback,
            runtime_callback=streaming_callback,
            requires_async=True,
        )
        if not messages:
            return {"replies": []}
        arguments = self._prepare_api_call(
            messages=messages,
            streaming_callback=callback,
            generation_kwargs=generation_kwargs,
            tools=tools,
            tools_strict=tools_strict,
        )
        endpoint = arguments.pop("openai_endpoint")
        client = cast("openai.AsyncOpenAI", self.async_client)
        answer = await getattr(client.chat.completions, endpoint)(**arguments)
        if callback is None:
            replies = _replies_of(answer)
        else:
            replies = await self._handle_async_stream_response(answer, callback)
        for reply in replies:
            warn_of_finish_reason(reply.meta)
        return {"replies": replies}

    def warm_up(self) -> None:
        """Makes the client for `run`."""
        if self.client is None and self._connects_directly():
            http_client = openai.DefaultHttpxClient(transport=ThreadTransport())
            self.client = openai.OpenAI(http_client=http_client, **self._client_kwargs())
        OpenAIChatGenerator.warm_up(self)

    async def warm_up_async(self) -> None:
        """Makes the client for `run_async`."""
        if self.async_client is None and self._connects_directly():
            http_client = openai.DefaultAsyncHttpxClient(transport=LoopTransport())
            self.async_client = openai.AsyncOpenAI(http_client=http_client, **self._client_kwargs())
        await OpenAIChatGenerator.warm_up_async(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "LeanOpenAIChatGenerator":
        """The generator that `to_dict` wrote down, whether it was one of these or an original."""
        if data.get("type") == generate_qualified_class_name(OpenAIChatGenerator):
            data = {**data, "type": generate_qualified_class_name(cls)}
        made = super(LeanOpenAIChatGenerator, cls).from_dict(data)  # noqa: UP008 - as said above
        return cast("LeanOpenAIChatGenerator", made)

    def _connects_directly(self) -> bool:
        """No more is asked of the connections than our transports do."""
        return not self.http_client_kwargs and not {"http", "https", "all"} & getproxies().keys()

    def _handle_stream_response(
        self, chat_completion: Stream[Any], callback: SyncStreamingCallbackT
    ) -> list[ChatMessage]:
        if type(chat_completion) is not Stream:  # a tracer's, which wants to see the SDK's chunks
            return replies_of_stream(self, chat_completion, callback)
        response = chat_completion.response
        upstream = ThreadUpstream(response)
        reply = StreamedReply(ComponentInfo.from_component(self), request=response.request)
        try:
            while not reply.ended and (piece := upstream.read()):
                for chunk in reply.feed(piece):
                    callback(chunk)
            upstream.drain()
        finally:
            chat_completion.close()
        return [reply.message()]

    async def _handle_async_stream_response(
        self, chat_completion: AsyncStream[Any], callback: StreamingCallbackT
    ) -> list[ChatMessage]:
        if type(chat_completion) is not AsyncStream:  # as above
            return await replies_of_async_stream(self, chat_completion, callback)
        response = chat_completion.response
        upstream = AsyncUpstream(response)
        reply = StreamedReply(ComponentInfo.from_component(self), request=response.request)
        try:
            while not reply.ended and (piece := await upstream.read()):
                for chunk in reply.feed(piece):
                    result = callback(chunk)
                    if result is not None and isawaitable(result):
                        await result
            await upstream.drain()
        finally:
            with anyio.CancelScope(shield=True):
                await chat_completion.close()
        return [reply.message()]


def _replies_of(answer: ChatCompletion) -> list[ChatMessage]:
    return [
        _with_reasoning(message_of_choice(answer, choice), choice.message)
        for choice in answer.choices
    ]


def _with_reasoning(reply: ChatMessage, said: ChatCompletionMessage) -> ChatMessage:
    more = said.model_extra or {}
    reasoning = more.get("reasoning_content") or more.get("reasoning")
    if not reasoning or not isinstance(reasoning, str):
        return reply
    return ChatMessage.from_assistant(
        text=reply.text, tool_calls=reply.tool_calls, meta=reply.meta, reasoning=reasoning
    )
