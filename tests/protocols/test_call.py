"""What every protocol needs of a request for a run."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Scope

from hayserve.deployments.deployment import Deployment
from hayserve.errors import (
    HayserveError,
    InvalidRequest,
    NotReady,
    RequestTimeout,
    TooBusy,
    TooLarge,
)
from hayserve.events import RunFinished
from hayserve.protocols.call import Call, Reading, RunEndpoint
from hayserve.runs.execute import Executor
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import Method, capabilities_of
from hayserve.wrappers.run_limits import RunLimits
from runs.running import executing

pytestmark = pytest.mark.anyio

JSON = (b"content-type", b"application/json")


class Plain(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self, text: str = "") -> str:
        return text


class Nosy(Plain):
    def run_api(self, text: str = "", headers: Headers | None = None) -> str:
        assert headers is not None
        return f"{text} {headers['X-Tenant']}"


class Waiting(Plain):
    async def run_api_async(self) -> None:
        await asyncio.Event().wait()


def deployed(wrapper: BasePipelineWrapper, **limits: float) -> Deployment:
    can = capabilities_of(wrapper, name="it")
    return Deployment("it", wrapper, can, limits=RunLimits.of(limits), number=7)


class Sent:
    """A request, and what it was answered."""

    def __init__(
        self,
        body: bytes = b"{}",
        *headers: tuple[bytes, bytes],
        reading: Reading | None = None,
        client: tuple[str, int] | None = ("10.0.0.1", 5),
        pieces: int = 1,
    ) -> None:
        self.answer: list[Message] = []
        self.left = 0
        size = max(1, -(-len(body) // pieces))
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/it/run",
            "query_string": b"",
            "headers": list(headers),
            "client": client,
            "state": {"run_id": "r1"},
        }
        self.call = Call(self.scope, self.receive, self.send, reading=reading or Reading())

    async def receive(self) -> Message:
        if not self._pieces:
            await asyncio.Event().wait()
        piece = self._pieces.pop(0)
        self.left = len(self._pieces)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def send(self, message: Message) -> None:
        self.answer.append(message)


def method_of(deployment: Deployment) -> Method:
    assert deployment.can.api is not None
    return deployment.can.api


# ---- bodies


async def test_the_body_is_read_to_its_end() -> None:
    assert await Sent(b'{"a": 1}', JSON, pieces=3).call.json() == b'{"a": 1}'
    assert await Sent(b"").call.json() == b""


@pytest.mark.parametrize(
    "kind", [b"application/json; charset=utf-8", b"APPLICATION/JSON", b"application/x+json"]
)
async def test_json_may_be_said_in_several_ways(kind: bytes) -> None:
    assert await Sent(b"{}", (b"content-type", kind)).call.json() == b"{}"


@pytest.mark.parametrize("headers", [[], [(b"content-type", b"text/plain")]])
async def test_what_is_not_said_to_be_json_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidRequest, match="JSON is expected"):
        await Sent(b"{}", *headers).call.json()


async def json_of(size: int, *, reading: Reading | None = None, **limits: float) -> bytes:
    return await Sent(b"x" * size, JSON, reading=reading).call.json(**limits)


async def test_a_body_is_as_large_as_the_server_lets_it_be() -> None:
    small = Reading(body=100)
    assert len(await json_of(100, reading=small)) == 100
    with pytest.raises(TooLarge, match="larger than 100 bytes"):
        await json_of(101, reading=small)


async def test_a_deployment_lets_bodies_be_larger_or_smaller_than_the_server() -> None:
    small = Reading(body=100)
    assert len(await json_of(5000, reading=small, own_mb=0.005)) == 5000
    with pytest.raises(TooLarge, match="larger than 1000 bytes"):
        await json_of(5000, own_mb=0.001)


async def test_a_body_of_which_it_is_not_known_whom_it_is_for_may_be_as_large_as_for_any() -> None:
    small = Reading(body=100)
    assert len(await json_of(5000, reading=small, any_mb=0.005)) == 5000
    assert len(await json_of(5000, any_mb=0.001)) == 5000
    with pytest.raises(TooLarge):
        await json_of(5001, reading=small, any_mb=0.005)


async def test_a_body_that_is_too_large_is_read_no_further() -> None:
    sent = Sent(b"x" * 1000, JSON, reading=Reading(body=100), pieces=10)
    with pytest.raises(TooLarge):
        await sent.call.json()
    assert sent.left == 8


async def test_a_body_that_pauses_for_too_long_is_given_up() -> None:
    sent = Sent(b"x", JSON, reading=Reading(pause=0.01))
    await sent.receive()
    with pytest.raises(RequestTimeout, match="Nothing of the body came"):
        await sent.call.json()


@pytest.mark.parametrize(
    ("size", "limits", "said"),
    [
        (101, {}, "larger than the 0.0001 MB that 'it' takes"),
        (1001, {"max_body_mb": 0.001}, "larger than the 0.001 MB that 'it' takes"),
    ],
)
async def test_a_body_is_measured_again_when_it_is_known_whom_it_is_for(
    size: int, limits: dict[str, float], said: str
) -> None:
    call, deployment = Sent(reading=Reading(body=100)).call, deployed(Plain(), **limits)
    call.check_size(b"x" * (size - 1), deployment)
    with pytest.raises(TooLarge, match=said) as refused:
        call.check_size(b"x" * size, deployment)
    assert refused.value.hint == "Send less, or raise the deployment's limit `max_body_mb`."


@pytest.mark.parametrize(("size", "limits"), [(101, {}), (1001, {"max_upload_mb": 0.001})])
async def test_a_file_is_measured_again_when_it_is_known_whom_it_is_for(
    size: int, limits: dict[str, float]
) -> None:
    call, deployment = Sent(reading=Reading(upload=100)).call, deployed(Plain(), **limits)
    call.check_upload(b"x" * (size - 1), deployment)
    with pytest.raises(TooLarge, match="The file is larger") as refused:
        call.check_upload(b"x" * size, deployment)
    assert refused.value.hint == "Send less, or raise the deployment's limit `max_upload_mb`."


FORM = (b"content-type", b"application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    ("size", "limits", "fits"),
    [
        (100, {}, True),
        (101, {}, False),
        (1000, {"own_mb": 0.001}, True),
        (1001, {"own_mb": 0.001}, False),
        (1000, {"any_mb": 0.001}, True),
        (1001, {"any_mb": 0.001}, False),
        (100, {"any_mb": 0.00001}, True),
    ],
)
async def test_a_form_is_as_large_as_the_server_or_the_deployment_lets_it_be(
    size: int, limits: dict[str, float], fits: bool
) -> None:
    sent = Sent(b"a=" + b"x" * (size - 2), FORM, reading=Reading(upload=100), pieces=4)
    request = sent.call.form(**limits)
    if fits:
        assert len(str((await request.form())["a"])) == size - 2
        await request.close()
    else:
        with pytest.raises(TooLarge):
            await request.form()


async def test_a_form_that_is_said_to_be_too_large_is_not_read_at_all() -> None:
    sent = Sent(b"a=b", FORM, (b"content-length", b"101"), reading=Reading(upload=100))
    with pytest.raises(TooLarge):
        sent.call.form()


# ---- headers


async def test_headers_are_found_by_their_name() -> None:
    sent = Sent(b"", (b"accept", b"text/event-stream"), (b"x-tenant", b"a"))
    call = sent.call
    assert call.receive == sent.receive
    assert call.header(b"accept") == b"text/event-stream"
    assert call.header(b"x-none") == b""
    assert call.headers()["X-Tenant"] == "a"


@asynccontextmanager
async def started(
    sent: Sent, deployment: Deployment, **options: Any
) -> AsyncGenerator[tuple[Executor, Any]]:
    async with executing(**options) as executor:
        yield executor, sent.call.start(executor, deployment, (method_of(deployment), {}))


async def test_a_run_is_what_the_request_asks_for() -> None:
    sent, deployment = Sent(), deployed(Plain(), max_runs=3)
    async with executing() as executor:
        called = (method_of(deployment), {"text": "a"})
        live = sent.call.start(executor, deployment, called, streamed=True)
        assert await live.all_events() == [RunFinished("a")]
    run = live.run
    assert (run.id, run.deployment, run.number, run.method.name) == ("r1", "it", 7, "run_api")
    assert (run.uses, run.limits) == (deployment.uses, deployment.limits)
    assert (run.streamed, run.caller, run.survives, run.timeout) == (True, "10.0.0.1", False, None)
    assert run.arrived == sent.call.arrived
    assert sent.scope["state"]["run"] is live


async def test_a_wrapper_that_wants_the_headers_gets_them() -> None:
    async with started(Sent(b"", (b"x-tenant", b"t")), deployed(Nosy())) as (_, live):
        assert await live.all_events() == [RunFinished(" t")]


async def test_a_caller_without_an_address_has_no_name() -> None:
    async with started(Sent(client=None), deployed(Plain())) as (_, live):
        assert live.run.caller == ""


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"30", 30.0), (b"2.5", 2.5), (b" 1e1 ", 10.0), (b"0.001", 0.001)]
)
async def test_a_request_may_say_how_long_its_run_may_take(value: bytes, seconds: float) -> None:
    sent = Sent(b"", (b"x-run-timeout", value))
    async with started(sent, deployed(Plain())) as (_, live):
        assert live.run.timeout == seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (b"x-run-timeout", each)
            for each in (b"", b"soon", b"0", b"-1", b"nan", b"inf", b"\xff")
        ),
        *((b"x-run-on-disconnect", each) for each in (b"", b"stop", b"Continue", b"\xff")),
    ],
)
async def test_a_header_that_has_no_meaning_is_refused_before_anything_is_run(
    name: bytes, value: bytes
) -> None:
    sent, deployment = Sent(b"", (name, value)), deployed(Plain())
    async with executing() as executor:
        with pytest.raises(InvalidRequest) as refused:
            sent.call.start(executor, deployment, (method_of(deployment), {}))
        assert executor.live() == []
    assert refused.value.param == name.decode()
    assert refused.value.message == (f"The header {name.decode()} is {value.decode('latin-1')!r}.")
    assert refused.value.hint
    assert deployment.uses.count == 0
    assert "run" not in sent.scope["state"]


@pytest.mark.parametrize(("value", "survives"), [(b"continue", True), (b"cancel", False)])
async def test_a_request_may_say_what_becomes_of_its_run_when_the_client_leaves(
    value: bytes, survives: bool
) -> None:
    sent = Sent(b"", (b"x-run-on-disconnect", value))
    async with started(sent, deployed(Plain())) as (_, live):
        assert live.run.survives is survives


async def refused_by(executor: Executor, deployment: Deployment) -> HayserveError:
    sent = Sent()
    with pytest.raises(HayserveError) as refused:
        sent.call.start(executor, deployment, (method_of(deployment), {}))
    assert "run" not in sent.scope["state"]
    return refused.value


async def test_a_run_that_is_not_taken_is_refused() -> None:
    deployment = deployed(Waiting(), max_runs=1, max_waiting=0)
    async with started(Sent(), deployment) as (executor, _):
        assert isinstance(await refused_by(executor, deployment), TooBusy)
    assert isinstance(await refused_by(executor, deployment), NotReady)
    assert deployment.uses.count == 0


# ---- answers


async def test_an_answer_is_json_with_its_length() -> None:
    sent = Sent()
    await sent.call.answer(b'{"a":1}')
    assert sent.answer == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"7")],
        },
        {"type": "http.response.body", "body": b'{"a":1}'},
    ]


async def test_an_endpoint_is_an_application_and_has_the_words_of_its_function() -> None:
    async def says(call: Call) -> None:
        """Say what was said."""
        await call.answer(await call.json())

    sent = Sent(b'"a"', JSON, reading=Reading(body=3))
    endpoint = RunEndpoint(says, Reading(body=3))
    await endpoint(sent.scope, sent.receive, sent.send)
    assert sent.answer[1]["body"] == b'"a"'
    assert endpoint.__doc__ == "Say what was said."
    longer = Sent(b'"ab"', JSON)
    with pytest.raises(TooLarge):
        await endpoint(longer.scope, longer.receive, longer.send)
