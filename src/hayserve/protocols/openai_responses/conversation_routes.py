"""The endpoints of conversations: `/v1/conversations` and what is below it.

Source: https://platform.openai.com/docs/api-reference/conversations
"""

import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from hayserve.access.identity import owner_of
from hayserve.access.rules import Rule
from hayserve.errors import InvalidRequest, NotFound
from hayserve.kept.conversations import Conversation
from hayserve.protocols.call import Reading
from hayserve.protocols.described import (
    BODY,
    KEPT,
    Deleted,
    Described,
    DescribedRoute,
    openai_routes,
)
from hayserve.protocols.json_answer import json_answer
from hayserve.protocols.json_object import json_object
from hayserve.protocols.notes import Notes, notes_in
from hayserve.protocols.openai_responses.kept_items import Item, kept_items
from hayserve.protocols.openai_responses.objects import (
    MOST_NEW_ITEMS,
    ConversationObject,
    ItemObject,
    NewConversation,
    NewItems,
)
from hayserve.protocols.openai_responses.turns import Turns, not_kept
from hayserve.protocols.pages import Page, PageQuery, page, page_of

_CHANGES = (*BODY, *KEPT)
_MADE = Described(
    allows=Rule.RUN,
    takes=NewConversation,
    is_optional=True,
    answers=ConversationObject,
    errors=_CHANGES,
)
_GIVEN = Described(allows=Rule.RUN, answers=ConversationObject, errors=KEPT)
_NOTED = Described(
    allows=Rule.RUN, takes=Notes, is_optional=True, answers=ConversationObject, errors=_CHANGES
)
_DELETED = Described(allows=Rule.RUN, answers=Deleted, errors=KEPT)
_LISTED = Described(allows=Rule.RUN, query=PageQuery, answers=Page, errors=(InvalidRequest, *KEPT))
_ADDED = Described(allows=Rule.RUN, takes=NewItems, is_optional=True, answers=Page, errors=_CHANGES)
_GIVEN_ITEM = Described(allows=Rule.RUN, answers=ItemObject, errors=KEPT)


class ConversationRoutes:
    """Keeps conversations for clients.

    Args:
        turns: Has them.
        reading: How much of a request is read.
    """

    def __init__(self, turns: Turns, reading: Reading | None = None) -> None:
        self._turns = turns
        self._reading = reading or Reading()

    def routes(self) -> list[DescribedRoute]:
        one = "/conversations/{conversation_id}"
        items, item = f"{one}/items", f"{one}/items/{{item_id}}"
        return openai_routes(
            ("POST", "/conversations", self.create_conversation, _MADE),
            ("GET", one, self.retrieve_conversation, _GIVEN),
            ("POST", one, self.update_conversation, _NOTED),
            ("DELETE", one, self.delete_conversation, _DELETED),
            ("GET", items, self.list_conversation_items, _LISTED),
            ("POST", items, self.create_conversation_items, _ADDED),
            ("GET", item, self.retrieve_conversation_item, _GIVEN_ITEM),
            ("DELETE", item, self.delete_conversation_item, _GIVEN),
        )

    async def create_conversation(self, request: Request) -> Response:
        """Begin a conversation, perhaps with items."""
        body = await json_object(request, self._reading)
        key = secrets.token_hex(12)
        made = Conversation(f"conv_{key}", owner_of(request.scope), notes_in(body), time.time())
        items = kept_items(_items(body), run_id=key)
        await self._turns.call(partial(self._turns.kept.add, made, items))
        return json_answer(_object(made))

    async def retrieve_conversation(self, request: Request) -> Response:
        """Give a conversation, without its items."""
        return json_answer(_object(await self._found(request)))

    async def update_conversation(self, request: Request) -> Response:
        """Replace what is noted of a conversation."""
        notes = notes_in(await json_object(request, self._reading))
        found = await self._found(request)
        note = partial(self._turns.kept.note, found.id, notes, owner=found.owner)
        await self._turns.call(note)
        return json_answer(_object(await self._found(request)))

    async def delete_conversation(self, request: Request) -> Response:
        """Delete a conversation with its items."""
        found = await self._found(request)
        await self._turns.call(partial(self._turns.kept.delete, found.id, owner=found.owner))
        return json_answer({"id": found.id, "object": "conversation.deleted", "deleted": True})

    async def list_conversation_items(self, request: Request) -> Response:
        """List the items of a conversation, the newest first."""
        return json_answer(page(await self._items_of(request), request.query_params))

    async def create_conversation_items(self, request: Request) -> Response:
        """Add items at the end of a conversation."""
        id_ = request.path_params["conversation_id"]
        sent = _items(await json_object(request, self._reading))
        items = kept_items(sent, run_id=secrets.token_hex(12))
        append = partial(self._turns.kept.append, id_, items, owner=owner_of(request.scope))
        kept = await self._turns.call(append)
        if kept is None:
            raise not_kept(id_)
        return json_answer(page_of(kept, has_more=False))

    async def retrieve_conversation_item(self, request: Request) -> Response:
        """Give one item of a conversation."""
        return json_answer(await self._item(request))

    async def delete_conversation_item(self, request: Request) -> Response:
        """Delete one item of a conversation."""
        item, found = await self._item(request), await self._found(request)
        await self._turns.call(partial(self._turns.kept.remove, found.id, str(item["id"])))
        return json_answer(_object(found))

    async def _found(self, request: Request) -> Conversation:
        id_ = request.path_params["conversation_id"]
        return await self._turns.find(id_, owner=owner_of(request.scope))

    async def _items_of(self, request: Request) -> list[Item]:
        found = await self._found(request)
        return await self._turns.call(partial(self._turns.kept.items, found.id))

    async def _item(self, request: Request) -> Item:
        id_ = request.path_params["item_id"]
        for item in await self._items_of(request):
            if item["id"] == id_:
                return item
        raise NotFound(f"The conversation has no item {id_!r}.", param="item_id")


def _items(body: Mapping[str, Any]) -> list[Item]:
    items: object = body.get("items")
    if items is None:
        return []
    if not isinstance(items, list) or len(cast(list[object], items)) > MOST_NEW_ITEMS:
        raise InvalidRequest(
            f"'items' has to be a list of at most {MOST_NEW_ITEMS}.", param="items"
        )
    if not all(isinstance(item, dict) for item in cast(list[object], items)):
        raise InvalidRequest("Each of the 'items' has to be an object.", param="items")
    for index, item in enumerate(cast(list[Item], items)):
        _check(item, where=f"items[{index}]")
    return cast(list[Item], items)


def _check(item: Item, *, where: str) -> None:
    """Refuse what no deployment could be given later."""
    match item:
        case {"type": "item_reference"}:
            raise InvalidRequest(
                f"'{where}' is a reference.", hint="Send the item itself.", param=f"{where}.type"
            )
        case {"type": "function_call" | "function_call_output", **said}:
            if not isinstance(said.get("call_id"), str):
                raise InvalidRequest(f"'{where}' has no call_id.", param=f"{where}.call_id")
        case {"type": str(kind)} if kind not in ("", "message"):
            pass  # of what it is made is its deployment's business
        case _:
            if not isinstance(item.get("content"), str | list):
                raise InvalidRequest(
                    f"'{where}' has no content.",
                    hint="The `content` of a message is a text, or a list of parts.",
                    param=f"{where}.content",
                )


def _object(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created_at),
        "metadata": conversation.metadata,
    }
