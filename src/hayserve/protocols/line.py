"""What the web server is told of a connection that stays open from one answer to the next."""

from typing import Protocol

EXTENSION = "hayserve.line"


class Line(Protocol):
    """The connection, as the web server gives it: `scope["extensions"][EXTENSION]`.

    When the server stops, it closes the connection at once unless something is under way.
    """

    is_busy: bool
