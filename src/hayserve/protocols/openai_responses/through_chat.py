"""Serves the Responses API through a wrapper's chat method: its request there, its answer back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hayserve.errors import InvalidRequest
from hayserve.events import Delta, ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta

Message = dict[str, Any]
_Object = Mapping[str, Any]

_SAME_IN_CHAT = (
    "metadata",
    "parallel_tool_calls",
    "service_tier",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
)
_TEXT_PARTS = ("input_text", "output_text", "text")
_FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter")


def chat_body(body: _Object, messages: Sequence[Message]) -> dict[str, Any]:
    """The body of a chat request that asks for the same as `body`, a request for a response."""
    reasoning: _Object = body.get("reasoning") or {}
    tools: Sequence[_Object] = body.get("tools") or ()
    asked = {
        "model": body["model"],
        "messages": list(messages),
        "stream": body["stream"],
        **{name: body.get(name) for name in _SAME_IN_CHAT},
        "max_completion_tokens": body.get("max_output_tokens"),
        "reasoning_effort": reasoning.get("effort"),
        "tools": [_chat_tool(tool) for tool in tools] or None,
        "tool_choice": _chat_tool_choice(body.get("tool_choice")),
    }
    return {name: value for name, value in asked.items() if value is not None}


def _chat_tool(tool: _Object) -> _Object:
    """Chat nests what describes a function; tools of other types have no form in chat."""
    if tool.get("type") != "function":
        raise InvalidRequest(
            f"A tool of type {tool.get('type')!r} cannot be given to this model.",
            hint="It takes tools of type 'function'.",
            param="tools",
        )
    return {
        "type": "function",
        "function": {name: value for name, value in tool.items() if name != "type"},
    }


def _chat_tool_choice(choice: object) -> object:
    if not isinstance(choice, dict):
        return choice
    chosen = cast(_Object, choice)
    if chosen.get("type") != "function":
        return chosen
    return {"type": "function", "function": {"name": chosen.get("name")}}


def chat_messages(items: Sequence[_Object], *, instructions: str | None) -> list[Message]:
    """The conversation in the form that chat methods take.

    Text is handed over as a string, content with images or files as a list of parts.

    Args:
        items: The input items of a request for a response.
        instructions: Becomes the first message.

    Raises:
        InvalidRequest: An item or a part has no form in a chat.
    """
    messages: list[Message] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    for index, item in enumerate(items):
        _add(item, messages, where=f"input[{index}]")
    return messages


def _add(item: _Object, messages: list[Message], *, where: str) -> None:
    match item.get("type") or "message":
        case "message":
            role = _text(item, "role", where=where) or "user"
            content = _content(item.get("content"), where=f"{where}.content")
            messages.append({"role": role, "content": content})
        case "function_call":
            _add_call(item, messages, where=where)
        case "function_call_output":
            output = _as_text(item.get("output"))
            call_id = _text(item, "call_id", where=where)
            messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
        case "reasoning":
            pass  # a chat's messages have no place for it, and models are not shown it again
        case kind:
            raise InvalidRequest(
                f"An input item of type {kind!r} cannot be given to this model.",
                hint="It takes messages, function calls and their outputs.",
                param="input",
            )


def _add_call(item: _Object, messages: list[Message], *, where: str) -> None:
    """All calls of one turn belong to one message."""
    name = _text(item, "name", where=where)
    arguments = _text(item, "arguments", where=where) or "{}"
    call = {
        "id": _text(item, "call_id", where=where) or _text(item, "id", where=where),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(call)


def _as_text(output: object) -> str:
    """What a tool of the client gave, which may be anything."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        parts = cast(list[object], output)
        texts = [cast(_Object, part).get("text") for part in parts if _is_text(part)]
        if len(texts) == len(parts) and all(isinstance(text, str) for text in texts):
            return "\n".join(cast(list[str], texts))
    return json.dumps(output, ensure_ascii=False)


def _content(content: object, *, where: str) -> Any:
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _unfit(where, "text or a list of parts")
    parts = [
        _chat_part(part, where=f"{where}[{index}]")
        for index, part in enumerate(cast(list[object], content))
    ]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and cast(_Object, part).get("type") in _TEXT_PARTS


def _chat_part(content: object, *, where: str) -> _Object:
    if not isinstance(content, dict):
        raise _unfit(where, "an object")
    part = cast(_Object, content)
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": _text(part, "text", where=where) or ""}
        case "refusal":
            return {"type": "refusal", "refusal": _text(part, "refusal", where=where) or ""}
        case "input_image" if part.get("image_url"):
            url = _text(part, "image_url", where=where)
            detail = _text(part, "detail", where=where) or "auto"
            return {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        case "input_file" if not part.get("file_url"):
            names = ("file_id", "file_data", "filename")
            file = {name: _text(part, name, where=where) for name in names if name in part}
            return {"type": "file", "file": file}
        case kind:
            raise InvalidRequest(
                f"A content part of type {kind!r} cannot be given to this model in that form.",
                hint="It takes text, images by URL, and files by id or with their data.",
                param="input",
            )


def _text(of: _Object, name: str, *, where: str) -> str | None:
    value: object = of.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _unfit(f"{where}.{name}", "text")


def _unfit(where: str, expected: str) -> InvalidRequest:
    return InvalidRequest(f"{where!r} has to be {expected}.", param=where)


def events_of_completion(completion: _Object) -> list[Delta]:
    """What a chat completion, or one chunk of it, says; only the first choice counts."""
    choices: Sequence[_Object] = completion.get("choices") or []
    if not choices:
        return []
    said: _Object = choices[0].get("message") or choices[0].get("delta") or {}
    found: list[Delta] = []
    if said.get("reasoning_content"):
        found.append(ReasoningDelta(said["reasoning_content"]))
    text = said.get("content") or said.get("refusal")
    if text:
        found.append(TextDelta(text))
    found += [_call(call, index) for index, call in enumerate(said.get("tool_calls") or [])]
    reason = choices[0].get("finish_reason")
    if reason in _FINISH_REASONS:
        found.append(ModelFinished(reason))
    return found


def _call(call: _Object, index: int) -> ToolCallDelta:
    function: _Object = call.get("function") or {}
    return ToolCallDelta(
        index=call.get("index", index),
        id=call.get("id"),
        name=function.get("name"),
        arguments=function.get("arguments") or "",
    )
