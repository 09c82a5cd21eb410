"""A form that cannot be read is the client's mistake, not the server's."""

import pytest
from starlette.requests import Request
from starlette.types import Message, Scope

from hayserve.errors import InvalidRequest
from hayserve.protocols.form import form_in

pytestmark = pytest.mark.anyio

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a-\xff"\r\n\r\nabc\r\n'
    b"--x--\r\n"
)


def request_with(content_type: str, body: bytes = FORM) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    scope: Scope = {
        "type": "http",
        "app": None,
        "headers": [(b"content-type", content_type.encode())],
    }
    return Request(scope, receive)


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=latin-1", "; charset=none"])
async def test_a_form_is_read(charset: str) -> None:
    request = request_with(f"multipart/form-data; boundary=x{charset}")
    form = await form_in(request)
    assert list(form) == ["purpose", "file"]
    assert form["purpose"] == "user_data"
    await request.close()


@pytest.mark.parametrize("charset", ["undefined", "punycode"])
async def test_a_charset_in_which_nothing_can_be_is_refused(charset: str) -> None:
    request = request_with(f"multipart/form-data; boundary=x; charset={charset}")
    with pytest.raises(InvalidRequest, match="in the charset that it names") as refused:
        await form_in(request)
    assert "`charset`" in refused.value.hint


async def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Missing boundary"):
        await form_in(request_with("multipart/form-data"))
