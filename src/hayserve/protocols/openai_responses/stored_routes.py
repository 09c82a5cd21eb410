"""The endpoints of responses that are kept: `/v1/responses/{id}` and what is below it.

Source: https://platform.openai.com/docs/api-reference/responses
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hayserve.errors import InvalidRequest
from hayserve.kept.responses import Kept
from hayserve.protocols.json_bytes import to_json
from hayserve.protocols.openai_responses.done import ThenDone
from hayserve.protocols.openai_responses.keeper import Keeper
from hayserve.protocols.openai_responses.log import AsItIs, Reader
from hayserve.protocols.owner import owner_of
from hayserve.protocols.pages import number_in, page
from hayserve.protocols.sse import EventStreamResponse


class StoredResponses:
    """Gives clients their responses again.

    Args:
        keeper: Has them.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def routes(self) -> list[Route]:
        one = "/responses/{response_id}"
        return [
            Route(f"{prefix}{path}", endpoint, methods=[method], name=name)
            for method, path, endpoint, name in (
                ("GET", one, self.retrieve_response, "retrieve_response"),
                ("DELETE", one, self.delete_response, "delete_response"),
                ("POST", f"{one}/cancel", self.cancel_response, "cancel_response"),
                ("GET", f"{one}/input_items", self.list_input_items, "list_input_items"),
            )
            for prefix in ("/v1", "")
        ]

    async def retrieve_response(self, request: Request) -> Response:
        """Give a response, as it is now, or with `stream=true` its events, from any of them on."""
        kept = await self._kept(request)
        if request.query_params.get("stream", "false").lower() != "true":
            return _json(kept.body)
        start = _after(request.query_params.get("starting_after"))
        log = await self._keeper.log(kept)
        reader = Reader()
        log.read(reader, start=start)
        encoder = ThenDone(AsItIs(kept.body, start=start))
        return EventStreamResponse(reader, opening=[], encoder=encoder)

    async def delete_response(self, request: Request) -> Response:
        """Delete a response."""
        id_ = request.path_params["response_id"]
        await self._keeper.delete(id_, owner=_owner(request))
        return _json({"id": id_, "object": "response", "deleted": True})

    async def cancel_response(self, request: Request) -> Response:
        """Stop a response that is made in the background."""
        kept = await self._kept(request)
        if not kept.body.get("background"):
            raise InvalidRequest(
                f"{kept.id!r} is not made in the background, so it cannot be cancelled.",
                hint="Close the connection instead, or ask with `background: true`.",
                param="response_id",
            )
        return _json(await self._keeper.cancel(kept.id, owner=kept.owner))

    async def list_input_items(self, request: Request) -> Response:
        """List what was sent for a response, the newest first."""
        kept = await self._kept(request)
        return _json(page(kept.input, request.query_params))

    async def _kept(self, request: Request) -> Kept:
        return await self._keeper.find(request.path_params["response_id"], owner=_owner(request))


def _owner(request: Request) -> str:
    return owner_of(request.headers.raw)


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


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")
