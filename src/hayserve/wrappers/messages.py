"""The conversations that clients send, and how they become Haystack's messages."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from haystack.dataclasses import ChatMessage, ToolCall

from hayserve.errors import InvalidRequest
from hayserve.wrappers.content_parts import (
    is_list,
    is_mapping,
    parts_of,
    string_of,
    text_and_refusal_of,
    text_of,
    wrong_type,
)


def is_user_message(msg: Any) -> bool:
    """Tell whether a chat message comes from the user.

    Args:
        msg: A message as a dict, or an object with the attribute `role`.
    """
    return bool(_field(msg, "role") == "user")


def get_content(msg: Any) -> Any:
    """Return what a chat message says.

    Args:
        msg: A message as a dict, or an object with the attribute `content`.

    Returns:
        The text; for a multimodal message its list of parts; `""` if there is no content.
    """
    if is_mapping(msg):
        return msg.get("content", "")
    return _field(msg, "content") or ""


def get_last_user_message(messages: Sequence[Any]) -> Any:
    """Return what the user said last.

    Args:
        messages: Chat messages in OpenAI's form, as dicts or as objects with `role` and `content`.

    Returns:
        The text of the last message with the role "user"; its list of parts if it is multimodal
        (`chat_messages_from_openai` reads those); None if the user said nothing.

    Example:
        ```python
        from hayserve.wrappers.messages import get_last_user_message

        messages = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi!"},
            {"role": "user", "content": "What is Haystack?"},
        ]
        print(get_last_user_message(messages))
        #> What is Haystack?
        ```
    """
    for message in reversed(messages):
        if is_user_message(message):
            return get_content(message)
    return None


def get_last_user_input_text(input_items: Sequence[Any]) -> str | None:
    """Return the text that the user sent last, from the input of a Responses request.

    Args:
        input_items: Input items in OpenAI's form. Only dicts of the type "message", or without a
            type, are read.

    Returns:
        The content of the last user message that has text: the string, or the last of its
        `input_text` parts; None if there is none.

    See https://platform.openai.com/docs/api-reference/responses/create#responses-create-input.
    """
    for item in reversed(input_items):
        if not (is_mapping(item) and is_user_message(item)):
            continue
        if item.get("type") not in ("message", None):
            continue
        content = item.get("content")
        if isinstance(content, str):
            return content
        texts = [part.get("text") for part in _parts(content) if part.get("type") == "input_text"]
        if texts:
            return texts[-1] if isinstance(texts[-1], str) else None
    return None


def get_input_files(input_items: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the files that the user attached, from the input of a Responses request.

    Args:
        input_items: Input items in OpenAI's form.

    Returns:
        The `input_file` parts of all user messages that carry a `file_id`, as they were sent.
    """
    return [
        part
        for item in input_items
        if is_mapping(item) and is_user_message(item)
        for part in _parts(item.get("content"))
        if part.get("type") == "input_file" and part.get("file_id")
    ]


def chat_messages_from_openai_response(input_items: Sequence[Any]) -> list[ChatMessage]:
    """Turn the input of a Responses request into Haystack's chat messages.

    Messages keep their text: parts are joined by newlines, images and files are left out, and a
    message without text is left out as a whole. "developer" becomes "system". A `function_call`
    becomes an assistant's message with a tool call, a `function_call_output` a tool's message that
    belongs to it. What is none of these is skipped.

    Args:
        input_items: Input items in OpenAI's form.

    Returns:
        The conversation, for an agent's or a chat generator's `messages`.
    """
    messages: list[ChatMessage] = []
    calls: dict[str, ToolCall] = {}
    for item in input_items:
        message = _from_input_item(item, calls=calls) if is_mapping(item) else None
        if message is not None:
            messages.append(message)
            calls.update(_by_id(message))
    return messages


def chat_messages_from_openai(messages: Sequence[Any]) -> list[ChatMessage]:
    """Turn the messages of a chat completion request into Haystack's chat messages.

    Unlike Haystack's `ChatMessage.from_openai_dict_format`, this gives each tool result the name of
    the tool that it answers, takes empty texts, and says which field of which message is wrong.

    Args:
        messages: Chat messages in OpenAI's form. "developer" becomes "system". Images and files of
            user messages must be sent inline, as base64 data URLs; nothing is fetched.

    Returns:
        The conversation, for an agent's or a chat generator's `messages`.

    Raises:
        InvalidRequest: A message cannot be converted; `param` says where, as in
            `messages[2].content[0].image_url.url`.

    Example:
        ```python
        from hayserve.wrappers.messages import chat_messages_from_openai

        messages = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
        print(chat_messages_from_openai(messages)[0].text)
        #> Hello
        ```

    See https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages.
    """
    converted: list[ChatMessage] = []
    calls: dict[str, ToolCall] = {}
    for index, message in enumerate(messages):
        converted.append(_from_chat(message, where=f"messages[{index}]", calls=calls))
        calls.update(_by_id(converted[-1]))
    return converted


def _from_input_item(
    item: Mapping[str, Any], *, calls: Mapping[str, ToolCall]
) -> ChatMessage | None:
    match item.get("type"):
        case "function_call":
            return _call_item(item)
        case "function_call_output":
            return _output_item(item, calls=calls)
        case _:
            return _message_item(item)


def _call_item(item: Mapping[str, Any]) -> ChatMessage:
    call = ToolCall(
        tool_name=item.get("name") or "function",
        arguments=_lenient_arguments(item.get("arguments")),
        id=_call_id(item) or f"call_{uuid4().hex[:24]}",
    )
    return ChatMessage.from_assistant(tool_calls=[call])


