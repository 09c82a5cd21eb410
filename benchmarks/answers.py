"""Reads answers of HTTP/1.1, and of each only what a load needs to know."""

from dataclasses import dataclass, field

FRAME = b"data: "
_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_KEPT = 64  # bytes of the last piece: more than anything that is looked for


@dataclass(slots=True)
class Count:
    """How often `what` was seen in bytes that arrive in pieces."""

    what: bytes
    seen: int = 0

    def add(self, before: bytes, piece: bytes) -> int:
        """Count it in `piece`, and across the border to what came `before`; gives the number."""
        reach = len(self.what) - 1
        found = piece.count(self.what) + (before[-reach:] + piece[:reach]).count(self.what)
        self.seen += found
        return found


@dataclass(slots=True)
class AnswerReader:
    """Reads one answer after another from a connection that sends one request at a time.

    The body may have a length, be sent in chunks, or last until the connection is closed. Chunks
    are not taken apart: servers send whole events in one, so that nothing counted is cut.

    Args:
        token: What is counted as a token.
        ending: What a whole answer has, besides an end that HTTP knows.
    """

    token: bytes
    ending: bytes
    status: int = 0
    tokens: Count = field(init=False)
    frames: Count = field(init=False)
    endings: Count = field(init=False)
    _head: bytes = b""
    _before: bytes = b""
    _left: int | None = None
    _is_chunked: bool = False

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Be ready for the next answer."""
        self.status, self._head, self._before, self._left = 0, b"", b"", None
        self._is_chunked = False
        self.tokens, self.frames, self.endings = map(Count, (self.token, FRAME, self.ending))

    def feed(self, piece: bytes) -> tuple[int, bool]:
        """Take what arrived; gives the tokens in it, and whether the answer is whole."""
        if not self.status:
            head, end, piece = (self._head + piece).partition(_HEAD_END)
            if not end:
                self._head = head
                return 0, False
            self._read_head(head)
        tokens = self.tokens.add(self._before, piece)
        self.frames.add(self._before, piece)
        self.endings.add(self._before, piece)
        self._before = (self._before + piece[-_KEPT:])[-_KEPT:]
        if self._is_chunked:
            return tokens, self._before.endswith(_LAST_CHUNK)
        if self._left is not None:
            self._left -= len(piece)
            return tokens, self._left <= 0
        return tokens, False

    def _read_head(self, head: bytes) -> None:
        lines = head.lower().split(b"\r\n")
        self.status = int(lines[0].split()[1])
        headers = {name: value for name, _, value in (line.partition(b":") for line in lines[1:])}
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            self._is_chunked, self._before = True, b"\r\n"
        elif b"content-length" in headers:
            self._left = int(headers[b"content-length"])
