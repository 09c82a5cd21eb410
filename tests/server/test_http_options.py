import sys

import pytest
import uvicorn

from hayserve.server.http_options import http_options
from hayserve.server.limited_socket import LimitedSocket
from server.raw_http import Echo, on_the_web


def test_connections_are_limited() -> None:
    options = http_options(header_bytes=1000, header_seconds=1, body_seconds=1, message_bytes=1000)

    config = uvicorn.Config(Echo(), **options)

    assert config.http is options["http"]
    assert (config.ws, config.ws_max_size) == (LimitedSocket, 1000)


def test_without_httptools_the_size_of_headers_is_limited_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hayserve.server.http_protocol", None)

    with on_the_web(Echo(), header_bytes=1000) as web:
        assert web.ask(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").status == 200
        assert web.ask(b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"x" * 2000).status == 400
