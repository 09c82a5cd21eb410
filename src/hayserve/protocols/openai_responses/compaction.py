"""Puts the items of a conversation into one item, and takes them out again.

The text in the item is opaque and no secret: it is the items as compressed JSON, which the client
had before. Nothing is kept on the server for it, and every worker can open it.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import anyio.to_thread
import orjson

from hayserve.errors import InvalidRequest, TooLarge
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.json_object import is_deeper
from hayserve.protocols.openai_responses.kept_items import kept_items

Item: TypeAlias = Mapping[str, Any]
_Said: TypeAlias = tuple[str | None, Item]

COMPACTION = "compaction"
# How long the text of an item may be.
# Source: https://www.openresponses.org/reference
MOST_CHARACTERS = 10 * 1024 * 1024
# How large the items may be that all compactions of one request hold, in bytes of JSON.
MOST_BYTES = 32 * 1024 * 1024

_VERSION = "hs1."


async def compaction_of(items: Sequence[Item], *, id_: str) -> Item:
    """One item that holds `items`.

    Args:
        items: What it holds; none of them is a compaction.
        id_: Its id.

    Raises:
        TooLarge: They do not fit in.
    """
    return {
        "id": id_,
        "type": COMPACTION,
        "encrypted_content": await anyio.to_thread.run_sync(_text_of, items),
    }


async def opened(items: Sequence[Item]) -> list[Item]:
    """`items`, with what compactions among them hold in their place.

    What `/v1/responses/compact` answers has all messages of the user beside the compaction. They
    are in it as well, where they belong, so those that stand before it are left out.

    Raises:
        InvalidRequest: A compaction is not as this server has written it.
        TooLarge: They hold too much.
    """
    if all(item.get("type") != COMPACTION for item in items):
        return list(items)
    return await anyio.to_thread.run_sync(_opened, items)


def is_said_by_user(item: Item) -> bool:
    """Whether an item is a message of the user."""
    kind, role = item.get("type") or "message", item.get("role") or "user"
    return (kind, role) == ("message", "user")


def _text_of(items: Sequence[Item]) -> str:
    data = to_json(items)
    text = _VERSION + base64.urlsafe_b64encode(zlib.compress(data)).decode()
    if len(data) > MOST_BYTES or len(text) > MOST_CHARACTERS:
        raise TooLarge(
            "The conversation is too large to be compacted.",
            hint="Leave out what is not needed any more, such as the contents of files.",
            param="input",
        )
    return text


def _opened(items: Sequence[Item]) -> list[Item]:
    found: list[_Said] = []
    room = MOST_BYTES
    for item in items:
        if item.get("type") != COMPACTION:
            found.append(_said(item))
            continue
        data = _inflated(item.get("encrypted_content"), most=room)
        room -= len(data)
        held = [_said(one) for one in _items_in(data)]
        again = {words for words, _ in held if words is not None}
        found = [*(one for one in found if one[0] not in again), *held]
    return [item for _, item in found]


def _inflated(text: object, *, most: int) -> bytes:
    if not isinstance(text, str) or not text.startswith(_VERSION):
        raise _broken()
    try:
        packed = base64.b64decode(text.removeprefix(_VERSION), altchars=b"-_", validate=True)
        inflating = zlib.decompressobj()
        data = inflating.decompress(packed, most + 1)
    except (ValueError, zlib.error) as error:
        raise _broken() from error
    if len(data) > most:
        raise TooLarge(
            "The compaction holds more than a request may.",
            hint="Send fewer compactions, or the items as they were.",
            param="input",
        )
    if not inflating.eof:
        raise _broken()
    return data


def _items_in(data: bytes) -> list[Item]:
    try:
        items: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _broken() from error
    if not isinstance(items, list) or is_deeper(cast(object, items)):
        raise _broken()
    if not all(isinstance(item, dict) for item in cast(list[object], items)):
        raise _broken()
    return cast(list[Item], items)


def _said(item: Item) -> _Said:
    """An item after what it says, in whichever form it was sent, if its user says it."""
    if not is_said_by_user(item):
        return None, item
    [kept] = kept_items([item], run_id="")
    return json.dumps(kept["content"], sort_keys=True), item


def _broken() -> InvalidRequest:
    return InvalidRequest(
        "The compaction is not as this server has written it.",
        hint="Send the item as `/v1/responses/compact` gave it, or the items that it stands for.",
        param="input",
    )
