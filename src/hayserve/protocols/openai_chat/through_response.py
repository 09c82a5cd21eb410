"""Serves chat completions through a wrapper's response method: its request there, its answer back.

Source: https://platform.openai.com/docs/guides/migrate-to-responses
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from hayserve.errors import InvalidRequest
from hayserve.events import Delta, ModelFinished, ReasoningDelta, TextDelta, ToolCallDelta

RESPONSE = "response"

_Object: TypeAlias = Mapping[str, Any]
Item: TypeAlias = dict[str, Any]

# What a response says in other words, and what the server does itself; all else is called the same.
_SAID_OTHERWISE = (
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "reasoning_effort",
    "response_format",
    "tool_choice",
    "tools",
    "verbosity",
)
_OF_THE_SERVER = ("logprobs", "n", "store", "stream_options", "top_logprobs")
# What a response has no word for. A value that asks for nothing may be sent all the same.
_NEVER = (
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "modalities",
    "prediction",
    "presence_penalty",
    "seed",
    "stop",
    "web_search_options",
)
_ROLES = ("assistant", "developer", "system", "user")


def response_body(body: _Object, items: Sequence[Item]) -> dict[str, Any]:
    """The body of a request for a response that asks for the same as `body`, a chat's.

    Raises:
        InvalidRequest: It asks for what has no form there.
    """
    _refuse_what_has_no_form(body)
    changed = (*_SAID_OTHERWISE, *_OF_THE_SERVER, *_NEVER)
    effort = body.get("reasoning_effort")
    tools = _list(body.get("tools"), where="tools")
    asked = {
        **{name: value for name, value in body.items() if name not in changed},
        "input": list(items),
        "max_output_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "reasoning": {"effort": effort} if effort else None,
        "text": _text(body.get("response_format"), body.get("verbosity")),
        "tools": [_tool(tool, where=f"tools[{index}]") for index, tool in enumerate(tools)] or None,
        "tool_choice": _tool_choice(body.get("tool_choice")),
    }
    return {name: value for name, value in asked.items() if value is not None}


def _refuse_what_has_no_form(body: _Object) -> None:
    for name in _NEVER:
        if _asks_for_something(name, body.get(name)):
            raise InvalidRequest(
                f"{name!r} cannot be given to this model.",
                hint="Leave it out, or give the wrapper a `run_chat_completion`.",
                param=name,
            )


def _asks_for_something(name: str, value: object) -> bool:
    if name == "modalities":
        return value not in (None, ["text"])
    return value is not None if name == "seed" else bool(value)


def _text(form: object, verbosity: object) -> dict[str, Any] | None:
    asked: dict[str, Any] = {}
    if form is not None:
        given = _object(form, where="response_format")
        schema = _object(given.get("json_schema") or {}, where="response_format.json_schema")
        asked["format"] = {"type": given.get("type"), **schema}
    if verbosity is not None:
        asked["verbosity"] = verbosity
    return asked or None


def _tool(tool: object, *, where: str) -> _Object:
    """What describes a function is not nested here; chats have no other tools."""
    given = _object(tool, where=where)
    if given.get("type") != "function":
        raise InvalidRequest(
            f"{where!r} is of the type {given.get('type')!r}, which cannot be given to this model.",
            hint="It takes tools of type 'function'.",
            param=where,
        )
    function = _object(given.get("function"), where=f"{where}.function")
    return {"type": "function", **function}


def _tool_choice(choice: object) -> object:
    where = "tool_choice"
    if choice is None or isinstance(choice, str):
        return choice
    chosen = _object(choice, where=where)
    if chosen.get("type") != "allowed_tools":
        return _tool(chosen, where=where)
    at = f"{where}.allowed_tools"
    allowed = _object(chosen.get("allowed_tools"), where=at)
    tools = _list(allowed.get("tools"), where=f"{at}.tools")
    flat = [_tool(tool, where=f"{at}.tools[{index}]") for index, tool in enumerate(tools)]
    return {"type": "allowed_tools", **allowed, "tools": flat}


def input_items(messages: Sequence[_Object]) -> list[Item]:
    """The conversation as items.

    Raises:
        InvalidRequest: A message, or a part of one, has no form as an item.
    """
    items: list[Item] = []
    for index, message in enumerate(messages):
        items += _items(message, where=f"messages[{index}]")
    return items


def _items(message: _Object, *, where: str) -> list[Item]:
    role, content = message["role"], message.get("content")
    if role == "tool":
        output = _said(content, where=f"{where}.content")
        return [_item("function_call_output", call_id=message.get("tool_call_id"), output=output)]
    if role not in _ROLES:
        raise InvalidRequest(
            f"'{where}.role' is {role!r}, which cannot be given to this model.",
            hint=f"Use one of {', '.join(_ROLES)}, tool.",
            param=f"{where}.role",
        )
    items: list[Item] = []
    if content is not None:
        said = _content(content, role=role, where=f"{where}.content")
        items.append(_item("message", role=role, content=said))
    if refusal := message.get("refusal"):
        parts = [{"type": "refusal", "refusal": refusal}]
        items.append(_item("message", role=role, content=parts))
    calls = _list(message.get("tool_calls"), where=f"{where}.tool_calls")
    items += [_call(call, where=f"{where}.tool_calls[{i}]") for i, call in enumerate(calls)]
    return items


def _item(kind: str, **fields: object) -> Item:
    return {"type": kind, **fields}


def _call(call: object, *, where: str) -> Item:
    given = _object(call, where=where)
    function = _object(given.get("function"), where=f"{where}.function")
    arguments = function.get("arguments") or "{}"
    name = function.get("name")
    return _item("function_call", call_id=given.get("id"), name=name, arguments=arguments)


def _said(content: object, *, where: str) -> object:
    """What a tool of the client gave."""
    if not isinstance(content, list):
        return content
    parts = [
        _object(part, where=f"{where}[{index}]")
        for index, part in enumerate(cast(list[object], content))
    ]
    return "\n".join(str(part.get("text", "")) for part in parts)


def _content(content: object, *, role: str, where: str) -> object:
    if isinstance(content, str):
        return content
    parts = _list(content, where=where)
    return [_part(part, role=role, where=f"{where}[{index}]") for index, part in enumerate(parts)]


def _part(content: object, *, role: str, where: str) -> Item:
    part = _object(content, where=where)
    match part.get("type"):
        case "text":
            kind = "output_text" if role == "assistant" else "input_text"
            return _item(kind, text=part.get("text", ""))
        case "refusal":
            return _item("refusal", refusal=part.get("refusal", ""))
        case "image_url":
            return _image(part.get("image_url"), where=f"{where}.image_url")
        case "file":
            return _item("input_file", **_object(part.get("file"), where=f"{where}.file"))
        case "input_audio":
            sound = _object(part.get("input_audio"), where=f"{where}.input_audio")
            return _item("input_audio", input_audio=sound)
        case kind:
            raise InvalidRequest(
                f"{where!r} is of the type {kind!r}, which cannot be given to this model.",
                hint="It takes text, images, files and audio.",
                param=where,
            )


def _image(image: object, *, where: str) -> Item:
    if isinstance(image, str):  # some clients send the URL without the object around it
        image = {"url": image}
    given = _object(image, where=where)
    detail = given.get("detail") or "auto"
    return _item("input_image", image_url=given.get("url"), detail=detail)


def _object(value: object, *, where: str) -> _Object:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{where!r} has to be an object.", param=where)
    return cast(_Object, value)


def _list(value: object, *, where: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest(f"{where!r} has to be a list.", param=where)
    return cast(list[object], value)


def events_of_response(response: _Object) -> list[Delta]:
    """What a response object that a wrapper has built says, as a chat says it."""
    found: list[Delta] = []
    calls = 0
    for item in response.get("output") or ():
        match item.get("type"):
            case "message":
                found += map(TextDelta, _texts(item.get("content")))
            case "reasoning":
                said = _texts(item.get("summary")) or _texts(item.get("content"))
                found += map(ReasoningDelta, said)
            case "function_call":
                call_id, name = item.get("call_id"), item.get("name")
                arguments = item.get("arguments") or ""
                found.append(ToolCallDelta(calls, id=call_id, name=name, arguments=arguments))
                calls += 1
            case _:
                pass  # what was executed is no order to the client
    reason: _Object = response.get("incomplete_details") or {}
    if reason.get("reason") == "max_output_tokens":
        found.append(ModelFinished("length"))
    if reason.get("reason") == "content_filter":
        found.append(ModelFinished("content_filter"))
    return found


def _texts(parts: Sequence[_Object] | None) -> list[str]:
    said = (part.get("text") or part.get("refusal") for part in parts or ())
    return [str(text) for text in said if text]


def usage_of_response(response: _Object) -> dict[str, Any] | None:
    """What such a response says that it used, in the words of a chat."""
    usage: _Object | None = response.get("usage")
    if usage is None:
        return None
    read, written = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": usage.get("total_tokens") or read + written,
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }


def failure_in(made: _Object) -> str | None:
    """Why an object that a wrapper has built is a response without an answer; None if it is not."""
    if made.get("object") != RESPONSE or made.get("status") != "failed":
        return None
    error: _Object = made.get("error") or {}
    return str(error.get("message") or "it gives no reason.")
