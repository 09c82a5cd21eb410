"""Keeps a completion that is streamed before its client is told that it has ended."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Send

from hayserve.events import Event, RunFinished
from hayserve.protocols.openai_chat.answer import COMPLETION, Label
from hayserve.protocols.openai_chat.completion import completion
from hayserve.protocols.sse import Encoder


class StoredStream:
    """Encodes events, and keeps what they said when the last of them is sent.

    So a client that has read the stream to its end finds the completion.

    Args:
        encoder: Encodes them.
        label: Which answer it is.
        keep: Keeps the completion.
        send: The request's.
    """

    def __init__(
        self,
        encoder: Encoder,
        label: Label,
        *,
        keep: Callable[[dict[str, Any]], Awaitable[None]],
        send: Send,
    ) -> None:
        self._encoder = encoder
        self._label = label
        self._keep = keep
        self._send = send
        self._events: list[Event] = []

    def encode(self, event: Event) -> bytes:
        self._events.append(event)
        return self._encoder.encode(event)

    async def send(self, message: Message) -> None:
        """Send a message, and if it is the last one keep the completion before that."""
        if message["type"] == "http.response.body" and not message.get("more_body"):
            await self.end()
        await self._send(message)

    async def end(self) -> None:
        """Keep the completion, unless it is kept or its run did not end well."""
        events, self._events = self._events, []
        if events and isinstance(events[-1], RunFinished):
            whole = completion(events, self._label)
            await self._keep({**whole, **self._label.fields(COMPLETION)})
