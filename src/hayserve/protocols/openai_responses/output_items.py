"""The items of an answer while they grow, each with the server-sent events that tell of it.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from hayserve.events import Citation, ToolFinished, ToolStarted
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_responses.frames import Frames, delta_prefix

ItemStatus = Literal["completed", "incomplete"]
Item = dict[str, Any]


class GrowingItem(ABC):
    """One item: opened once, then grown by pieces of text, then closed.

    Args:
        frames: Writes its events.
        key: The item's id without the prefix that names its kind.
        index: Its place in the output.
    """

    prefix: ClassVar[str]

    def __init__(self, frames: Frames, *, key: str, index: int) -> None:
        self.id = f"{self.prefix}_{key}"
        self._frames = frames
        self.index = index
        self._pieces: list[str] = []
        self._delta_prefix = b""

    def grow(self, text: str) -> bytes:
        self._pieces.append(text)
        return self._frames.delta(self._delta_prefix, text)

    @abstractmethod
    def open(self) -> bytes:
        """The events that begin it."""

    @abstractmethod
    def close(self, status: ItemStatus) -> tuple[Item, bytes]:
        """The whole item and the events that end it."""

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def _frame(self, kind: str, **fields: Any) -> bytes:
        return self._frames.frame(kind, item_id=self.id, output_index=self.index, **fields)

    def _added(self, item: Item) -> bytes:
        return self._frames.frame("response.output_item.added", output_index=self.index, item=item)

    def _done(self, item: Item) -> bytes:
        return self._frames.frame("response.output_item.done", output_index=self.index, item=item)


class Message(GrowingItem):
    """Text that the model says."""

    prefix: ClassVar[str] = "msg"

    def __init__(self, frames: Frames, *, key: str, index: int) -> None:
        super().__init__(frames, key=key, index=index)
        self._annotations: list[Item] = []

    def open(self) -> bytes:
        self._delta_prefix = delta_prefix(
            "response.output_text.delta",
            item_id=self.id,
            output_index=self.index,
            content_index=0,
            logprobs=[],
        )
        part = _output_text("", [])
        return self._added(self._item([], "in_progress")) + self._frame(
            "response.content_part.added", content_index=0, part=part
        )

    def cite(self, citations: Sequence[Citation]) -> bytes:
        """The events that tell what the text is based on, which is complete."""
        length = len(self.text)
        self._annotations = [
            _annotation_of(citation, length=length) for citation in dict.fromkeys(citations)
        ]
        return b"".join(
            self._frame(
                "response.output_text.annotation.added",
                content_index=0,
                annotation_index=index,
                annotation=annotation,
            )
            for index, annotation in enumerate(self._annotations)
        )

    def close(self, status: ItemStatus) -> tuple[Item, bytes]:
        part = _output_text(self.text, self._annotations)
        item = self._item([part], status)
        frames = self._frame(
            "response.output_text.done", content_index=0, text=self.text, logprobs=[]
        )
        frames += self._frame("response.content_part.done", content_index=0, part=part)
        return item, frames + self._done(item)

    def _item(self, content: list[Item], status: str) -> Item:
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }


def _output_text(text: str, annotations: Sequence[Item]) -> Item:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _annotation_of(citation: Citation, *, length: int) -> Item:
    """A citation as a text of that length has it: the whole text is based on it."""
    if citation.url is None:
        return {
            "type": "file_citation",
            "index": length,
            "file_id": citation.file_id,
            "filename": citation.filename,
        }
    return {
        "type": "url_citation",
        "start_index": 0,
        "end_index": length,
        "url": citation.url,
        "title": citation.title,
    }


class Reasoning(GrowingItem):
    """What the model says of its reasoning; clients know it as the summary."""

    prefix: ClassVar[str] = "rs"

    def open(self) -> bytes:
        self._delta_prefix = delta_prefix(
            "response.reasoning_summary_text.delta",
            item_id=self.id,
            output_index=self.index,
            summary_index=0,
        )
        return self._added(self._item([], "in_progress")) + self._frame(
            "response.reasoning_summary_part.added", summary_index=0, part=_summary_text("")
        )

    def close(self, status: ItemStatus) -> tuple[Item, bytes]:
        part = _summary_text(self.text)
        item = self._item([part], status)
        frames = self._frame(
            "response.reasoning_summary_text.done", summary_index=0, text=self.text
        )
        frames += self._frame("response.reasoning_summary_part.done", summary_index=0, part=part)
        return item, frames + self._done(item)

    def _item(self, summary: list[Item], status: str) -> Item:
        return {"id": self.id, "type": "reasoning", "status": status, "summary": summary}


def _summary_text(text: str) -> Item:
    return {"type": "summary_text", "text": text}


class FunctionCall(GrowingItem):
    """A call of a function that the client is asked to execute; the text is its arguments."""

    prefix: ClassVar[str] = "fc"

    def __init__(
        self, frames: Frames, *, key: str, index: int, name: str, call_id: str | None
    ) -> None:
        super().__init__(frames, key=key, index=index)
        self.name = name
        self.call_id = call_id or f"call_{key}"

    def open(self) -> bytes:
        self._delta_prefix = delta_prefix(
            "response.function_call_arguments.delta", item_id=self.id, output_index=self.index
        )
        return self._added(self._item("", "in_progress"))

    def close(self, status: ItemStatus) -> tuple[Item, bytes]:
        arguments = self.text or "{}"
        item = self._item(arguments, status)
        frames = self._frame(
            "response.function_call_arguments.done", name=self.name, arguments=arguments
        )
        return item, frames + self._done(item)

    def _item(self, arguments: str, status: str) -> Item:
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": arguments,
        }


class ExecutedCall(GrowingItem):
    """A call of a tool that the agent executes itself; no client tries to.

    The protocol's own form of it is a call of a tool on an MCP server, which the deployment stands
    for.

    Source: https://platform.openai.com/docs/api-reference/responses/object
    """

    prefix: ClassVar[str] = "mcp"

    def __init__(
        self, frames: Frames, *, key: str, index: int, label: str, started: ToolStarted
    ) -> None:
        super().__init__(frames, key=key, index=index)
        self._label = label
        self._name = started.name
        self._arguments = to_json(started.arguments).decode()
        self._finished: ToolFinished | None = None

    def open(self) -> bytes:
        return (
            self._added({**self._item("in_progress"), "arguments": ""})
            + self._frame("response.mcp_call.in_progress")
            + self._frame("response.mcp_call_arguments.delta", delta=self._arguments)
            + self._frame("response.mcp_call_arguments.done", arguments=self._arguments)
        )

    def finish(self, finished: ToolFinished) -> None:
        """What came of it."""
        self._finished = finished

    def close(self, status: ItemStatus) -> tuple[Item, bytes]:  # noqa: ARG002 - its result says it
        if self._finished is None:
            item = self._item("incomplete")
            return item, self._done(item)
        ending = "failed" if self._finished.failed else "completed"
        item = self._item(ending)
        return item, self._frame(f"response.mcp_call.{ending}") + self._done(item)

    def _item(self, status: str) -> Item:
        finished = self._finished
        has_failed = finished is not None and finished.failed
        return {
            "id": self.id,
            "type": "mcp_call",
            "status": status,
            "server_label": self._label,
            "name": self._name,
            "arguments": self._arguments,
            "approval_request_id": None,
            "output": finished.result if finished and not has_failed else None,
            "error": _tool_error(finished.result) if finished and has_failed else None,
        }


def _tool_error(text: str) -> Item:
    return {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]}
