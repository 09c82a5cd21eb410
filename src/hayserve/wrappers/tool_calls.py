"""Puts the pieces of streamed tool calls together, and tells an agent's own from the client's."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from haystack.dataclasses import StreamingChunk, ToolCallDelta

_OWNER = "hayserve.executed_by"


@dataclass(frozen=True, slots=True)
class AssembledCall:
    """A tool call with all its arguments."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(slots=True)
class _Pieces:
    id: str
    name: str
    text: str = ""


class ToolCallAssembler:
    """Collects the pieces of tool calls until the model has said all of them."""

    def __init__(self) -> None:
        self._open: dict[int, _Pieces] = {}
        self._done: list[AssembledCall] = []

    def add(self, deltas: Sequence[ToolCallDelta]) -> None:
        for delta in deltas:
            if delta.tool_name and (delta.id or delta.index not in self._open):
                self._close(delta.index)
                self._open[delta.index] = _Pieces(delta.id or "", delta.tool_name)
            if delta.arguments and delta.index in self._open:
                self._open[delta.index].text += delta.arguments

    def complete(self) -> list[AssembledCall]:
        """The calls collected so far; called where the model has ended its turn."""
        for index in list(self._open):
            self._close(index)
        done, self._done = self._done, []
        return done

    def _close(self, index: int) -> None:
        pieces = self._open.pop(index, None)
        if pieces is not None:
            self._done.append(AssembledCall(pieces.id, pieces.name, _parsed(pieces.text)))


def _parsed(text: str) -> dict[str, Any]:
    try:
        arguments: object = json.loads(text or "{}")
    except ValueError:
        return {"": text}
    return cast(dict[str, Any], arguments) if isinstance(arguments, dict) else {"": arguments}


def owned_by_agent(chunk: StreamingChunk) -> StreamingChunk:
    """The chunk with a mark that says: the agent executes these tool calls by itself."""
    return replace(chunk, meta={**chunk.meta, _OWNER: "agent"})


def is_agents_own(chunk: StreamingChunk) -> bool:
    return chunk.meta.get(_OWNER) == "agent"
