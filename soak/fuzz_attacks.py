"""What a client may send that no client should: broken HTTP, WebSocket and forms."""

import base64
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeAlias

from soak import fuzz_words as words
from soak.fuzz_mutations import Kind, Mutator

# A run whose answer has not the form that was asked for has failed, which is 500 for a reason.
_LEFT_OUT = ("format.json",)
LONGEST = 100_000  # bytes of a body that is changed
_CORPUS = Path(__file__).parent / "corpus"
_SOCKET = (
    b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Attack:
    """What is sent over one connection.

    Args:
        name: What kind it is.
        pieces: What is sent, piece by piece.
        pause: How long between them, in seconds.
    """

    name: str
    pieces: Sequence[bytes]
    pause: float = 0.0


_BODIES: Sequence[tuple[str, Kind]] = (
    *(("chat", "json"), ("compact", "json"), ("conversation", "json"), ("embeddings", "json")),
    *(("responses", "json"), ("responses_event", "json"), ("rest_json", "json")),
    *(("connection", "lines"), ("file_form", "lines"), ("rest_form", "lines")),
)

Make: TypeAlias = Callable[[Random], bytes]


class Attacks:
    """Makes them, the same ones for the same chance.

    Args:
        key: A key of the server that may do everything.
    """

    def __init__(self, key: str) -> None:
        self._key = b"authorization: Bearer " + key.encode()
        self._bodies = {name: _mutator(name, kind) for name, kind in _BODIES}
        self._kinds: Sequence[tuple[str, Make, int]] = (
            ("body", self._with_body, 30),
            ("form", self._with_form, 6),
            ("torture", _torture, 4),
            ("target", self._targeted, 8),
            ("line", _line, 6),
            ("header", self._with_headers, 12),
            ("flood", _flood, 2),
            ("framing", _framing, 8),
            ("chunks", _chunked, 6),
            ("pipeline", self._pipeline, 3),
            ("foreign", lambda chance: chance.choice(words.FOREIGN), 2),
            ("upgrade", _upgrade, 4),
            ("socket", self._socket, 8),
            ("archive", self._archive, 1),
        )
        self._weights = [weight for *_, weight in self._kinds]

    def make(self, chance: Random) -> Attack:
        """One of any kind."""
        [(name, make, _)] = chance.choices(self._kinds, self._weights)
        data = make(chance)
        if chance.random() < 0.1:
            data = self._bodies["connection"].changed(data, chance)
        if chance.random() < 0.1:
            data = data[: chance.randrange(len(data) + 1)]
        if chance.random() < 0.1 and len(data) > 1:
            cuts = sorted(
                chance.sample(range(1, len(data)), min(len(data) - 1, chance.choice((1, 2, 5))))
            )
            ends = zip([0, *cuts], [*cuts, len(data)], strict=True)
            return Attack(
                name, [data[begin:end] for begin, end in ends], chance.choice((0, 0.01, 0.1))
            )
        return Attack(name, [data])

    def _with_body(self, chance: Random) -> bytes:
        path, name = chance.choice(
            (
                *(
                    ("/echo/run", "rest_json"),
                    ("/agent/run", "rest_json"),
                    ("/v1/embeddings", "embeddings"),
                ),
                *(
                    ("/v1/chat/completions", "chat"),
                    ("/chat/completions", "chat"),
                    ("/v1/responses", "responses"),
                ),
                *(("/v1/responses/compact", "compact"), ("/v1/conversations", "conversation")),
                ("/v1/conversations/conv_1/items", "conversation"),
            )
        )
        model = chance.choice((b"echo", b"agent"))
        body = self._changed(name, chance).replace(b'"model": "it"', b'"model": "%s"' % model)
        if name == "responses" and chance.random() < 0.9:
            body = body.replace(b'"store": true', b'"store": false')
        return self._request(b"POST", path.encode(), body, chance=chance)

    def _with_form(self, chance: Random) -> bytes:
        name, path = chance.choice((("rest_form", b"/upload/run"), ("file_form", b"/v1/files")))
        kind, _, body = self._changed(name, chance).partition(b"\n")
        return self._request(b"POST", path, body, chance=chance, kind=kind)

    def _changed(self, name: str, chance: Random) -> bytes:
        mutator = self._bodies[name]
        seed = chance.choice(mutator.seeds)
        return mutator.changed(seed, chance)[:LONGEST] if chance.random() < 0.9 else seed

    def _request(
        self,
        method: bytes,
        path: bytes,
        body: bytes,
        *,
        chance: Random,
        kind: bytes = b"application/json",
    ) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (method, path), b"host: localhost"]
        if body:
            lines += [b"content-type: " + kind, b"content-length: %d" % len(body)]
        if chance.random() < 0.3:
            lines.append(self._key)
        return b"\r\n".join([*lines, b"", body])

    def _targeted(self, chance: Random) -> bytes:
        path = chance.choice(words.ODD_PATHS) if chance.random() < 0.5 else _bent_path(chance)
        method = chance.choice(words.METHODS[:10])
        body = b"{}" if method in (b"POST", b"PUT") else b""
        return self._request(method, path, body, chance=chance)

    def _with_headers(self, chance: Random) -> bytes:
        head, _, body = self._with_body(chance).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        for _ in range(chance.choice((1, 1, 2, 5, 60))):
            value = chance.choice((*words.ODD_VALUES, *words.LENGTHS))
            line = (
                chance.choice(words.NAMES)
                + chance.choice((b": ", b":", b" : ", b"", b":\r\n "))
                + value
            )
            lines.insert(chance.randrange(1, len(lines) + 1), line)
        return b"\r\n".join([*lines, b"", body])

    def _pipeline(self, chance: Random) -> bytes:
        makes = (self._with_body, self._targeted, _framing, _chunked)
        return b"".join(chance.choice(makes)(chance) for _ in range(chance.choice((2, 3, 8, 130))))[
            :LONGEST
        ]

    def _socket(self, chance: Random) -> bytes:
        frames = [self._frame(chance) for _ in range(chance.choice((1, 2, 4, 12)))]
        return (
            _SOCKET + b"".join(frames) + (_frame(8, b"\x03\xe8") if chance.random() < 0.5 else b"")
        )

    def _frame(self, chance: Random) -> bytes:
        if chance.random() < 0.4:
            message = self._changed("responses_event", chance)
            message = message.replace(b'"model": "it"', b'"model": "echo"')
            return _frame(1, message.replace(b'"store": true', b'"store": false'))
        if chance.random() < 0.2:
            code = struct.pack(">H", chance.choice(words.CLOSE_CODES))
            return _frame(8, code + chance.choice((b"", b"bye", b"\xff", b"x" * 200)))
        message = chance.choice(
            (b"", b"{}", b"\xff\xfe", b"[]", b"x" * 126, b"x" * 70_000, b"null")
        )
        return _frame(
            chance.choice((0, 1, 2, 3, 7, 8, 9, 10, 11, 15)),
            message,
            is_last=chance.random() < 0.7,
            is_masked=chance.random() < 0.8,
            size=chance.choice((None, None, None, 0, 125, 2**16, 2**31, 2**63)),
            reserved=chance.choice((0, 0, 0, 0, 4, 7)),
        )

    def _archive(self, chance: Random) -> bytes:
        """Bytes that are no archive, for a caller who may deploy."""
        body = chance.randbytes(chance.choice((0, 10, 2000)))
        body = chance.choice((b"", b"PK\3\4", b"\x1f\x8b\x08", b"PK\5\6")) + body
        lines = (b"PUT /deployments/x?overwrite=true HTTP/1.1", b"host: localhost", self._key)
        return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


