"""Answers in JSON: as the arguments of the tool that the client sends, else as its text."""

import json
from collections.abc import Generator
from typing import Any

from haystack.dataclasses import StreamingChunk, ToolCallDelta

from hayserve import BasePipelineWrapper


class PipelineWrapper(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> Generator[str | StreamingChunk, None, None]:
        asked = [message["content"] for message in messages if message["role"] == "user"]
        answer = json.dumps({"turn": len(asked), "said": asked[-1]})
        if not body.get("tools"):
            yield answer
            return
        name = body["tools"][0]["function"]["name"]
        yield _piece(id=f"call_{len(asked)}", tool_name=name)
        yield _piece(arguments=answer)
        yield StreamingChunk(content="", finish_reason="tool_calls")


def _piece(**piece: Any) -> StreamingChunk:
    return StreamingChunk(content="", index=0, tool_calls=[ToolCallDelta(index=0, **piece)])
