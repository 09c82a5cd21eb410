"""The connections that all generators share that are run by threads."""

import functools
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from weakref import WeakSet

import httpx2

from hayserve.generators.dial import Origin, dial_blocking, origin_of
from hayserve.generators.http_answer import Answer, bytes_of
from hayserve.generators.loop_connection import LONGEST_REST
from hayserve.generators.loop_pool import MOST_RESTING

READ_AT_ONCE = 65_536
LONGEST_DRAIN = 0.1
"""How long the end of an answer is waited for after its last event, in seconds."""


class ThreadConnection:
    """A connection that one thread uses at a time."""

    def __init__(self, origin: Origin, *, patience: float | None) -> None:
        self.origin = origin
        self.rests_since = 0.0
        self._socket = dial_blocking(origin, patience=patience)
        self._answer = Answer()

    @property
    def reusable(self) -> bool:
        """The answer is complete, and the connection takes another request."""
        return self._answer.complete and self._answer.reusable

    def is_quiet(self) -> bool:
        """Nothing has come while it rested: neither an end nor what nobody asked for."""
        self._socket.settimeout(0)
        try:
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)  # encrypted or not
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def exchange(self, request: bytes, *, timeouts: dict[str, float | None]) -> Answer:
        """Sends a request and waits for the status and the headers of the answer."""
        self._answer = answer = Answer()
        try:
            self._socket.settimeout(timeouts.get("write"))
            self._socket.sendall(request)
            self._socket.settimeout(timeouts.get("read"))
        except TimeoutError as error:
            raise httpx2.WriteTimeout("The request was not taken in time") from error
        except OSError as error:
            raise httpx2.WriteError(str(error)) from error
        while not answer.begun:
            self._receive()
        return answer

    def read(self) -> bytes:
        """The next piece of the body, empty at its end.

        Raises:
            httpx2.ReadTimeout: Nothing came in time.
            httpx2.ReadError: The connection broke.
            httpx2.RemoteProtocolError: What came is no answer, or ended too early.
        """
        while not self._answer.waiting:
            if self._answer.complete:
                return b""
            self._receive()
        return self._answer.take()

    def drain(self) -> None:
        """Waits a moment for the end of the answer, so that the connection can be used again."""
        self._socket.settimeout(LONGEST_DRAIN)
        try:
            while self.read():
                pass
        except httpx2.TransportError:
            self.close()

    def close(self) -> None:
        """Closes the connection at once."""
        self._socket.close()

    def _receive(self) -> None:
        try:
            received = self._socket.recv(READ_AT_ONCE)
        except TimeoutError as error:
            raise httpx2.ReadTimeout("Nothing came in time") from error
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error
        if received:
            self._answer.feed(received)
        else:
            self._answer.end()


class ThreadPool:
    """The connections of a process, by origin, and who uses them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._resting: defaultdict[Origin, list[ThreadConnection]] = defaultdict(list)
        self._users: WeakSet[ThreadTransport] = WeakSet()

    def join(self, user: "ThreadTransport") -> None:
        """As long as it has users, connections are kept."""
        with self._lock:
            self._users.add(user)

    def leave(self, user: "ThreadTransport") -> None:
        """The last user closes what nobody uses."""
        with self._lock:
            self._users.discard(user)
            if self._users:
                return
            resting, self._resting = self._resting, defaultdict(list)
        for connection in chain.from_iterable(resting.values()):
            connection.close()

    def connection(self, origin: Origin, *, patience: float | None) -> ThreadConnection:
        """One that rests, or a new one."""
        while (connection := self._rested(origin)) is not None:
            if connection.is_quiet():
                return connection
            connection.close()
        return ThreadConnection(origin, patience=patience)

    def put_back(self, connection: ThreadConnection) -> None:
        """Keeps a connection for the next request, if it takes one."""
        with self._lock:
            resting = self._resting[connection.origin]
            wanted = connection.reusable and bool(self._users) and len(resting) < MOST_RESTING
            if wanted:
                connection.rests_since = time.monotonic()
                resting.append(connection)
        if not wanted:
            connection.close()

    def _rested(self, origin: Origin) -> ThreadConnection | None:
        oldest = time.monotonic() - LONGEST_REST
        with self._lock:
            resting = self._resting[origin]
            while resting and resting[0].rests_since < oldest:
                resting.pop(0).close()
            return resting.pop() if resting else None


@functools.cache
def thread_pool(process: int) -> ThreadPool:
    """The pool of a process: one that was forked off must not use its parent's connections."""
    del process
    return ThreadPool()


class ThreadTransport(httpx2.BaseTransport):
    """What an `httpx2.Client` sends its requests by: the shared connections of the process."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        pool = thread_pool(os.getpid())
        pool.join(self)
        request.read()
        sent = bytes_of(request)
        timeouts = request.extensions.get("timeout", {})
        connection = pool.connection(origin_of(request.url), patience=timeouts.get("connect"))
        try:
            answer = connection.exchange(sent, timeouts=timeouts)
        except BaseException:
            connection.close()
            raise
        return answer.as_response(ThreadBody(connection, pool))

    def close(self) -> None:
        thread_pool(os.getpid()).leave(self)


class ThreadBody(httpx2.SyncByteStream):
    """The body of an answer as it comes in."""

    def __init__(self, connection: ThreadConnection, pool: ThreadPool) -> None:
        self._connection: ThreadConnection | None = connection
        self._pool = pool

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece

    def read(self) -> bytes:
        """The next piece, empty at the end."""
        return self._connection.read() if self._connection is not None else b""

    def drain(self) -> None:
        """What is still to come is of no use; the connection is, once it has come."""
        if self._connection is not None:
            self._connection.drain()

    def close(self) -> None:
        if self._connection is not None:
            self._pool.put_back(self._connection)
            self._connection = None