def _mutator(name: str, kind: Kind) -> Mutator:
    files = sorted(file for file in (_CORPUS / name).iterdir() if file.name not in _LEFT_OUT)
    seeds = [file.read_bytes() for file in files]
    return Mutator(
        kind, [_compact(seed) if kind == "json" else seed for seed in seeds], most=LONGEST
    )


def _compact(seed: bytes) -> bytes:
    return json.dumps(json.loads(seed)).encode()


def _bent_path(chance: Random) -> bytes:
    path = chance.choice(words.PATHS).encode()
    at = chance.randrange(len(path) + 1)
    odd = chance.choice(
        (b"%00", b"%ff", b"%2f", b"%25", b"..", b"/", b"?limit=0", b"?after=%00", b"\xe9", b"")
    )
    query = chance.choice(
        (
            b"",
            b"?limit=5&order=x",
            b"?limit=" + b"9" * 50,
            b"?" + b"a=b&" * 2000,
            b"?stream=true&starting_after=-1",
        )
    )
    return path[:at] + odd + path[at:] + query


def _line(chance: Random) -> bytes:
    path = chance.choice((*words.ODD_PATHS, *(path.encode() for path in words.PATHS)))
    space = chance.choice((b" ", b" ", b" ", b"  ", b"\t", b"", b"\0"))
    line = space.join([chance.choice(words.METHODS), path, chance.choice(words.VERSIONS)])
    end = chance.choice(words.LINE_ENDS)
    return (
        end.join(
            [line, b"host: localhost", chance.choice((b"", b"x: y", b" folded", b"no colon")), b""]
        )
        + end
    )


