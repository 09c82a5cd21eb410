"""Writes a response down while its run makes it, whether or not somebody reads it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from hayserve import errors
from hayserve.errors import HayserveError, StorageUnavailable
from hayserve.events import Event, RunCancelled, RunFailed
from hayserve.kept.responses import Kept, Responses
from hayserve.kept.stream_pages import PAGE_BYTES
from hayserve.protocols.openai_error import failure_before_words
from hayserve.protocols.openai_responses.encode import ResponseEncoder, as_stream
from hayserve.protocols.openai_responses.kept_items import kept_response
from hayserve.protocols.openai_responses.log import Log, last_event, split
from hayserve.protocols.openai_responses.response_object import Response, error_of
from hayserve.protocols.openai_responses.turns import Turns
from hayserve.protocols.sse import GRACE_SECONDS
from hayserve.runs.live import LiveRun, has_closed

logger = logging.getLogger(__name__)

# How old the newest event in the database may be. Who reads on another worker is so far behind.
FLUSH_SECONDS = 0.1
RETRY_SECONDS = 1.0
# How often it is looked whether a client that is slow has taken what there was.
ROOM_SECONDS = 0.02
# How long the last events wait for the database, so that who has them finds the response there.
LAST_WORD_SECONDS = 5.0
# Why a run was stopped whose response its client has cancelled.
CANCELLED = "cancelled by the client"

T = TypeVar("T")


class Recorder:
    """Takes the events of a run to their end.

    Those of a run that goes on without its client are kept too, so that its stream can be picked
    up again on another worker.

    Args:
        kept: The response, which the database has.
        live: The run that makes it, which only this reads.
        encoder: Makes it of the run's events.
        responses: Where it is kept.
        turns: Where its turn in a conversation is given back.
        limiter: How many threads may write at once.
    """

    def __init__(
        self,
        kept: Kept,
        live: LiveRun,
        encoder: ResponseEncoder,
        *,
        responses: Responses,
        turns: Turns,
        limiter: anyio.CapacityLimiter,
    ) -> None:
        self.kept = kept
        self.log = Log()
        # Why it failed before it said anything, once that is known.
        self.opened: asyncio.Future[HayserveError | None] = (
            asyncio.get_running_loop().create_future()
        )
        self._live = live
        self._encoder = encoder
        self._responses = responses
        self._turns = turns
        self._limiter = limiter
        self._has_frames = live.survives
        self._written = 0
        self._failure: HayserveError | None = None
        self._response: Response = {}
        self._last = b""  # the last events, which are said when all is kept
        self._has_news = asyncio.Event()
        self._has_closed = asyncio.Event()
        self._is_kept = asyncio.Event()

    async def record(self) -> None:
        """Return when the response has had its last word, and that is kept."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                await self._read()
                self._has_closed.set()
                self._has_news.set()
                with anyio.move_on_after(LAST_WORD_SECONDS):
                    await self._is_kept.wait()
                self._finish()
        finally:
            self._live.cancel()
            self._finish()

    def _finish(self) -> None:
        if not self.log.is_over:
            self.log.add(self._last)
            self.log.end()
        self._open()

    def _open(self) -> None:
        if not self.opened.done():  # as it is if the request was cancelled that awaits it
            self.opened.set_result(self._failure)

    async def _read(self) -> None:
        """Log all events but the last ones."""
        events = self._begun(await self._live.opening(grace=GRACE_SECONDS))
        self._failure = failure_before_words(events)
        data = self._encoded(events)
        if self._failure is None:
            self._open()  # else not before all is kept, so that the next request finds it so
        while data is not None:
            if has_closed(events):
                self._close(events[-1], data)
                return
            self.log.add(data)
            self._has_news.set()
            await self._room()
            events = await self._live.channel.receive()
            data = self._encoded(events)

    async def _room(self) -> None:
        """Let a run that is there for its client alone be no faster than its client reads."""
        live = self._live
        while self.log.is_behind and not live.survives and live.closing is None:  # noqa: ASYNC110 - told by many
            await anyio.sleep(ROOM_SECONDS)

    def _begun(self, events: list[Event]) -> list[Event]:
        try:
            return as_stream(events, run=self._live.run)
        except HayserveError as error:
            return [RunFailed(error)]

    def _encoded(self, events: Sequence[Event]) -> bytes | None:
        """The events as they are sent; None if that is the end, because they have no form."""
        try:
            return b"".join(map(self._encoder.encode, events))
        except Exception:  # what a wrapper says in OpenAI's form may be anything
            known = {"run_id": self.kept.run, "deployment": self._live.run.deployment}
            logger.exception("response_not_encoded", extra=known)
        self._failure = errors.RunFailed(
            f"What {self._live.run.deployment!r} said has no form as a response.",
            hint="The server's log has the traceback under this run's id.",
        )
        failed = {"status": "failed", "error": error_of(self._failure)}
        self._conclude({**self.kept.body, **failed})
        return None

    def _close(self, closing: Event, data: bytes) -> None:
        self._last, self._response = data, kept_response(self._encoder.response)
        if closing == RunCancelled(CANCELLED) and data:
            self._last = b"".join(split(data)[:-1])
            self._conclude({**self._response, "status": "cancelled", "error": None})

    def _conclude(self, response: Response) -> None:
        """End with this response, after all that was said."""
        self._response = response
        number = len(self.log.frames) + len(split(self._last))
        self._last += last_event(response, number=number)

    async def _write(self) -> None:
        while self._has_frames and not self._has_closed.is_set():
            await self._has_news.wait()
            with anyio.move_on_after(FLUSH_SECONDS):
                await self._has_closed.wait()
            self._has_news.clear()
            await self._flush()
        await self._has_closed.wait()
        # Who sees that it has ended finds that the next turn can be taken.
        await self._turns.say(self.kept, self._response)
        *earlier, last = _rows(self._unwritten() if self._has_frames else [])
        await self._append(earlier)
        end = partial(self._responses.end, self.kept.id, self._response)
        await self._until_done(partial(end, frames=last, number=self._written))
        self._is_kept.set()

    async def _flush(self) -> None:
        await self._append(_rows(self.log.frames[self._written :]))

    async def _append(self, rows: Sequence[Sequence[bytes]]) -> None:
        for frames in rows:
            append = partial(self._responses.append, self.kept.id, frames, number=self._written)
            if frames and self._has_frames:
                self._has_frames = await self._until_done(append)  # it may have been deleted
                self._written += len(frames)

    def _unwritten(self) -> list[bytes]:
        said = self.log.frames[self._written :]
        return said if self.log.is_over else [*said, *split(self._last)]

    async def _until_done(self, write: Callable[[], T]) -> T:
        """Write when the database answers."""
        while True:
            with suppress(StorageUnavailable):  # which is logged
                return await anyio.to_thread.run_sync(write, limiter=self._limiter)
            await anyio.sleep(RETRY_SECONDS)


def _rows(frames: Sequence[bytes]) -> list[list[bytes]]:
    """The same in rows that can be read one by one, at least one, none larger than need be."""
    rows: list[list[bytes]] = [[]]
    left = PAGE_BYTES
    for frame in frames:
        left -= len(frame)
        if left < 0 and rows[-1]:
            rows.append([])
            left = PAGE_BYTES - len(frame)
        rows[-1].append(frame)
    return rows
