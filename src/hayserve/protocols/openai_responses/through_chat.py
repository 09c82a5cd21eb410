"""Serves the Responses API through a wrapper's chat method: its request there, its answer back."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hayserve.errors import InvalidRequest
from hayserve.events import Delta, ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta
from hayserve.protocols.tool_output import output_text

Message = dict[str, Any]
_Object = Mapping[str, Any]

# What a chat says in other words, and what the server does itself; all else is called the same.
_SAID_OTHERWISE = (
    "input",
    "instructions",
    "max_output_tokens",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
)
_OF_THE_SERVER = (
    "background",
    "conversation",
    "include",
    "previous_response_id",
    "store",
    "stream_options",
    "truncation",
)
_FINISH_REASONS = ("stop", "length", "tool_calls", "content_filter")


def chat_body(body: _Object, messages: Sequence[Message]) -> dict[str, Any]:
    """The body of a chat request that asks for the same as `body`, a request for a response.

    Raises:
        InvalidRequest: A tool has no form in a chat.
    """
    reasoning: _Object = body.get("reasoning") or {}
    text: _Object = body.get("text") or {}
    tools: Sequence[_Object] = body.get("tools") or ()
    changed = (*_SAID_OTHERWISE, *_OF_THE_SERVER)
    asked = {
        **{name: value for name, value in body.items() if name not in changed},
        "messages": list(messages),
        "max_completion_tokens": body.get("max_output_tokens"),
        "reasoning_effort": reasoning.get("effort"),
        "response_format": _response_format(text.get("format")),
        "verbosity": text.get("verbosity"),
        "tools": [_chat_tool(tool) for tool in tools] or None,
        "tool_choice": _chat_tool_choice(body.get("tool_choice")),
    }
    return {name: value for name, value in asked.items() if value is not None}


def _response_format(form: _Object | None) -> _Object | None:
    """Chat nests what describes a schema."""
    if form is None or form.get("type") != "json_schema":
        return form
    return {"type": "json_schema", "json_schema": _without_type(form)}


def _chat_tool(given: object, *, param: str = "tools") -> _Object:
    """Chat nests what describes a function; tools of other types have no form in chat."""
    tool = cast(_Object, given if isinstance(given, dict) else {})
    if tool.get("type") != "function":
        raise InvalidRequest(
            f"A tool of type {tool.get('type')!r} cannot be given to this model.",
            hint="It takes tools of type 'function'.",
            param=param,
        )
    if not isinstance(tool.get("name"), str):
        raise InvalidRequest(
            "A function tool has no name.",
            hint="Its `name`, `description` and `parameters` stand beside its `type` here.",
            param=param,
        )
    return {"type": "function", "function": _without_type(tool)}


def _chat_tool_choice(choice: object) -> object:
    if not isinstance(choice, dict):
        return choice
    chosen = cast(_Object, choice)
    if chosen.get("type") != "allowed_tools":
        return _chat_tool(chosen, param="tool_choice")
    allowed: object = chosen.get("tools")
    if not isinstance(allowed, list):
        raise _unfit("tool_choice.tools", "a list")
    tools = [_chat_tool(tool, param="tool_choice") for tool in cast(list[object], allowed)]
    return {"type": "allowed_tools", "allowed_tools": {**_without_type(chosen), "tools": tools}}


def _without_type(described: _Object) -> _Object:
    return {name: value for name, value in described.items() if name != "type"}


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
            output = output_text(item.get("output"))
            call_id = _text(item, "call_id", where=where)
            messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
        case "mcp_call":
            _add_executed(item, messages, where=where)
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


def _add_executed(item: _Object, messages: list[Message], *, where: str) -> None:
    """A call that the agent has executed itself, and what came of it."""
    call_id = _text(item, "id", where=where)
    _add_call({**item, "call_id": call_id}, messages, where=where)
    output: object = item.get("output")
    error: object = item.get("error")
    said = output_text(output if error is None else error)
    messages.append({"role": "tool", "tool_call_id": call_id, "content": said})


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
        case "input_audio":
            return {"type": "input_audio", "input_audio": _audio(part, where=where)}
        case "input_file" if not part.get("file_url"):
            names = ("file_id", "file_data", "filename")
            file = {name: _text(part, name, where=where) for name in names if name in part}
            return {"type": "file", "file": file}
        case kind:
            raise InvalidRequest(
                f"A content part of type {kind!r} cannot be given to this model in that form.",
                hint="It takes text, audio, images by URL, and files by id or with their data.",
                param="input",
            )


def _audio(part: _Object, *, where: str) -> _Object:
    sound: object = part.get("input_audio")
    at = f"{where}.input_audio"
    if not isinstance(sound, dict):
        raise _unfit(at, "an object")
    given = cast(_Object, sound)
    return {name: _text(given, name, where=at) for name in ("data", "format")}


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
