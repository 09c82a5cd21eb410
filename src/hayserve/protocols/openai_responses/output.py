"""The output of a response as it grows: which items are open, which are done."""

from collections.abc import Sequence

from hayserve.events import Citation, ToolCallDelta, ToolFinished, ToolStarted
from hayserve.protocols.openai_responses.frames import Frames
from hayserve.protocols.openai_responses.output_items import (
    ExecutedCall,
    FunctionCall,
    GrowingItem,
    Item,
    ItemStatus,
    Message,
    Reasoning,
)
from hayserve.protocols.openai_responses.response_object import item_key


class Output:
    """Adds to the item that is open, or closes it and opens the next.

    Calls that the model makes together may be open together; a message or reasoning is alone.

    Args:
        frames: Writes the events.
        run_id: What the ids of the items are made of.
        label: Where the tools are that the agent executes itself.
    """

    def __init__(self, frames: Frames, *, run_id: str, label: str) -> None:
        self.items: list[Item] = []
        self._frames = frames
        self._run_id = run_id
        self._label = label
        self._executed: dict[str, ExecutedCall] = {}
        self._speaking: Message | Reasoning | None = None
        self._calls: dict[int, FunctionCall] = {}
        self._citations: list[Citation] = []  # of the message that is open, or else of the next

    def say(self, text: str, *, kind: type[Message] | type[Reasoning] = Message) -> bytes:
        if isinstance(self._speaking, kind):
            return self._speaking.grow(text)
        frames = self.close("completed")
        index = self._reserve()
        self._speaking = kind(self._frames, key=item_key(self._run_id, index), index=index)
        return frames + self._speaking.open() + self._speaking.grow(text)

    def call(self, delta: ToolCallDelta) -> bytes:
        frames = self._stop_speaking("completed")
        call = self._calls.get(delta.index)
        if call is None or (delta.id and delta.name and delta.id != call.call_id):
            frames += self._close_call(delta.index, "completed")
            call = self._new_call(delta)
            frames += call.open()
        return frames + call.grow(delta.arguments) if delta.arguments else frames

    @property
    def text(self) -> str:
        """What the model has said in its last message."""
        if isinstance(self._speaking, Message):
            return self._speaking.text
        said = [item for item in self.items if item.get("type") == "message"]
        return said[-1]["content"][0]["text"] if said else ""

    @property
    def has_calls(self) -> bool:
        """Whether the client is asked to execute something."""
        return bool(self._calls) or any(item.get("type") == "function_call" for item in self.items)

    def close_calls(self, status: ItemStatus) -> bytes:
        return b"".join(self._close_call(index, status) for index in list(self._calls))

    def cite(self, citations: Sequence[Citation]) -> None:
        """Say what the message is based on that is open, or else the next one.

        It is told when the message is complete.
        """
        self._citations += citations

    @property
    def lacks_message(self) -> bool:
        """Whether a message has to be made at the end although nothing was said in it.

        An order to the client is no answer yet: what that is based on comes with it.
        """
        if not self.items:
            return True
        if isinstance(self._speaking, Message) or self.has_calls:
            return False
        return bool(self._citations)

    def start_tool(self, started: ToolStarted) -> bytes:
        """Add a call that the agent executes; several may be open together."""
        frames = self.close("completed")
        index = self._reserve()
        call = ExecutedCall(
            self._frames,
            key=item_key(self._run_id, index),
            index=index,
            label=self._label,
            started=started,
        )
        self._executed[started.id] = call
        return frames + call.open()

    def finish_tool(self, finished: ToolFinished) -> bytes:
        """Close it with what came of it."""
        call = self._executed.pop(finished.id, None)
        if call is None:
            return b""
        call.finish(finished)
        return self._close_item(call, "completed")

    def close(self, status: ItemStatus) -> bytes:
        """Close all that the model says."""
        return self._stop_speaking(status) + self.close_calls(status)

    def end(self, status: ItemStatus) -> bytes:
        """Close everything: nothing comes any more."""
        executed, self._executed = self._executed, {}
        tools = b"".join(self._close_item(call, "incomplete") for call in executed.values())
        return self.close(status) + tools

    def _new_call(self, delta: ToolCallDelta) -> FunctionCall:
        index = self._reserve()
        key = item_key(self._run_id, index)
        call = FunctionCall(
            self._frames, key=key, index=index, name=delta.name or "", call_id=delta.id
        )
        self._calls[delta.index] = call
        return call

    def _reserve(self) -> int:
        """A place in the output, which the whole item takes when it is closed."""
        self.items.append({})
        return len(self.items) - 1

    def _stop_speaking(self, status: ItemStatus) -> bytes:
        speaking, self._speaking = self._speaking, None
        if speaking is None:
            return b""
        cited = self._cited_in(speaking) if isinstance(speaking, Message) else b""
        return cited + self._close_item(speaking, status)

    def _cited_in(self, message: Message) -> bytes:
        citations, self._citations = self._citations, []
        return message.cite(citations)

    def _close_call(self, index: int, status: ItemStatus) -> bytes:
        call = self._calls.pop(index, None)
        return self._close_item(call, status) if call else b""

    def _close_item(self, item: GrowingItem, status: ItemStatus) -> bytes:
        self.items[item.index], frames = item.close(status)
        return frames
