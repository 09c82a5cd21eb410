"""Writes the items that clients send in the one form in which they are kept and given back.

Source: https://platform.openai.com/docs/api-reference/responses/input-items
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_responses.response_object import item_key

Item: TypeAlias = Mapping[str, Any]
T = TypeVar("T")

LONGEST_ID = 64

_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
}
# The items of an answer count from 0; those that were sent for it, from here on.
_FIRST = 0xF000_0000


def kept_items(items: Sequence[Item], *, run_id: str) -> list[Item]:
    """The items with an id each, messages with their content as parts.

    Args:
        items: What was sent.
        run_id: What new ids are made of.
    """
    return [
        _kept(item, item_key(run_id, _FIRST + index)) for index, item in enumerate(plain(items))
    ]


def kept_response(response: Mapping[str, Any]) -> dict[str, Any]:
    """A response object as it is kept, whatever a wrapper has put into it."""
    whole = dict(plain(response))
    output: object = whole.get("output")
    items = cast(list[object], output) if isinstance(output, list) else []
    return {**whole, "output": [item for item in items if isinstance(item, dict)]}


def plain(value: T) -> T:
    """`value` as it comes back from a database, which takes nothing but JSON."""
    return cast(T, json.loads(to_json(value)))


def _kept(item: Item, key: str) -> Item:
    kind = str(item.get("type") or "message")
    whole: dict[str, Any] = {**item, "type": kind}
    if not _is_id(item.get("id")):
        whole["id"] = f"{_PREFIXES.get(kind, 'item')}_{key}"
    if kind in ("message", "function_call", "function_call_output"):
        whole["status"] = item.get("status") or "completed"
    if kind == "message":
        role = str(item.get("role") or "user")
        whole |= {"role": role, "content": _parts(item, role)}
    return whole


def _is_id(value: object) -> bool:
    """Whether an item can be kept under it."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return False
    return 0 < len(value) <= LONGEST_ID


def _parts(message: Item, role: str) -> list[Item]:
    content: object = message.get("content")
    if not isinstance(content, str):
        return cast(list[Item], content or [])
    if role == "assistant":
        return [{"type": "output_text", "text": content, "annotations": [], "logprobs": []}]
    return [{"type": "input_text", "text": content}]
