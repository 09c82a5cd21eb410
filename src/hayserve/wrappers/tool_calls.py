"""Puts the pieces of streamed tool calls together, and tells an agent's own from the client's."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from haystack.dataclasses import StreamingChunk, ToolCall, ToolCallDelta, ToolCallResult

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
    """Collects the pieces of tool calls until the model has said all of them.

    Each model counts its calls from 0; `source` tells several models in one stream apart.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], _Pieces] = {}
        self._done: list[tuple[str, AssembledCall]] = []
        # The calls that were given and have no result yet, by id and name.
        self._running = Counter[tuple[str, str]]()

    def add(self, deltas: Sequence[ToolCallDelta], *, source: str = "") -> None:
        for delta in deltas:
            key = (source, delta.index)
            if delta.tool_name and _begins_a_call(delta, self._open.get(key)):
                self._close(key)
                self._open[key] = _Pieces("", delta.tool_name)
            pieces = self._open.get(key)
            if pieces is not None:
                pieces.id = pieces.id or delta.id or ""
                pieces.text += delta.arguments or ""

    def complete(self, *, source: str | None = None) -> list[AssembledCall]:
        """The calls collected so far, of one source or of all; for where the model's turn ended."""
        for key in [key for key in self._open if source is None or key[0] == source]:
            self._close(key)
        done = [call for owner, call in self._done if source is None or owner == source]
        self._done = [entry for entry in self._done if source is not None and entry[0] != source]
        self._running.update((call.id, call.name) for call in done)
        return done

    def end(self, result: ToolCallResult) -> list[AssembledCall]:
        """The call that `result` ends, if no model has said it; not all stream what they call."""
        origin = result.origin
        key = (origin.id or "", origin.tool_name)
        if key in self._running:
            self._running -= Counter([key])
            return []
        # Another component may have executed what a model, whose turn did not end, has said.
        self._open = {
            where: said for where, said in self._open.items() if (said.id, said.name) != key
        }
        return [AssembledCall(*key, origin.arguments)]

    def _close(self, key: tuple[str, int]) -> None:
        pieces = self._open.pop(key, None)
        if pieces is not None:
            call = AssembledCall(pieces.id, pieces.name, _parsed(pieces.text))
            self._done.append((key[0], call))


def _begins_a_call(delta: ToolCallDelta, pieces: _Pieces | None) -> bool:
    """Whether a delta with a name opens a call; some models repeat the name in each piece."""
    if pieces is None:
        return True
    if delta.id and pieces.id:
        return delta.id != pieces.id
    return delta.tool_name != pieces.name or _is_whole(pieces.text)


def _is_whole(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _parsed(text: str) -> dict[str, Any]:
    try:
        arguments: object = json.loads(text or "{}")
    except ValueError:
        return {"": text}
    return cast(dict[str, Any], arguments) if isinstance(arguments, dict) else {"": arguments}


def whole_calls(calls: Sequence[ToolCall]) -> StreamingChunk:
    """The chunk of a model that says all its calls at once, and nothing after them."""
    deltas = [
        ToolCallDelta(
            index=index,
            id=call.id,
            tool_name=call.tool_name,
            arguments=json.dumps(call.arguments, ensure_ascii=False),
        )
        for index, call in enumerate(calls)
    ]
    return StreamingChunk(content="", index=0, tool_calls=deltas, finish_reason="tool_calls")


def owned_by_agent(chunk: StreamingChunk, name: str = "agent") -> StreamingChunk:
    """The chunk with a mark that says: the agent called `name` executes these tool calls itself."""
    return replace(chunk, meta={**chunk.meta, _OWNER: name})


def is_agents_own(chunk: StreamingChunk) -> bool:
    return _OWNER in chunk.meta


def source_of(chunk: StreamingChunk) -> str:
    """Which of several models in one stream said this."""
    info = chunk.component_info
    return str(chunk.meta.get(_OWNER) or (info and info.name) or "")
