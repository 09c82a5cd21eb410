"""The endpoint that makes one item of a conversation: `/v1/responses/compact`.

Source: https://platform.openai.com/docs/api-reference/responses/compact
"""

import time
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hayserve.access.identity import owner_of
from hayserve.access.rules import Rule
from hayserve.deployments.registry import Registry
from hayserve.errors import InvalidRequest, NotFound, StorageUnavailable
from hayserve.events import Usage
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.described import (
    BODY,
    Described,
    DescribedRoute,
    openai_routes,
)
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_request import model_named, refusal
from hayserve.protocols.openai_responses.compaction import compaction_of, is_said_by_user, opened
from hayserve.protocols.openai_responses.kept_items import Item, kept_items
from hayserve.protocols.openai_responses.making import Maker
from hayserve.protocols.openai_responses.objects import CompactionObject
from hayserve.protocols.openai_responses.response_object import item_key, response_id, usage_of
from hayserve.protocols.openai_responses.schema import MOST_ITEMS


class CompactRequest(BaseModel):
    """The body of `POST /v1/responses/compact`; its other fields are for servers with a model."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | Annotated[list[dict[str, Any]], Field(max_length=MOST_ITEMS)] | None = None
    previous_response_id: str | None = None


_COMPACTED = Described(
    allows=Rule.RUN,
    takes=CompactRequest,
    answers=CompactionObject,
    errors=(*BODY, NotFound, StorageUnavailable),
)


class Compaction:
    """Makes one item of all that was said.

    No model is called: the item holds everything, so that nothing is forgotten and no tokens are
    used. What clients get of it is one item in place of many.

    Args:
        registry: Where deployments are found; the model is the name of one.
        maker: Knows what was said before.
        reading: How much of a request is read.
    """

    def __init__(self, registry: Registry, maker: Maker, *, reading: Reading) -> None:
        self._registry = registry
        self._maker = maker
        self._endpoint = RunEndpoint(self.compact_response, reading)

    def routes(self) -> list[DescribedRoute]:
        return openai_routes(("POST", "/responses/compact", self._endpoint, _COMPACTED))

    async def compact_response(self, call: Call) -> None:
        """Make one item of a conversation, besides the messages of its user."""
        body = await call.json(any_mb=self._registry.most_body_mb)
        asked = _asked_in(body)
        call.check_size(body, await model_named(call.scope, self._registry, asked.model))
        items = await opened(await self._said(call, asked))
        if not items:
            raise InvalidRequest(
                "There is nothing to compact.",
                hint="Send `input`, or `previous_response_id`.",
                param="input",
            )
        compaction = await compaction_of(items, id_=f"cmp_{item_key(call.run_id, 0)}")
        answer = {
            "id": response_id(call.run_id),
            "object": "response.compaction",
            "created_at": int(time.time()),
            "output": [*filter(is_said_by_user, items), compaction],
            "usage": usage_of(Usage()),
        }
        await call.answer(to_json(answer))

    async def _said(self, call: Call, asked: CompactRequest) -> list[Item]:
        sent = asked.input or []
        if isinstance(sent, str):
            sent = [{"type": "message", "role": "user", "content": sent}]
        own = kept_items(sent, run_id=call.run_id)
        if asked.previous_response_id is None:
            return own
        owner = owner_of(call.scope)
        return [*await self._maker.before(asked.previous_response_id, owner=owner), *own]


def _asked_in(body: bytes) -> CompactRequest:
    try:
        return CompactRequest.model_validate_json(body)
    except ValidationError as error:
        raise refusal(error, hint="Send an object with `model` and `input`, in UTF-8.") from error
