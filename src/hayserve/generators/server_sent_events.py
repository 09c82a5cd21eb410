"""Server-sent events out of a stream of bytes, however it is cut into pieces.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""


class EventSplitter:
    """Takes pieces of a stream and gives the data of every event that is complete.

    The names, numbers and comments of events are left out: a chat's events have no use for them.
    """

    def __init__(self) -> None:
        self._open: list[bytes] = []
        self._after_return = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that `piece` completes, in order."""
        if self._after_return or b"\r" in piece:
            piece = self._with_plain_line_ends(piece)
        if b"\n" not in piece:
            self._open.append(piece)  # joined once, not with each piece of a long event
            return []
        events = b"".join((*self._open, piece)).split(b"\n\n")
        self._open = [events.pop()]
        return [data for event in events if (data := _data_of(event)) is not None]

    def _with_plain_line_ends(self, piece: bytes) -> bytes:
        if not piece:
            return piece
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data_of(event: bytes) -> bytes | None:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [
        line[5:].removeprefix(b" ")
        for line in event.split(b"\n")
        if line.startswith(b"data:") or line == b"data"
    ]
    return b"\n".join(lines) if lines else None
