"""Puts items in the place of references to them, which some clients send instead.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from hayserve.errors import InvalidRequest, NotFound, TooLarge
from hayserve.kept.responses import Kept
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_responses.kept_items import Item
from hayserve.protocols.openai_responses.response_object import response_id

Find = Callable[[str], Awaitable[Kept]]

# How large the items may be together that a request refers to, in bytes of JSON. Each counts as
# often as it is referred to, for so often it is kept and given to the wrapper. It is as much as a
# body may have unless the settings say otherwise: who refers to items gets no more in than who
# sends them.
MOST_BYTES = 20_000_000

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
        TooLarge: The items that are referred to are more than `MOST_BYTES`.
    """
    mentions = Counter(_id_in(item) for item in sent if _is_reference(item))
    found = _Found(mentions)
    found.take_from(earlier)
    for id_ in mentions:
        if id_ not in found.items:
            await _look_up(id_, found, find)
    return [found.items[_id_in(item)] if _is_reference(item) else item for item in sent]


class _Found:
    """The items that are referred to, as far as they are found.

    Args:
        mentions: How often each of them is referred to.
    """

    def __init__(self, mentions: Mapping[str, int]) -> None:
        self._mentions = mentions
        self._room = MOST_BYTES
        self.items: dict[str, Item] = {}

    def take_from(self, items: Sequence[Item], *, of_run: str | None = None) -> None:
        """Take what is referred to, of a run if one is named.

        Raises:
            TooLarge: There is no more room.
        """
        for item in items:
            id_: object = item.get("id")
            if not isinstance(id_, str) or id_ not in self._mentions or id_ in self.items:
                continue
            if of_run in (None, _run_of(id_)):
                self._make_room(len(to_json(item)) * self._mentions[id_])
                self.items[id_] = item

    def _make_room(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise TooLarge(
                "The items that the request refers to are larger together than "
                f"{MOST_BYTES // 1_000_000} MB.",
                hint="Refer to fewer items, and to each of them once.",
                param="input",
            )


async def _look_up(id_: str, found: _Found, find: Find) -> None:
    """Find an item in what is kept, and all else that is referred to of the same run."""
    if (run := _run_of(id_)) is not None:
        with suppress(NotFound):
            kept = await find(response_id(run))
            found.take_from([*kept.input, *kept.body["output"]], of_run=run)
    if id_ not in found.items:
        raise InvalidRequest(
            f"Item with id {id_!r} not found.",
            hint="Items are kept with their response, unless it was made with `store: false`.",
            param="input",
        )


def _run_of(id_: str) -> str | None:
    """The run that made an item: its id begins with it, as that of the run's response does."""
    of_a_run = _OF_A_RUN.fullmatch(id_)
    return of_a_run and of_a_run[1]


def _is_reference(item: Item) -> bool:
    return item.get("type") == _REFERENCE


def _id_in(reference: Item) -> str:
    return str(reference.get("id"))
