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
from starlette.routing import Route

from hayserve.errors import InvalidRequest, NotFound
from hayserve.kept.conversations import Conversation
from hayserve.protocols.call import Reading
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.json_object import json_object
from hayserve.protocols.openai_responses.kept_items import Item, kept_items
from hayserve.protocols.openai_responses.turns import Turns, not_kept
from hayserve.protocols.owner import owner_of
from hayserve.protocols.pages import page

MOST_ITEMS = 20
MOST_NOTES, LONGEST_NAME, LONGEST_NOTE = 16, 64, 512


class ConversationRoutes:
    """Keeps conversations for clients.

    Args:
        turns: Has them.
        reading: How much of a request is read.
    """

    def __init__(self, turns: Turns, reading: Reading | None = None) -> None:
        self._turns = turns
        self._reading = reading or Reading()

    def routes(self) -> list[Route]:
        all_ = "/conversations"
        one, items = f"{all_}/{{conversation_id}}", f"{all_}/{{conversation_id}}/items"
        return [
            Route(f"{prefix}{path}", endpoint, methods=[method], name=name)
            for method, path, endpoint, name in (
                ("POST", all_, self.create_conversation, "create_conversation"),
                ("GET", one, self.retrieve_conversation, "retrieve_conversation"),
                ("POST", one, self.update_conversation, "update_conversation"),
                ("DELETE", one, self.delete_conversation, "delete_conversation"),
                ("GET", items, self.list_conversation_items, "list_conversation_items"),
                ("POST", items, self.create_conversation_items, "create_conversation_items"),
                ("GET", f"{items}/{{item_id}}", self.retrieve_item, "retrieve_conversation_item"),
                ("DELETE", f"{items}/{{item_id}}", self.delete_item, "delete_conversation_item"),
            )
            for prefix in ("/v1", "")
        ]

    async def create_conversation(self, request: Request) -> Response:
        """Begin a conversation, perhaps with items."""
        body = await json_object(request, self._reading)
        key = secrets.token_hex(12)
        made = Conversation(f"conv_{key}", _owner(request), _notes(body), time.time())
        items = kept_items(_items(body), run_id=key)
        await self._turns.call(partial(self._turns.kept.add, made, items))
        return _json(_object(made))

    async def retrieve_conversation(self, request: Request) -> Response:
        """Give a conversation, without its items."""
        return _json(_object(await self._found(request)))

    async def update_conversation(self, request: Request) -> Response:
        """Replace what is noted of a conversation."""
        notes = _notes(await json_object(request, self._reading))
        found = await self._found(request)
        note = partial(self._turns.kept.note, found.id, notes, owner=found.owner)
        await self._turns.call(note)
        return _json(_object(await self._found(request)))

    async def delete_conversation(self, request: Request) -> Response:
        """Delete a conversation with its items."""
        found = await self._found(request)
        await self._turns.call(partial(self._turns.kept.delete, found.id, owner=found.owner))
        return _json({"id": found.id, "object": "conversation.deleted", "deleted": True})

    async def list_conversation_items(self, request: Request) -> Response:
        """List the items of a conversation, the newest first."""
        return _json(page(await self._items_of(request), request.query_params))

    async def create_conversation_items(self, request: Request) -> Response:
        """Add items at the end of a conversation."""
        id_ = request.path_params["conversation_id"]
        sent = _items(await json_object(request, self._reading))
        items = kept_items(sent, run_id=secrets.token_hex(12))
        append = partial(self._turns.kept.append, id_, items, owner=_owner(request))
        kept = await self._turns.call(append)
        if kept is None:
            raise not_kept(id_)
        return _json(_list(kept))

    async def retrieve_item(self, request: Request) -> Response:
        """Give one item of a conversation."""
        return _json(await self._item(request))

    async def delete_item(self, request: Request) -> Response:
        """Delete one item of a conversation."""
        item, found = await self._item(request), await self._found(request)
        await self._turns.call(partial(self._turns.kept.remove, found.id, str(item["id"])))
        return _json(_object(found))

    async def _found(self, request: Request) -> Conversation:
        id_ = request.path_params["conversation_id"]
        return await self._turns.find(id_, owner=_owner(request))

    async def _items_of(self, request: Request) -> list[Item]:
        found = await self._found(request)
        return await self._turns.call(partial(self._turns.kept.items, found.id))

    async def _item(self, request: Request) -> Item:
        id_ = request.path_params["item_id"]
        for item in await self._items_of(request):
            if item["id"] == id_:
                return item
        raise NotFound(f"The conversation has no item {id_!r}.", param="item_id")


def _owner(request: Request) -> str:
    return owner_of(request.headers.raw)


def _notes(body: Mapping[str, Any]) -> Mapping[str, str]:
    notes: object = body.get("metadata")
    if notes is None:
        return {}
    if not isinstance(notes, dict) or len(cast(dict[str, Any], notes)) > MOST_NOTES:
        raise _unfit_notes()
    for name, note in cast(dict[str, Any], notes).items():
        if not isinstance(note, str) or len(name) > LONGEST_NAME or len(note) > LONGEST_NOTE:
            raise _unfit_notes()
    return cast(dict[str, str], notes)


def _unfit_notes() -> InvalidRequest:
    return InvalidRequest(
        f"'metadata' has to be an object of at most {MOST_NOTES} texts, with names of at most "
        f"{LONGEST_NAME} and texts of at most {LONGEST_NOTE} characters.",
        param="metadata",
    )


def _items(body: Mapping[str, Any]) -> list[Item]:
    items: object = body.get("items")
    if items is None:
        return []
    if not isinstance(items, list) or len(cast(list[object], items)) > MOST_ITEMS:
        raise InvalidRequest(f"'items' has to be a list of at most {MOST_ITEMS}.", param="items")
    if not all(isinstance(item, dict) for item in cast(list[object], items)):
        raise InvalidRequest("Each of the 'items' has to be an object.", param="items")
    return cast(list[Item], items)


def _list(items: list[Item]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": items,
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": False,
    }


def _object(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": int(conversation.created_at),
        "metadata": conversation.metadata,
    }


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")
