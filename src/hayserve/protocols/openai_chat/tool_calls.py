"""The tool calls that the client is asked to execute, as OpenAI writes them."""

from dataclasses import dataclass, field
from typing import Any

from hayserve.events import ToolCallDelta


@dataclass(slots=True)
class _Call:
    number: int
    id: str
    name: str
    arguments: list[str] = field(default_factory=list[str])


class ClientCalls:
    """Numbers the calls of one answer from 0 without gaps, whatever numbers the model gave.

    A model numbers anew in each of its turns, and an agent's own calls are left out; clients use
    the number as the place in a list.

    Args:
        run_id: What ids are made of where the model gave none.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._calls: list[_Call] = []
        self._open: dict[int, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, delta: ToolCallDelta) -> dict[str, Any]:
        """Take a piece of a call; gives it as an entry of a chunk's `tool_calls`."""
        call = self._open.get(delta.index)
        is_new = call is None or (bool(delta.id) and delta.id != call.id)
        if call is None or is_new:
            call = self._begin(delta)
        call.arguments.append(delta.arguments)
        if is_new:
            function = {"name": call.name, "arguments": delta.arguments}
            return {"index": call.number, "id": call.id, "type": "function", "function": function}
        return {"index": call.number, "function": {"arguments": delta.arguments}}

    def whole(self) -> list[dict[str, Any]]:
        """All calls with all their arguments, as a message's `tool_calls`."""
        return [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.arguments)},
            }
            for call in self._calls
        ]

    def _begin(self, delta: ToolCallDelta) -> _Call:
        number = len(self._calls)
        call = _Call(number, delta.id or f"call_{self._run_id}_{number}", delta.name or "")
        self._calls.append(call)
        self._open[delta.index] = call
        return call
