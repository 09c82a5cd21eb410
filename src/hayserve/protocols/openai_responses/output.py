"""The output of a response as it grows: which items are open, which are done."""

from hayserve.events import ToolCallDelta
from hayserve.protocols.openai_responses.frames import Frames
from hayserve.protocols.openai_responses.output_items import (
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
    """

    def __init__(self, frames: Frames, *, run_id: str) -> None:
        self.items: list[Item] = []
        self._frames = frames
        self._run_id = run_id
        self._speaking: Message | Reasoning | None = None
        self._calls: dict[int, FunctionCall] = {}

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

    def close_calls(self, status: ItemStatus) -> bytes:
        return b"".join(self._close_call(index, status) for index in list(self._calls))

    def close(self, status: ItemStatus) -> bytes:
        """Close all that is open."""
        return self._stop_speaking(status) + self.close_calls(status)

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
        return self._close_item(speaking, status) if speaking else b""

    def _close_call(self, index: int, status: ItemStatus) -> bytes:
        call = self._calls.pop(index, None)
        return self._close_item(call, status) if call else b""

    def _close_item(self, item: GrowingItem, status: ItemStatus) -> bytes:
        self.items[item.index], frames = item.close(status)
        return frames
