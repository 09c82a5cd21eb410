"""Which requests are taken past the rest of the application, and how their errors are answered."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route, Router
from starlette.types import Message, Scope

from hayserve.access.identity import STRANGER
from hayserve.access.rules import Rule
from hayserve.errors import NotFound, TooBusy
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.protocols.described import RuledRoute
from hayserve.server.front import Front
from hayserve.server.middleware import RunIds
from protocols.doors import entrance

pytestmark = pytest.mark.anyio

HEADERS = [(b"content-type", b"application/json")]


class Client:
    """Who sends one request, and what it is answered."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        await anyio.sleep_forever()
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        pairs: list[tuple[bytes, bytes]] = self.sent[0]["headers"]
        return {name.decode(): value.decode() for name, value in pairs}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def answer(self) -> Any:
        return json.loads(self.body)


def scope_of(path: str, *, method: str = "POST", **extra: Any) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": HEADERS,
        **extra,
    }


async def says_where(call: Call) -> None:
    await call.answer(json.dumps(["deployment", call.scope["path_params"]["name"]]).encode())


async def chats(call: Call) -> None:
    await call.answer(b'["chat"]')


async def other(request: Request) -> Response:
    return PlainTextResponse("other")


def run(path: str, handle: Callable[[Call], Awaitable[None]]) -> RuledRoute:
    return RuledRoute(path, RunEndpoint(handle, Reading()), method="POST", allows=Rule.RUN)


def front(
    of_deployments: Callable[[Call], Awaitable[None]] = says_where,
    chat: Callable[[Call], Awaitable[None]] = chats,
) -> tuple[Front, RunIds]:
    routes = [
        run("/v1/chat/completions", chat),
        Route("/status/{name}", other),
        run("/{name}/run", of_deployments),
    ]
    fast = Front(
        Starlette(routes=[Route("/{rest:path}", other, methods=["GET"])]), routes, entrance()
    )
    return fast, RunIds(fast)


async def asked(app: RunIds, scope: Scope) -> Client:
    client = Client()
    await app(scope, client.receive, client.send)
    return client


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v1/chat/completions", ["chat"]),
        ("/it/run", ["deployment", "it"]),
        ("/run/run", ["deployment", "run"]),
        ("/a b/run", ["deployment", "a b"]),
    ],
)
async def test_a_request_for_a_run_goes_straight_to_its_endpoint(path: str, answer: object) -> None:
    fast, app = front()
    assert fast.starts_run(scope_of(path))
    client = await asked(app, scope_of(path))
    assert (client.status, client.answer) == (200, answer)


@pytest.mark.parametrize(
    "path",
    [
        "/run",
        "//run",
        "/it/run/",
        "/it/run\n",
        "/a/b/run",
        "/it/runs",
        "/it/rerun",
        "/status/it",
        "/undeploy/run",
        "/v1/chat",
    ],
)
async def test_every_other_path_is_for_the_application(path: str) -> None:
    fast, app = front()
    assert not fast.starts_run(scope_of(path))
    assert (await asked(app, scope_of(path))).status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/it/run\n",
        "/v1/chat/completions\n",
        "/api-x/run",
        "/api/it/run",
        "/api/v1/chat/completions",
    ],
)
async def test_no_run_comes_past_the_front(path: str) -> None:
    # Behind it nobody counts what callers use.
    fast, app = front()
    scope = scope_of(path, root_path="/api")
    behind = Router(routes=[run("/v1/chat/completions", chats), run("/{name}/run", says_where)])
    is_found = any(route.matches(scope)[0] is Match.FULL for route in behind.routes)
    assert fast.starts_run(scope) == is_found
    assert (await asked(app, scope)).status == (200 if is_found else 405)


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "DELETE"])
async def test_other_methods_are_for_the_application(method: str) -> None:
    fast, app = front()
    assert not fast.starts_run(scope_of("/it/run", method=method))
    client = await asked(app, scope_of("/it/run", method=method))
    assert client.status == (200 if method == "GET" else 405)


async def test_what_is_not_http_is_for_the_application() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        seen.append(scope)

    client = Client()
    await Front(app, [], entrance())({"type": "lifespan"}, client.receive, client.send)
    assert seen == [{"type": "lifespan"}]


async def test_without_endpoints_for_runs_all_is_for_the_application() -> None:
    fast = Front(Starlette(), [Route("/it/run", other, methods=["POST"])], entrance())
    assert not fast.starts_run(scope_of("/it/run"))


async def test_who_may_not_run_comes_no_further() -> None:
    _, app = front()
    client = await asked(app, scope_of("/it/run", state={"identity": STRANGER}))
    assert (client.status, client.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("path", ["/it/run", "/api/it/run"])
async def test_the_path_that_a_proxy_puts_before_its_own_does_not_matter(path: str) -> None:
    _, app = front()
    client = await asked(app, scope_of(path, root_path="/api"))
    assert client.answer == ["deployment", "it"]


async def fails_before(error: BaseException) -> Client:
    async def fails(call: Call) -> None:
        raise error

    _, app = front(fails, fails)
    return await asked(app, scope_of("/it/run"))


async def test_an_error_is_answered_as_the_clients_of_the_path_expect_it() -> None:
    async def fails(call: Call) -> None:
        raise NotFound("No such thing.", hint="Look.")

    _, app = front(fails, fails)
    plain = await asked(app, scope_of("/it/run"))
    assert plain.status == 404
    assert (plain.answer["detail"], plain.answer["hint"]) == ("No such thing.", "Look.")
    assert plain.answer["run_id"] == plain.headers["x-request-id"]
    openai = await asked(app, scope_of("/v1/chat/completions"))
    assert openai.status == 404
    assert openai.answer["error"]["message"] == "No such thing. Look."


async def test_who_comes_when_too_much_is_under_way_is_told_when_to_come_again() -> None:
    client = await fails_before(TooBusy("Full.", retry_after=7))
    assert (client.status, client.headers["retry-after"]) == (429, "7")
    assert client.answer["code"] == "too_busy"


async def test_an_http_exception_keeps_its_status_and_headers() -> None:
    client = await fails_before(HTTPException(418, "Tea.", headers={"X-Pot": "tea"}))
    assert (client.status, client.headers["x-pot"]) == (418, "tea")
    assert client.answer["detail"] == "Tea."


async def test_a_client_that_leaves_before_its_request_is_read_gets_nothing() -> None:
    assert (await fails_before(ClientDisconnect())).sent == []


async def test_a_mistake_of_the_server_is_answered_and_goes_to_the_log() -> None:
    async def fails(call: Call) -> None:
        raise ZeroDivisionError("a mistake")

    _, app = front(fails)
    client = Client()
    with pytest.raises(ZeroDivisionError):
        await app(scope_of("/it/run"), client.receive, client.send)
    assert client.status == 500
    assert client.answer["detail"] == "The server made a mistake."
    assert "a mistake" not in str(client.answer["hint"])
    assert client.headers["x-request-id"] == client.answer["run_id"]


@pytest.mark.parametrize(
    "error", [NotFound("late"), HTTPException(418), ZeroDivisionError("late")], ids=repr
)
async def test_nothing_is_added_to_an_answer_that_is_under_way(error: Exception) -> None:
    async def fails(call: Call) -> None:
        await call.send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    _, app = front(fails)
    client = Client()
    with pytest.raises(type(error)):
        await app(scope_of("/it/run"), client.receive, client.send)
    assert [message["type"] for message in client.sent] == ["http.response.start"]
