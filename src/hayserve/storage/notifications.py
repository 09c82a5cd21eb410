"""Changes of a PostgreSQL database: its notifications, on a connection of its own."""

import selectors
import socket
from contextlib import suppress
from typing import Any

import psycopg

from hayserve.storage.postgres import CHANNEL

RETRY_SECONDS = 0.5


class Notifications:
    """Listens; a connection that is lost is made anew, for as long as it takes.

    Args:
        arguments: For `psycopg.connect`.
    """

    is_polled = False

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._connection: psycopg.Connection | None = None
        self._woken, self._waker = socket.socketpair()
        self.changed()

    def changed(self) -> bool:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(**self._arguments, autocommit=True)
                self._connection.execute(f"LISTEN {CHANNEL}")
                return True  # nobody knows what happened meanwhile
            return bool([*self._connection.notifies(timeout=0)])
        except psycopg.Error:
            self._hang_up()
            return False

    def pause(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            if self._connection is None:
                selector.select(min(seconds, RETRY_SECONDS))
            else:
                selector.register(self._connection.fileno(), selectors.EVENT_READ)
                selector.select(seconds)

    def wake(self) -> None:
        with suppress(OSError):  # the thread that waited has closed it already
            self._waker.send(b"!")

    def close(self) -> None:
        self._hang_up()
        self._woken.close()
        self._waker.close()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
