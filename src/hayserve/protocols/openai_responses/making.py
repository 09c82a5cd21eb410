"""Has responses made: from a request that is read to a run, and to who reads its events.

What is written to whom is for each transport to do.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Receive

from hayserve.access.identity import owner_of
from hayserve.deployments.registry import Registry
from hayserve.errors import InvalidRequest, NotFound, PreviousNotFound
from hayserve.events import Event
from hayserve.kept.responses import Kept
from hayserve.protocols.agent_request import AgentRequests, item_outputs
from hayserve.protocols.call import Call
from hayserve.protocols.openai_error import failure_before_words
from hayserve.protocols.openai_request import model_named
from hayserve.protocols.openai_responses.compaction import opened
from hayserve.protocols.openai_responses.decode import agent_body, input_items, response_call
from hayserve.protocols.openai_responses.encode import (
    ResponseEncoder,
    as_stream,
    whole_response,
)
from hayserve.protocols.openai_responses.keeper import Keeper
from hayserve.protocols.openai_responses.kept_items import Item, kept_items, kept_response
from hayserve.protocols.openai_responses.log import AsItIs, Reader
from hayserve.protocols.openai_responses.recorder import Recorder
from hayserve.protocols.openai_responses.references import resolved
from hayserve.protocols.openai_responses.response_object import Response, new_response
from hayserve.protocols.openai_responses.schema import ResponseRequest
from hayserve.protocols.openai_responses.shelf import Shelf
from hayserve.protocols.openai_responses.turns import Turns
from hayserve.protocols.sse import GRACE_SECONDS, Encoder, Leaving, Source, while_connected
from hayserve.runs.execute import Executor
from hayserve.runs.live import LiveRun

TURN_TAKEN = b"x-on-turn-taken"
LEFT = "the client left"


class Remembered(NamedTuple):
    """A response that is not kept, with all that was said up to its end."""

    id: str
    items: Sequence[Item]


class Stream(NamedTuple):
    """The events of a response: where they come from, the first of them, what frames are made."""

    source: Source
    opening: Sequence[Event]
    encoder: Encoder


@dataclass(frozen=True, slots=True)
class Making:
    """A response that is being made.

    Args:
        asked: The request for it.
        kept: What there is to keep of it.
        said: What was said up to it, its own input last.
        live: The run that makes it.
        encoder: Makes it of the run's events.
        recorder: Who reads those, if it is kept.
    """

    asked: ResponseRequest
    kept: Kept
    said: Sequence[Item]
    live: LiveRun
    encoder: ResponseEncoder
    recorder: Recorder | None = None

    async def opened(self, receive: Receive | None = None) -> Stream:
        """Its stream, once there is something to say.

        Args:
            receive: The request's, to notice when its client leaves; None if who waits is
                cancelled then.

        Raises:
            HayserveError: It came to nothing before that.
        """
        try:
            if self.recorder is None:
                return await self._direct(receive)
            return await self._recorded(self.recorder, receive)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Stop it, unless it goes on without its client."""
        if not self.live.survives:
            self.live.cancel(LEFT)

    @property
    def has_answered(self) -> bool:
        """Whether there is something to go on from, when it has ended."""
        return self.encoder.response["status"] in ("completed", "incomplete")

    def remembered(self) -> Remembered | None:
        """It, when it has answered, for who continues it; None if it is kept."""
        if self.asked.is_kept:
            return None
        response = kept_response(self.encoder.response)
        return Remembered(response["id"], [*self.said, *response["output"]])

    async def _direct(self, receive: Receive | None) -> Stream:
        read: Callable[[], Awaitable[list[Event]]]
        read = partial(self.live.opening, grace=GRACE_SECONDS)
        if receive is None:
            opening = await read()
        else:
            opening = await while_connected(receive, self.live, read)
        failure = failure_before_words(opening)
        if failure is not None:
            raise failure
        return Stream(self.live, as_stream(opening, run=self.live.run), self.encoder)

    async def _recorded(self, recorder: Recorder, receive: Receive | None) -> Stream:
        leaving = None if receive is None else Leaving(receive, self.live)
        try:
            failure = await recorder.opened
        finally:
            if leaving is not None:
                leaving.close()
        if failure is not None:
            raise failure
        reader = Reader(self.leave)
        recorder.log.read(reader, start=0)
        return Stream(reader, [], AsItIs(self.kept.body))