def _output_item(item: Mapping[str, Any], *, calls: Mapping[str, ToolCall]) -> ChatMessage:
    output = item.get("output", "")
    return ChatMessage.from_tool(
        tool_result=output if isinstance(output, str) else json.dumps(output),
        origin=_origin(_call_id(item), calls=calls),
    )


def _message_item(item: Mapping[str, Any]) -> ChatMessage | None:
    content = item.get("content")
    texts = [content] if isinstance(content, str) else [p.get("text") for p in _parts(content)]
    text = "\n".join(text for text in texts if isinstance(text, str) and text)
    match item.get("role"):
        case "user" if text:
            return ChatMessage.from_user(text)
        case "system" | "developer" if text:
            return ChatMessage.from_system(text)
        case "assistant" if text:
            return ChatMessage.from_assistant(text)
        case _:
            return None


def _from_chat(message: object, *, where: str, calls: Mapping[str, ToolCall]) -> ChatMessage:
    if not is_mapping(message):
        raise wrong_type(message, "an object with `role` and `content`", where=where)
    name = _optional(message, "name", where=where)
    content, at = message.get("content"), f"{where}.content"
    match message.get("role"):
        case "user" if isinstance(content, str):
            return ChatMessage.from_user(content, name=name)
        case "user":
            return ChatMessage.from_user(content_parts=parts_of(content, where=at), name=name)
        case "system" | "developer":
            return ChatMessage.from_system(text_of(content, where=at), name=name)
        case "assistant":
            return _from_assistant(message, where=where, name=name)
        case "tool":
            call_id = _optional(message, "tool_call_id", where=where)
            origin = _origin(call_id, calls=calls, name=name)
            return ChatMessage.from_tool(text_of(content, where=at), origin=origin)
        case role:
            raise InvalidRequest(
                f"{where}.role is {role!r}.",
                hint="Use one of user, assistant, system, developer, tool.",
                param=f"{where}.role",
            )


def _from_assistant(message: Mapping[str, Any], *, where: str, name: str | None) -> ChatMessage:
    text, refusal = text_and_refusal_of(message.get("content"), where=f"{where}.content")
    if message.get("refusal"):
        refusal = string_of(message, "refusal", where=where)
    calls = _tool_calls(message.get("tool_calls") or [], where=f"{where}.tool_calls")
    if text is None and not (calls or refusal):
        raise InvalidRequest(
            f"{where} has no content.",
            hint="An assistant's message needs `content`, `tool_calls` or `refusal`.",
            param=f"{where}.content",
        )
    # Haystack has no content for a refusal; its OpenAI generators send it back from here.
    meta = {"refusal": refusal} if refusal else None
    return ChatMessage.from_assistant(text, meta=meta, name=name, tool_calls=calls)


def _tool_calls(calls: object, *, where: str) -> list[ToolCall]:
    if not is_list(calls):
        raise wrong_type(calls, "a list of tool calls", where=where)
    return [_tool_call(call, where=f"{where}[{index}]") for index, call in enumerate(calls)]


def _tool_call(call: object, *, where: str) -> ToolCall:
    function = call.get("function") if is_mapping(call) else None
    at = f"{where}.function"
    if not (is_mapping(call) and is_mapping(function)):
        raise wrong_type(function, "an object with `name` and `arguments`", where=at)
    return ToolCall(
        tool_name=string_of(function, "name", where=at),
        arguments=_arguments(function.get("arguments"), where=f"{at}.arguments"),
        id=_optional(call, "id", where=where),
    )


def _arguments(raw: object, *, where: str) -> dict[str, Any]:
    """Arguments as a dict; servers that are nearly OpenAI's also send an object or nothing."""
    try:
        arguments: object = json.loads(raw) if isinstance(raw, str) and raw else raw or {}
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{where} is not JSON: {error}.", param=where) from error
    if not is_mapping(arguments):
        raise wrong_type(arguments, "a JSON object", where=where)
    return dict(arguments)


def _lenient_arguments(raw: object) -> dict[str, Any]:
    try:
        return _arguments(raw, where="arguments")
    except InvalidRequest:  # the Responses contract: what cannot be read is no argument
        return {}


def _origin(call_id: object, *, calls: Mapping[str, ToolCall], name: str | None = None) -> ToolCall:
    known = calls.get(call_id) if isinstance(call_id, str) else None
    if known is not None:
        return known
    return ToolCall(
        tool_name=name or "function", arguments={}, id=str(call_id) if call_id else None
    )


def _by_id(message: ChatMessage) -> dict[str, ToolCall]:
    return {call.id: call for call in message.tool_calls if call.id}


def _call_id(item: Mapping[str, Any]) -> str | None:
    ids = (item.get("call_id"), item.get("id"))
    return next((value for value in ids if isinstance(value, str) and value), None)


def _parts(content: object) -> list[dict[str, Any]]:
    """The parts of a content that is a list; no parts if it is anything else."""
    if not is_list(content):
        return []
    return [part for part in content if isinstance(part, dict)]


def _optional(message: Mapping[str, Any], key: str, *, where: str) -> str | None:
    return None if message.get(key) is None else string_of(message, key, where=where)


def _field(msg: object, name: str) -> Any:
    if is_mapping(msg):
        return msg.get(name)
    return getattr(msg, name, None)