def _flood(chance: Random) -> bytes:
    begin = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
    return chance.choice(
        (
            begin + b"x-a: b\r\n" * chance.choice((250, 257, 5000)),
            begin + b"x-a: " + b"b" * chance.choice((60_000, 70_000, 900_000)),
            begin + b"".join(b"x-%d: %s\r\n" % (n, b"v" * 300) for n in range(300)) + b"\r\n",
            b"GET /" + b"a" * chance.choice((60_000, 300_000)) + b" HTTP/1.1\r\n",
            begin + b"cookie: a=b\r\n" * 200 + b"\r\n",
            begin + b"x" * 100_000,
            begin + b"x: y\r\n " * 9000,
        )
    )


def _framing(chance: Random) -> bytes:
    """Requests of which two servers in a row may think differently where they end."""
    lines = [b"POST /echo/run HTTP/1.1", b"host: localhost", b"content-type: application/json"]
    for _ in range(chance.choice((1, 2, 2, 3))):
        if chance.random() < 0.6:
            value = chance.choice(words.LENGTHS) if chance.random() < 0.7 else b"2"
            lines.append(
                chance.choice((b"content-length: ", b"Content-Length:", b"content-length : "))
                + value
            )
        else:
            lines.append(
                chance.choice((b"transfer-encoding: ", b"Transfer-Encoding:\t"))
                + chance.choice(words.CODINGS)
            )
    hidden = b"GET /status/hidden HTTP/1.1\r\nhost: localhost\r\n\r\n"
    body = chance.choice((b"{}", b"", b"0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n"))
    return b"\r\n".join([*lines, b"", body]) + (hidden if chance.random() < 0.5 else b"")


def _chunked(chance: Random) -> bytes:
    head = b"POST /echo/run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    trailer = b"trailer: host\r\n" if chance.random() < 0.2 else b""
    return head + trailer + b"transfer-encoding: chunked\r\n\r\n" + chance.choice(words.CHUNKS)


