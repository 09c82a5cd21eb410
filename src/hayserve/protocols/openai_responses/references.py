"""Puts items in the place of references to them, which some clients send instead.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from hayserve.errors import InvalidRequest, NotFound
from hayserve.kept.responses import Kept
from hayserve.protocols.openai_responses.kept_items import Item
from hayserve.protocols.openai_responses.response_object import response_id

Find = Callable[[str], Awaitable[Kept]]

_REFERENCE = "item_reference"
_OF_A_RUN = re.compile(r"[a-z]+_([0-9a-f]{24})[0-9a-f]{8}")


async def resolved(sent: Sequence[Item], earlier: Sequence[Item], *, find: Find) -> list[Item]:
    """The items of a request, with what they refer to.

    Args:
        sent: The items.
        earlier: What was said before, to which they may refer, too.
        find: Finds a response that is kept, by its id.

    Raises:
        InvalidRequest: There is no such item.
    """
    return [
        await _referred(item, earlier, find) if item.get("type") == _REFERENCE else item
        for item in sent
    ]


async def _referred(reference: Item, earlier: Sequence[Item], find: Find) -> Item:
    id_ = str(reference.get("id"))
    items = list(earlier)
    # The id of an item begins with the run that made it, as that of the run's response does.
    if (of_a_run := _OF_A_RUN.fullmatch(id_)) is not None:
        with suppress(NotFound):
            kept = await find(response_id(of_a_run[1]))
            items += [*kept.input, *kept.body["output"]]
    for item in items:
        if item.get("id") == id_:
            return item
    raise InvalidRequest(
        f"Item with id {id_!r} not found.",
        hint="Items are kept with their response, unless it was made with `store: false`.",
        param="input",
    )
