"""Keeps completions that clients want to see again: `/v1/chat/completions` and what is below it.

Source: https://platform.openai.com/docs/api-reference/chat/list
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from hayserve.access.identity import owner_of
from hayserve.access.rules import Rule
from hayserve.errors import InvalidRequest, NotFound
from hayserve.kept.completions import COMPLETION, Completions
from hayserve.kept.responses import Kept, Responses
from hayserve.protocols.call import Call, Reading
from hayserve.protocols.described import (
    BODY,
    KEPT,
    Deleted,
    Described,
    DescribedRoute,
    ErrorKinds,
    openai_routes,
)
from hayserve.protocols.json_answer import json_answer
from hayserve.protocols.json_object import json_object
from hayserve.protocols.notes import Notes, notes_in
from hayserve.protocols.openai_chat.objects import (
    ChatCompletion,
    ChatCompletionPage,
    CompletionQuery,
)
from hayserve.protocols.openai_chat.schema import ChatRequest
from hayserve.protocols.pages import Page, PageQuery, asked_in, none_of_these, page, page_of

AT_ONCE = 4
_NOTE = "metadata["
_LISTS: ErrorKinds = (InvalidRequest, *KEPT)
_LISTED = Described(
    allows=Rule.RUN, query=CompletionQuery, answers=ChatCompletionPage, errors=_LISTS
)
_GIVEN = Described(allows=Rule.RUN, answers=ChatCompletion, errors=KEPT)
_NOTED = Described(
    allows=Rule.RUN, takes=Notes, is_optional=True, answers=ChatCompletion, errors=(*BODY, *KEPT)
)
_DELETED = Described(allows=Rule.RUN, answers=Deleted, errors=KEPT)
_MESSAGES = Described(allows=Rule.RUN, query=PageQuery, answers=Page, errors=_LISTS)

T = TypeVar("T")


class StoredCompletions:
    """The completions that were made with `store: true`.

    Args:
        responses: Where they are kept.
        worker: The id of this worker.
        completions: Finds them there.
        reading: How much of a request is read.
    """

    def __init__(
        self,
        responses: Responses,
        *,
        worker: str,
        completions: Completions,
        reading: Reading | None = None,
    ) -> None:
        self._responses = responses
        self._completions = completions
        self._worker = worker
        self._reading = reading or Reading()
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    def routes(self) -> list[DescribedRoute]:
        all_, one = "/chat/completions", "/chat/completions/{completion_id}"
        return openai_routes(
            ("GET", all_, self.list_completions, _LISTED),
            ("POST", one, self.update_completion, _NOTED),
            ("GET", one, self.retrieve_completion, _GIVEN),
            ("DELETE", one, self.delete_completion, _DELETED),
            ("GET", f"{one}/messages", self.list_completion_messages, _MESSAGES),
        )

    async def keep(self, call: Call, asked: ChatRequest, completion: dict[str, Any]) -> None:
        """Keep a completion.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        kept = Kept(
            id=completion["id"],
            owner=owner_of(call.scope),
            run=call.run_id,
            worker=self._worker,
            previous=None,
            conversation=None,
            input=_messages(asked.messages, id_=completion["id"]),
            body={**completion, "metadata": notes_in(asked.fields)},
            has_ended=True,
        )
        await self._call(partial(self._responses.add, kept))

    async def list_completions(self, request: Request) -> Response:
        """List the completions that were made with `store: true`, the oldest first."""
        query = request.query_params
        asked = asked_in(query, order="asc")
        some = partial(
            self._completions.some,
            owner_of(request.scope),
            wanted=_Wanted(query),
            limit=asked.limit + 1,
            is_ascending=asked.is_ascending,
            after=asked.after,
        )
        found = await self._call(some)
        if found is None:
            raise none_of_these(asked.after or "")
        return json_answer(page_of(found[: asked.limit], has_more=len(found) > asked.limit))

    async def retrieve_completion(self, request: Request) -> Response:
        """Give a completion that was made with `store: true`."""
        return json_answer((await self._kept(request)).body)

    async def update_completion(self, request: Request) -> Response:
        """Replace what is noted of a completion."""
        notes = notes_in(await json_object(request, self._reading))
        id_ = request.path_params["completion_id"]
        note = partial(self._completions.note, id_, notes, owner=owner_of(request.scope))
        noted = await self._call(note)
        if noted is None:
            raise _not_kept(id_)
        return json_answer(noted)

    async def delete_completion(self, request: Request) -> Response:
        """Delete a completion."""
        kept = await self._kept(request)
        await self._call(partial(self._responses.delete, kept.id, owner=kept.owner))
        return json_answer({"id": kept.id, "object": "chat.completion.deleted", "deleted": True})

    async def list_completion_messages(self, request: Request) -> Response:
        """List the messages that a completion answers, the oldest first."""
        kept = await self._kept(request)
        return json_answer(page(kept.input, request.query_params, order="asc"))

    async def _kept(self, request: Request) -> Kept:
        id_: str = request.path_params["completion_id"]
        kept = await self._call(partial(self._responses.find, id_, owner=owner_of(request.scope)))
        if kept is None or kept.body["object"] != COMPLETION:
            raise _not_kept(id_)
        return kept

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)


class _Wanted:
    """Whether a completion is one of those that a query asks for."""

    def __init__(self, query: QueryParams) -> None:
        self._model = query.get("model")
        self._notes = {
            name.removeprefix(_NOTE).removesuffix("]"): note
            for name, note in query.items()
            if name.startswith(_NOTE) and name.endswith("]")
        }

    def __call__(self, completion: Mapping[str, Any]) -> bool:
        if self._model not in (None, completion["model"]):
            return False
        notes: Mapping[str, str] = completion["metadata"]
        return self._notes.items() <= notes.items()


def _messages(messages: Sequence[dict[str, Any]], *, id_: str) -> list[dict[str, Any]]:
    """The messages as they are listed: with an id each, and content in parts by itself."""
    return [
        {**message, **_content(message.get("content")), "id": f"{id_}-{index}"}
        for index, message in enumerate(messages)
    ]


def _content(content: object) -> dict[str, Any]:
    if isinstance(content, list):
        return {"content": None, "content_parts": content}
    return {"content": content, "content_parts": None}


def _not_kept(id_: str) -> NotFound:
    return NotFound(
        f"No completion {id_!r} is kept.",
        hint="It was made without `store: true`, was deleted, has expired, or belongs to "
        "another key.",
        param="completion_id",
    )
