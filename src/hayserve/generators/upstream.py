"""The bytes of a streamed answer, with errors as the SDK raises them."""

import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio
import httpx
import httpx2
import openai

from hayserve.generators.http_answer import BODY
from hayserve.generators.loop_pool import LoopBody
from hayserve.generators.thread_pool import LONGEST_DRAIN, ThreadBody

BodyT = TypeVar("BodyT")
TIMEOUTS = (httpx2.TimeoutException, httpx.TimeoutException)
FAILURES = (httpx2.RequestError, httpx.RequestError, ssl.SSLError, anyio.EndOfStream)


class AsyncUpstream:
    """Reads a streamed answer: our transport's directly, any other's through httpx."""

    def __init__(self, response: httpx2.Response) -> None:
        self._request = response.request
        body = _plain_body(response, LoopBody)
        self._read: Callable[[], Coroutine[Any, Any, bytes]] = (
            body.read if body else partial(anext, response.aiter_bytes(), b"")
        )

    async def read(self) -> bytes:
        """The next piece, empty at the end.

        Raises:
            openai.APITimeoutError: Nothing came in time.
            openai.APIConnectionError: The connection broke.
        """
        try:
            return await self._read()
        except TIMEOUTS as error:
            raise openai.APITimeoutError(self._request) from error
        except FAILURES as error:
            raise openai.APIConnectionError(request=self._request) from error

    async def drain(self) -> None:
        """Lets the rest go by, so that the connection can be used again."""
        with anyio.move_on_after(LONGEST_DRAIN), suppress(openai.APIConnectionError):
            while await self.read():
                pass


class ThreadUpstream:
    """Reads a streamed answer: our transport's directly, any other's through httpx."""

    def __init__(self, response: httpx2.Response) -> None:
        self._request = response.request
        self._body = _plain_body(response, ThreadBody)
        self._read: Callable[[], bytes] = (
            self._body.read if self._body else partial(next, response.iter_bytes(), b"")
        )

    def read(self) -> bytes:
        """The next piece, empty at the end.

        Raises:
            openai.APITimeoutError: Nothing came in time.
            openai.APIConnectionError: The connection broke.
        """
        try:
            return self._read()
        except TIMEOUTS as error:
            raise openai.APITimeoutError(self._request) from error
        except FAILURES as error:
            raise openai.APIConnectionError(request=self._request) from error

    def drain(self) -> None:
        """Lets the rest go by, so that the connection can be used again."""
        if self._body is not None:
            self._body.drain()


def _plain_body(response: httpx2.Response, kind: type[BodyT]) -> BodyT | None:
    body = response.extensions.get(BODY)
    return body if isinstance(body, kind) and "content-encoding" not in response.headers else None