def _upgrade(chance: Random) -> bytes:
    lines = [
        chance.choice((b"GET", b"GET", b"POST", b"HEAD", b"PUT")) + b" "
        + chance.choice((b"/v1/responses", b"/responses", b"/status", b"/echo/run", b"/nothing"))
        + b" " + chance.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")),
        b"host: localhost",
        b"connection: " + chance.choice((b"upgrade", b"Upgrade, close", b"close", b"a, upgrade")),
        b"upgrade: " + chance.choice(words.UPGRADES),
    ]  # fmt: skip
    optional = (
        b"sec-websocket-version: " + chance.choice((b"13", b"8", b"0", b"x", b"13, 8", b"")),
        b"sec-websocket-key: "
        + chance.choice((b"dGhlIHNhbXBsZSBub25jZQ==", b"x", b"", b"AA==", b"\xff")),
        b"sec-websocket-protocol: " + chance.choice((b"a, b", b"", b"\0", b"realtime")),
        b"sec-websocket-extensions: "
        + chance.choice((b"permessage-deflate", b'x; y="', b"," * 500)),
        b"origin: "
        + chance.choice((b"http://localhost", b"http://evil.example", b"null", b"\xff")),
        b"content-length: " + chance.choice((b"2", b"0", b"999")),
        b"transfer-encoding: " + chance.choice(words.CODINGS),
        b"http2-settings: AAMAAABkAAQAAP__",
    )
    lines += [line for line in optional if chance.random() < 0.5]
    return b"\r\n".join(
        [*lines, b"", chance.choice((b"", b"{}", _frame(1, b"{}"), b"2\r\n{}\r\n0\r\n\r\n"))]
    )


def _frame(
    kind: int,
    message: bytes,
    *,
    is_last: bool = True,
    is_masked: bool = True,
    size: int | None = None,
    reserved: int = 0,
) -> bytes:
    """Source: https://www.rfc-editor.org/rfc/rfc6455#section-5.2"""
    said = len(message) if size is None else size
    mask = b"\1\2\3\4" if is_masked else b""
    first = bytes([is_last << 7 | reserved << 4 | kind])
    flag = 0x80 if is_masked else 0
    if said < 126:
        length = bytes([flag | said])
    elif said < 2**16:
        length = bytes([flag | 126]) + struct.pack(">H", said)
    else:
        length = bytes([flag | 127]) + struct.pack(">Q", said)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(message)) if is_masked else message
    return first + length + mask + masked


def _torture(chance: Random) -> bytes:
    """Forms that are hard to read."""
    part = b'--b\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    file = b'--b\r\ncontent-disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
    body = chance.choice(
        (
            lambda: part % (b"title", b"x") * chance.choice((10, 999, 1001, 1500)),
            lambda: file % (b"a", b"x") * chance.choice((10, 1001)),
            lambda: b"--b\r\n" + b"x-a: b\r\n" * 5000,
            lambda: b"--b\r\ncontent-disposition: form-data; name=" + b"x" * 90_000,
            lambda: b"--b\r\n\r\nno name\r\n",
            lambda: b"--b\r\n" * 5000,
            lambda: b"--b" * 20_000,
            lambda: part % (b"title", b"-" * 90_000),
            lambda: part % (b"title", b"\r\n--" * 20_000),
            lambda: file % (b"\0\xff\r\n../../x", b"x"),
            lambda: file % (b"a" * 9000, base64.b64encode(bytes(2000))),
            lambda: part % (b'a"; name="title', b"\xff\xfe"),
            lambda: b"--b\r\ncontent-disposition: form-data; name*=utf-8''%ff\r\n\r\nx\r\n",
            lambda: (
                b"--b\r\ncontent-type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n"
            ),
            lambda: (
                b"--b\r\ncontent-disposition: form-data; name=title\r\n"
                b"content-transfer-encoding: x\r\n\r\n"
            ),
            lambda: b"preamble " * 5000 + part % (b"title", b"x"),
        )
    )()
    body += chance.choice((b"--b--\r\n", b"--b--\r\nepilogue", b"", b"--b-", b"--b--" * 1000))
    boundary = chance.choice(
        (b"b", b"b", b"b", b"b", b'"b"', b"", b"c", b"b" * 300, b"\xff", b"b; charset=utf-7")
    )
    path = chance.choice((b"/upload/run", b"/v1/files", b"/echo/run", b"/v1/chat/completions"))
    kind = b"content-type: multipart/form-data; boundary=" + boundary
    head = (b"POST %s HTTP/1.1" % path, b"host: localhost", kind, b"content-length: %d" % len(body))
    return b"\r\n".join([*head, b"", body])