class Maker:
    """Has responses made, and kept where that is asked.

    Args:
        registry: Where deployments are found; the model is the name of one.
        executor: Runs them.
        keeper: Keeps responses.
        turns: Has the conversations.
        shelf: Has the files that requests name.
        agents: Knows what is asked of agents.
    """

    def __init__(
        self,
        registry: Registry,
        executor: Executor,
        *,
        keeper: Keeper,
        turns: Turns,
        shelf: Shelf,
        agents: AgentRequests,
    ) -> None:
        self._registry = registry
        self._executor = executor
        self._keeper = keeper
        self._turns = turns
        self._shelf = shelf
        self._agents = agents

    async def begin(
        self,
        call: Call,
        asked: ResponseRequest,
        *,
        body: bytes,
        remembered: Remembered | None = None,
    ) -> Making:
        """Begin a response that is read as it comes, or not now.

        Args:
            call: The request.
            asked: What it says.
            body: What was sent.
            remembered: A response that may be continued although it is not kept.

        Raises:
            HayserveError: It cannot be made.
        """
        async with self._begun(call, asked, body=body, remembered=remembered) as making:
            if not asked.is_kept:
                return making
            recorder = await self._keeper.record(making.kept, making.live, making.encoder)
            return replace(making, recorder=recorder)

    async def whole(self, call: Call, asked: ResponseRequest, *, body: bytes) -> Response:
        """Make a response that is read when it has ended.

        Args:
            call: The request.
            asked: What it says.
            body: What was sent.

        Raises:
            HayserveError: It cannot be made, or comes to nothing.
        """
        async with self._begun(call, asked, body=body) as making:
            live = making.live
            said = await while_connected(call.receive, live, live.all_events)
            response = whole_response(
                as_stream(said, run=live.run),
                response={**making.kept.body},
                run_id=call.run_id,
                label=live.run.deployment,
            )
            if asked.is_kept:
                await self._keeper.keep(making.kept, response)
            return response

    async def before(self, id_: str, *, owner: str) -> list[Item]:
        """All that was said up to the end of a response that is kept.

        Raises:
            PreviousNotFound: There is none of that id, or it is somebody else's.
            TurnTaken: It is still being made.
        """
        try:
            found = await self._keeper.history(id_, owner=owner)
        except NotFound as error:
            is_itself = id_ in error.message
            said = "not found" if is_itself else f"continues one that is gone: {error.message}"
            raise PreviousNotFound(
                f"Previous response with id {id_!r} {said.rstrip('.')}.",
                hint=error.hint,
                param="previous_response_id",
            ) from error
        return [item for one in found for item in (*one.input, *one.body["output"])]

    @asynccontextmanager
    async def _begun(
        self,
        call: Call,
        asked: ResponseRequest,
        *,
        body: bytes,
        remembered: Remembered | None = None,
    ) -> AsyncGenerator[Making]:
        """A response whose run is started; its turn is given back if the block raises."""
        deployment = await model_named(call.scope, self._registry, asked.model)
        call.check_size(body, deployment)
        kept = self._kept(call, asked)
        async with self._turns.given_back(kept.conversation, kept.id):
            earlier = await self._earlier(kept, remembered, waits=waits_for_turn(call))
            find = partial(self._keeper.find, owner=kept.owner)
            sent = await resolved(input_items(asked), earlier, find=find)
            kept = replace(kept, input=kept_items(sent, run_id=call.run_id))
            said = [*earlier, *kept.input]
            if not said:
                raise InvalidRequest(
                    "There is nothing to answer.", hint="Send `input`.", param="input"
                )
            if remembered is not None and remembered.id == kept.previous:
                # Who continues this one later finds nothing before it.
                kept = replace(kept, previous=None, input=said)
            live = await self._started(call, asked, sent=sent, earlier=earlier)
            encoder = ResponseEncoder(
                {**kept.body},
                run_id=call.run_id,
                label=live.run.deployment,
                events=wants_events(call.headers()),
            )
            yield Making(asked, kept, said, live, encoder)

    def _kept(self, call: Call, asked: ResponseRequest) -> Kept:
        response = new_response(asked.model_dump(), run_id=call.run_id, created_at=int(time.time()))
        return Kept(
            id=response["id"],
            owner=owner_of(call.scope),
            run=call.run_id,
            worker=self._keeper.worker,
            previous=asked.previous_response_id,
            conversation=asked.conversation_id,
            input=(),
            body=response,
        )

    async def _earlier(
        self, kept: Kept, remembered: Remembered | None, *, waits: bool
    ) -> Sequence[Item]:
        """What was said before, in the conversation or in the responses that this continues."""
        if kept.conversation is not None:
            return await self._turns.begin(
                kept.conversation, kept.id, owner=kept.owner, waits=waits
            )
        if kept.previous is None:
            return []
        if remembered is not None and remembered.id == kept.previous:
            return remembered.items
        return await self.before(kept.previous, owner=kept.owner)

    async def _started(
        self, call: Call, asked: ResponseRequest, *, sent: Sequence[Item], earlier: Sequence[Item]
    ) -> LiveRun:
        owner = owner_of(call.scope)
        items = await opened([*earlier, *sent])
        _check_outputs(sent, items)
        items = await self._shelf.with_contents(items, owner=owner)
        resumed = await self._agents.resumed(item_outputs(items), owner=owner)
        # Once more: from here to the start of the run, nothing may be replaced.
        deployment = await model_named(call.scope, self._registry, asked.model)
        called = response_call(asked, deployment, items)
        body = agent_body(asked)
        wishes = self._agents.asked(call, deployment, body=body, resumed=resumed)
        return call.start(
            self._executor,
            deployment,
            called,
            streamed=asked.stream,
            survives=asked.goes_on,
            asked=wishes,
        )


