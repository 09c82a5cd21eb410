"""What a server that runs says of itself by what it lets strangers do."""

import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hayserve.cli.connect import Place
from hayserve.cli.probe import Heard, ask, has_other_settings, of_answers, own_address

HERE = Place("http://localhost:1416", 1416, is_here=True, key=None)
THERE = Place("https://agents.example", 443, is_here=False, key="hs_key")


def levels(heard: Heard | None, place: Place, words: str) -> list[str]:
    return [one.level for one in of_answers(heard, place) if words in one.what]


async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def models(request: Request) -> Response:
    """As a server that nobody's key opens, and that a proxy tells the name of."""
    is_known = "authorization" in request.headers or "origin" in request.headers
    return JSONResponse({}, status_code=200 if is_known else 401)


async def keys(request: Request) -> Response:
    if request.headers.get("authorization") != "Bearer admin":
        return JSONResponse({"detail": "No."}, status_code=403)
    return JSONResponse({"keys": []})


@contextmanager
def serving(*routes: Route) -> Generator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(Starlette(routes=routes), ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(
        Route("/ai/healthz", healthz), Route("/ai/v1/models", models), Route("/ai/keys", keys)
    ) as port:
        yield port


def place(port: int, *, key: str | None = None, is_here: bool = True) -> Place:
    return Place(f"http://127.0.0.1:{port}/ai", port, is_here=is_here, key=key)


def test_a_server_is_asked_as_strangers_would(port: int) -> None:
    assert ask(place(port), verify=True, find_address=lambda: None) == Heard(
        as_nobody=401, keys_as_nobody=403, under_another_name=401, as_a_page=200
    )


def test_its_keys_are_told_to_a_key_that_may_know(port: int) -> None:
    admin = ask(place(port, key="admin"), verify=True, find_address=lambda: None)
    other = ask(place(port, key="run"), verify=True, find_address=lambda: None)

    assert admin is not None
    assert (admin.with_key, admin.keys) == (200, [])
    assert other is not None
    assert (other.with_key, other.keys) == (403, None)


def test_a_server_here_is_looked_for_where_others_would(port: int) -> None:
    heard = ask(place(port), verify=True, find_address=lambda: "127.0.0.1")
    elsewhere = ask(place(port, is_here=False), verify=True, find_address=lambda: "127.0.0.1")
    unreached = ask(place(port), verify=True, find_address=lambda: "not-an-address.invalid")

    assert heard is not None
    assert (heard.outside, heard.from_outside) == (f"http://127.0.0.1:{port}/ai", 401)
    assert elsewhere is not None
    assert elsewhere.outside == ""
    assert unreached is not None
    assert unreached.outside == ""


def test_what_is_no_server_of_ours_is_not_asked_any_further(port: int) -> None:
    assert ask(Place(f"http://127.0.0.1:{port}", port, True, key=None), verify=True) is None


def test_a_machine_without_a_network_has_no_address() -> None:
    assert own_address(("not-an-address.invalid", 9)) is None
    assert own_address(("127.0.0.1", 9)) == "127.0.0.1"


def test_where_nothing_answers_that_is_told() -> None:
    assert levels(None, HERE, "No server answers at http://localhost:1416") == ["note"]


def test_running_without_a_key_is_for_this_machine_only() -> None:
    open_door = Heard(as_nobody=200, keys_as_nobody=401)

    assert levels(open_door, HERE, "without a key") == []
    assert levels(open_door, THERE, "Whoever reaches https://agents.example may run") == ["danger"]


def test_a_server_that_tells_its_keys_lets_everybody_in() -> None:
    heard = Heard(
        as_nobody=200, keys_as_nobody=200, outside="http://10.0.0.5:1416", from_outside=200
    )

    assert levels(heard, HERE, "lets everybody do everything") == ["danger"]
    assert levels(heard, HERE, "Others reach the server at http://10.0.0.5:1416") == ["danger"]


def test_a_name_that_leads_to_this_machine_is_no_way_in() -> None:
    heard = Heard(as_nobody=200, keys_as_nobody=401, under_another_name=200)

    assert levels(heard, HERE, "under any name") == ["danger"]
    assert levels(heard, THERE, "under any name") == []


def test_a_page_of_any_origin_is_no_way_in() -> None:
    heard = Heard(as_nobody=200, keys_as_nobody=401, as_a_page=200)

    assert levels(heard, HERE, "pages of any origin") == ["danger"]


def test_beyond_this_machine_a_key_is_asked_for() -> None:
    heard = Heard(
        as_nobody=401, keys_as_nobody=401, outside="http://10.0.0.5:1416", from_outside=401
    )

    assert levels(heard, HERE, "where it asks for a key, without TLS") == ["note"]


def test_a_key_that_may_not_see_keys_is_told() -> None:
    assert levels(Heard(with_key=403), THERE, "does not take the key") == ["warning"]
    assert levels(Heard(with_key=200), THERE, "does not take the key") == []
    assert levels(Heard(), HERE, "does not take the key") == []


@pytest.mark.parametrize(
    ("heard", "is_open", "is_local", "other"),
    [
        (Heard(as_nobody=200, keys_as_nobody=401), True, True, False),
        (Heard(as_nobody=401, keys_as_nobody=401), True, True, True),
        (Heard(as_nobody=200, keys_as_nobody=200), False, False, False),
        (Heard(as_nobody=401, outside="http://10.0.0.5:1416"), False, True, True),
        (Heard(as_nobody=401, outside="http://10.0.0.5:1416"), False, False, False),
    ],
)
def test_other_settings_are_noticed_by_what_they_do(
    heard: Heard, *, is_open: bool, is_local: bool, other: bool
) -> None:
    assert has_other_settings(heard, is_open=is_open, is_local=is_local) is other
