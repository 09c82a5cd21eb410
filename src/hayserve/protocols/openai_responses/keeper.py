"""Keeps responses for clients that come back: for their text, their stream, or to go on from."""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.abc
import anyio.to_thread

from hayserve.errors import (
    InvalidRequest,
    NotFound,
    NotReady,
    RunFailed,
    StorageUnavailable,
    TurnTaken,
)
from hayserve.kept.responses import Kept, Responses
from hayserve.kept.stream_pages import Place, StreamPage
from hayserve.protocols.openai_responses.encode import ResponseEncoder
from hayserve.protocols.openai_responses.kept_items import kept_response
from hayserve.protocols.openai_responses.log import KeptStream, Reader, Rest, last_event
from hayserve.protocols.openai_responses.recorder import CANCELLED, Recorder
from hayserve.protocols.openai_responses.response_object import Response, error_of
from hayserve.protocols.openai_responses.turns import Turns
from hayserve.runs.everywhere import RunsEverywhere
from hayserve.runs.live import LiveRun

logger = logging.getLogger(__name__)

PURGE_SECONDS = 3600.0
# How often the events of another worker's response are looked for.
FOLLOW_SECONDS = 0.1
# How long the last words of responses may take to be kept when the server stops.
CLOSE_SECONDS = 5.0
AT_ONCE = 8
# How many threads read streams. Who has other things to ask does not wait behind them.
STREAMS_AT_ONCE = 2

T = TypeVar("T")


