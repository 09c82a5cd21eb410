"""The endpoints of responses that are kept: `/v1/responses/{id}` and what is below it.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hayserve.access.identity import owner_of
from hayserve.access.rules import Rule
from hayserve.errors import InvalidRequest
from hayserve.events import Closing, Event
from hayserve.kept.responses import Kept
from hayserve.protocols.described import (
    EVENTS,
    JSON,
    KEPT,
    Deleted,
    Described,
    DescribedRoute,
    openai_routes,
)
from hayserve.protocols.json_answer import json_answer
from hayserve.protocols.openai_responses.done import ThenDone
from hayserve.protocols.openai_responses.keeper import Keeper
from hayserve.protocols.openai_responses.log import AsItIs
from hayserve.protocols.openai_responses.objects import ResponseObject, ResponseQuery
from hayserve.protocols.pages import Page, PageQuery, number_in, page
from hayserve.protocols.sse import EventStreamResponse

_GIVEN = Described(
    allows=Rule.RUN,
    query=ResponseQuery,
    answers=ResponseObject,
    answers_as=(JSON, EVENTS),
    errors=(InvalidRequest, *KEPT),
)
_DELETED = Described(allows=Rule.RUN, answers=Deleted, errors=KEPT)
_CANCELLED = Described(allows=Rule.RUN, answers=ResponseObject, errors=(InvalidRequest, *KEPT))
_LISTED = Described(allows=Rule.RUN, query=PageQuery, answers=Page, errors=(InvalidRequest, *KEPT))


class StoredResponses:
    """Gives clients their responses again.

    Args:
        keeper: Has them.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def routes(self) -> list[DescribedRoute]:
        one = "/responses/{response_id}"
        return openai_routes(
            ("GET", one, self.retrieve_response, _GIVEN),
            ("DELETE", one, self.delete_response, _DELETED),
            ("POST", f"{one}/cancel", self.cancel_response, _CANCELLED),
            ("GET", f"{one}/input_items", self.list_input_items, _LISTED),
        )

    async def retrieve_response(self, request: Request) -> Response:
        """Give a response, as it is now, or with `stream=true` its events, from any of them on."""
        kept = await self._kept(request)
        if request.query_params.get("stream", "false").lower() != "true":
            return json_answer(kept.body)
        start = _after(request.query_params.get("starting_after"))
        reader = await self._keeper.reader(kept, start=start)
        # Without its output, which may be large, and as it is read there is in its events.
        encoder = _AsFarAsItIs({**kept.body, "output": []}, start=start)
        return EventStreamResponse(
            reader, opening=[], encoder=encoder, keep_alive=reader.keep_alive
        )

    async def delete_response(self, request: Request) -> Response:
        """Delete a response."""
        id_ = request.path_params["response_id"]
        await self._keeper.delete(id_, owner=owner_of(request.scope))
        return json_answer({"id": id_, "object": "response", "deleted": True})

    async def cancel_response(self, request: Request) -> Response:
        """Stop a response that is made in the background."""
        kept = await self._kept(request)
        if not kept.body.get("background"):
            raise InvalidRequest(
                f"{kept.id!r} is not made in the background, so it cannot be cancelled.",
                hint="Close the connection instead, or ask with `background: true`.",
                param="response_id",
            )
        return json_answer(await self._keeper.cancel(kept.id, owner=kept.owner))

    async def list_input_items(self, request: Request) -> Response:
        """List what was sent for a response, the newest first."""
        kept = await self._kept(request)
        return json_answer(page(kept.input, request.query_params))

    async def _kept(self, request: Request) -> Kept:
        return await self._keeper.find(
            request.path_params["response_id"], owner=owner_of(request.scope)
        )


class _AsFarAsItIs:
    """Sends what is kept of a stream, whose end is told only where an event ends.

    Args:
        response: The response object, to say why the reading is broken off.
        start: The number of the first event.
    """

    def __init__(self, response: Mapping[str, Any], *, start: int) -> None:
        self._as_it_is = AsItIs(response, start=start)
        self._encoder = ThenDone(self._as_it_is)

    def encode(self, event: Event) -> bytes:
        if self._as_it_is.is_within and isinstance(event, Closing):
            return b""  # what follows would count as more of that event
        return self._encoder.encode(event)


def _after(value: str | None) -> int:
    """The number of the event to begin with."""
    if value is None:
        return 0
    if (number := number_in(value)) is None:
        raise InvalidRequest(
            f"'starting_after' is {value!r}.",
            hint="It is the `sequence_number` of the last event that you have.",
            param="starting_after",
        )
    return number + 1
