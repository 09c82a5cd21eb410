"""Writes named server-sent events with sequence numbers, the frequent ones with little work."""

from typing import Any

from hayserve.protocols.json_bytes import to_json


def delta_prefix(kind: str, **fields: Any) -> bytes:
    """All of a delta event that stays the same from one delta of an item to the next."""
    return b'event: %s\ndata: %s,"delta":' % (kind.encode(), to_json({"type": kind, **fields})[:-1])


class Frames:
    """Numbers the events of one stream, from 0."""

    def __init__(self) -> None:
        self._next = 0

    def frame(self, kind: str, **fields: Any) -> bytes:
        data = to_json({"type": kind, "sequence_number": self._next, **fields})
        self._next += 1
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)

    def delta(self, prefix: bytes, text: str) -> bytes:
        """A delta event; only the text and the number are made anew (see `delta_prefix`)."""
        frame = b'%s%s,"sequence_number":%d}\n\n' % (prefix, to_json(text), self._next)
        self._next += 1
        return frame