def _check_outputs(sent: Sequence[Item], context: Sequence[Item]) -> None:
    """Refuse what a tool gave that nobody has called."""
    calls = [item for item in context if item.get("type") == "function_call"]
    called = {str(item.get("call_id") or item.get("id")) for item in calls}
    for item in sent:
        call_id: object = item.get("call_id")
        is_known = isinstance(call_id, str) and call_id in called
        if item.get("type") == "function_call_output" and not is_known:
            raise InvalidRequest(
                f"No tool call found for function call output with call_id {call_id}.",
                hint="Send the call too, or continue the response that it is in.",
                param="input",
            )


def waits_for_turn(call: Call) -> bool:
    """Whether a request waits while another response is made in its conversation.

    Raises:
        InvalidRequest: Its header has no meaning.
    """
    value = call.header(TURN_TAKEN)
    if value not in (b"", b"wait", b"refuse"):
        raise InvalidRequest(
            f"The header {TURN_TAKEN.decode()} is {value.decode('latin-1')!r}.",
            hint="Say `wait` or `refuse`: what becomes of a request if it is another's turn.",
            param=TURN_TAKEN.decode(),
        )
    return value == b"wait"


def wants_events(headers: Headers) -> bool:
    """Whether the client shows wrappers' own events; others may stumble over an unknown event."""
    if headers.get("x-hayserve-events", "").lower() == "true":
        return True
    return any(name.startswith("x-openwebui-") for name in headers)