class Keeper:
    """The responses that are kept, and those that this worker is making.

    Args:
        responses: All of them.
        turns: Whose turn it is in conversations.
        everywhere: The runs that make those that are under way.
        worker: The id of this worker.
        is_alive: Whether a worker lives, by its id; it may block.
        purges: What else deletes every hour what has expired; they may block.
    """

    def __init__(
        self,
        responses: Responses,
        turns: Turns,
        *,
        everywhere: RunsEverywhere,
        worker: str,
        is_alive: Callable[[str], bool],
        purges: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._responses = responses
        self._turns = turns
        self._everywhere = everywhere
        self._worker = worker
        self._is_alive = is_alive
        self._purges = (responses.purge, turns.kept.purge, *purges)
        self._pages = responses.pages
        self._limiter = anyio.CapacityLimiter(AT_ONCE)
        self._streams_limiter = anyio.CapacityLimiter(STREAMS_AT_ONCE)
        self._recorders: dict[str, Recorder] = {}
        self._streams: dict[str, KeptStream] = {}  # those that somebody reads
        self._tasks: anyio.abc.TaskGroup | None = None  # they end by themselves
        self._chores: anyio.abc.TaskGroup | None = None  # they do not

    @property
    def worker(self) -> str:
        """The id of this worker."""
        return self._worker

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Write down what is under way, and delete what has expired, while the block lasts."""
        async with (
            self._turns.running(),
            anyio.create_task_group() as tasks,
            anyio.create_task_group() as chores,
        ):
            self._tasks, self._chores = tasks, chores
            chores.start_soon(self._purge)
            try:
                yield
            finally:
                self._tasks = self._chores = None
                chores.cancel_scope.cancel()
                tasks.cancel_scope.deadline = anyio.current_time() + CLOSE_SECONDS

    async def keep(self, kept: Kept, response: Response) -> None:
        """Keep a response that has ended, and end its turn in its conversation.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        whole = replace(kept, body=kept_response(response), has_ended=True)
        await self._call(partial(self._responses.add, whole))
        await self._turns.say(whole, {**whole.body})

    async def record(self, kept: Kept, live: LiveRun, encoder: ResponseEncoder) -> Recorder:
        """Write a response down as its run makes it.

        Raises:
            NotReady: The server is stopping; the run is stopped.
            StorageUnavailable: The database does not answer; the run is stopped.
        """
        whole = replace(kept, body=kept_response(kept.body))
        recorder = Recorder(
            whole,
            live,
            encoder,
            responses=self._responses,
            turns=self._turns,
            limiter=self._limiter,
        )
        self._recorders[kept.id] = recorder
        try:
            _running(self._tasks)
            await self._call(partial(self._responses.add, whole))
            _running(self._tasks).start_soon(self._record, recorder)
        except BaseException:
            del self._recorders[kept.id]
            live.cancel()
            raise
        self._turns.leave_to_recorder(kept)
        return recorder

    async def find(
        self, id_: str, *, owner: str, param: str = "response_id", aside: bool = False
    ) -> Kept:
        """A response, as it is now.

        Args:
            id_: Its id.
            owner: Whose it is.
            param: Where the request names it.
            aside: Whether nobody waits for this alone, so that it may keep nobody else waiting.

        Raises:
            NotFound: There is none of that id, or it is somebody else's.
        """
        call = self._read if aside else self._call
        kept = await call(partial(self._responses.find, id_, owner=owner))
        if kept is None or kept.body["object"] != "response":
            raise NotFound(
                f"No response {id_!r} is kept.",
                hint="It was made with `store: false`, was deleted, has expired, or belongs to "
                "another key.",
                param=param,
            )
        if kept.has_ended or id_ in self._recorders or await self._lives(kept, aside=aside):
            return kept
        body = _lost(kept)
        last = partial(_last_of_lost, body)
        await call(partial(self._responses.lose, id_, body, last=last))
        return await self.find(id_, owner=owner, param=param, aside=aside)

    async def reader(self, kept: Kept, *, start: int) -> Reader:
        """Who reads the events of a response, to its end, whichever worker makes it.

        However many read it and however slowly, each has a page or two of the events in memory,
        and one task looks for those that another worker writes.

        Args:
            kept: The response.
            start: The number of the first event.

        Raises:
            InvalidRequest: It was not made in such a way that they are kept.
            NotReady: The server is stopping.
            StorageUnavailable: The database does not answer.
        """
        if (recorder := self._recorders.get(kept.id)) is not None:
            recorder.log.read(reader := Reader(), start=start)
            return reader
        place = await self._read(partial(self._pages.place, kept.id, start))
        if place is None and kept.has_ended:
            raise InvalidRequest(
                f"The events of {kept.id!r} are not kept.",
                hint="Retrieve it without `stream`. Events are kept of what is made with "
                "`background: true`, and of what is made with `stream: true` and `store: true`.",
                param="stream",
            )
        tasks = _running(self._chores)
        rest = Rest(self._stream(kept, tasks), place or Place(0), start=start)
        tasks.start_soon(self._give, kept.id, rest)
        return rest.reader

    async def cancel(self, id_: str, *, owner: str) -> Response:
        """Stop a response that is under way; gives it as it is then.

        Raises:
            NotFound: As from `find`.
            NotReady: The worker that makes it does not answer.
        """
        kept = await self.find(id_, owner=owner)
        if not kept.has_ended:
            with suppress(NotFound):  # its run has ended just now
                await self._everywhere.cancel(kept.run, reason=CANCELLED)
        while not kept.has_ended:
            await anyio.sleep(FOLLOW_SECONDS)
            kept = await self.find(id_, owner=owner, aside=True)
        return {**kept.body}

    async def delete(self, id_: str, *, owner: str) -> None:
        """Delete a response; one that is under way is made to its end, for nobody.

        Raises:
            NotFound: As from `find`.
        """
        await self.find(id_, owner=owner)
        await self._call(partial(self._responses.delete, id_, owner=owner))

    async def history(self, id_: str, *, owner: str) -> list[Kept]:
        """A response and all that it continues, the oldest first.

        Raises:
            NotFound: As from `find`, for any of them.
            TurnTaken: It is still being made.
        """
        found: list[Kept] = []
        next_: str | None = id_
        while next_ is not None:
            kept = await self.find(next_, owner=owner, param="previous_response_id")
            if not kept.has_ended:
                raise TurnTaken(
                    f"The response {kept.id!r} is still being made.",
                    hint="Send the request again when it has ended.",
                    param="previous_response_id",
                )
            found.append(kept)
            next_ = kept.previous
        return found[::-1]

    async def _record(self, recorder: Recorder) -> None:
        kept = recorder.kept
        try:
            await recorder.record()
        except Exception:  # one response that cannot be kept must not end all others
            logger.exception("response_not_kept", extra={"run_id": kept.run})
            await self._turns.say(kept, _lost(kept))
        finally:
            del self._recorders[kept.id]

    def _stream(self, kept: Kept, tasks: anyio.abc.TaskGroup) -> KeptStream:
        stream = self._streams.get(kept.id)
        if stream is None:
            stream = self._streams[kept.id] = KeptStream(partial(self._page, kept.id))
            if kept.has_ended:
                stream.end()
            else:
                tasks.start_soon(self._follow, kept, stream)
        return stream

    async def _give(self, id_: str, rest: Rest) -> None:
        """Read a stream for one reader."""
        try:
            await rest.give()
        except Exception:  # one stream that cannot be read must not end all others
            logger.exception("stream_not_read", extra={"response": id_})
        finally:
            if not rest.stream.is_read and self._streams.get(id_) is rest.stream:
                del self._streams[id_]

    async def _follow(self, kept: Kept, stream: KeptStream) -> None:
        """Look for what another worker writes, for as long as somebody reads it."""
        place: Place | None = None
        try:
            while not stream.is_over and stream.is_read:
                with suppress(StorageUnavailable):  # which is logged; the next look tries again
                    found = await self.find(kept.id, owner=kept.owner, aside=True)
                    if place is None:
                        place = await self._read(partial(self._pages.place, kept.id)) or Place(0)
                    place = await stream.grow(place)
                    if found.has_ended:
                        stream.end()
                        return
                await anyio.sleep(FOLLOW_SECONDS)
        except NotFound:  # it was deleted
            stream.end()

    async def _page(self, id_: str, place: Place) -> StreamPage | None:
        return await self._read(partial(self._pages.page, id_, place))

    async def _lives(self, kept: Kept, *, aside: bool) -> bool:
        if kept.worker == self._worker:
            return False  # and it is none of those that are recorded here
        call = self._read if aside else self._call
        return await call(partial(self._is_alive, kept.worker))

    async def _purge(self) -> None:
        while True:
            for purge in self._purges:
                with suppress(StorageUnavailable):  # which is logged; there is a next time
                    await self._call(purge)
            await anyio.sleep(PURGE_SECONDS)

    async def _call(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)

    async def _read(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._streams_limiter)


def _running(tasks: anyio.abc.TaskGroup | None) -> anyio.abc.TaskGroup:
    if tasks is None:
        raise NotReady("The server is stopping.", hint="Try again in a moment.")
    return tasks


def _lost(kept: Kept) -> Response:
    """The response whose worker ended before it."""
    error = RunFailed("The worker that made this response ended before it.")
    return {**kept.body, "status": "failed", "error": error_of(error)}


def _last_of_lost(response: Response, number: int) -> bytes:
    return last_event(response, number=number)
