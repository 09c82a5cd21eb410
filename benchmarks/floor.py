"""The floor: a bare ASGI application that sends bytes which were recorded, and does nothing else.

The file named by `FLOOR_ANSWER` is an answer of hayserve: its content type, a line end, its body.
A stream of events is sent event by event, as a server must that does not know what comes next.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]


def create_app() -> Application:
    kind, _, body = Path(os.environ["FLOOR_ANSWER"]).read_bytes().partition(b"\n")
    headers = [(b"content-type", kind)]
    if kind.startswith(b"text/event-stream"):
        pieces = [event + b"\n\n" for event in body.split(b"\n\n") if event]
    else:
        pieces = [body]
        headers.append((b"content-length", b"%d" % len(body)))

    async def app(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        assert scope["type"] == "http", "started without lifespan"
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1], "more_body": False})

    return app
