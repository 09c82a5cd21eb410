"""`POST /{name}/run` as its callers see it."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest
from haystack import Pipeline, component
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.types import Message

from hayserve import BasePipelineWrapper, SSEStream, create_app
from hayserve.deployments.deployment import Deployment
from hayserve.deployments.registry import Registry
from hayserve.deployments.target import Target
from hayserve.errors import InvalidRequest
from hayserve.protocols.call import Call, Reading
from hayserve.protocols.rest.routes import Rest
from hayserve.runs.execute import Executor
from hayserve.testing import Client, serve
from hayserve.wrappers.capabilities import capabilities_of
from server.serving import settings_in


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...


def wrapping(run_api: Callable[..., Any]) -> BasePipelineWrapper:
    """A wrapper whose method is this function."""
    return type("PipelineWrapper", (Wrapper,), {"run_api": staticmethod(run_api)})()


def post(client: Client, name: str = "it", **request: Any) -> Any:
    return client.http.post(f"/{name}/run", **request)


def test_typed_parameters_come_from_json_and_the_result_goes_there() -> None:
    def run_api(text: str, times: int = 2) -> list[str]:
        return [text] * times

    with serve(it=wrapping(run_api)) as client:
        answer = post(client, json={"text": "a", "times": "3", "unknown": 1})
        assert answer.json() == {"result": ["a", "a", "a"]}
        assert answer.headers["content-type"] == "application/json"
        assert len(answer.headers["x-request-id"]) == 24


def test_what_does_not_fit_is_listed_as_fastapi_does() -> None:
    def run_api(text: str, times: int) -> str:
        return text * times

    with serve(it=wrapping(run_api)) as client:
        refused = post(client, json={"times": "many"})
    assert refused.status_code == 422
    assert refused.json() == {
        "detail": [
            {"type": "missing", "loc": ["body", "text"], "msg": "Field required"},
            {
                "type": "int_parsing",
                "loc": ["body", "times"],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
            },
        ],
        "hint": "It takes: text (required), times (required).",
        "code": "invalid_input",
        "run_id": refused.headers["x-request-id"],
    }


def test_a_wrapper_that_fails_is_told_without_paths_or_traceback() -> None:
    def run_api() -> str:
        raise ValueError(f"no such file: {__file__}")

    with serve(it=wrapping(run_api)) as client:
        failed = post(client, json={})
    assert failed.status_code == 500
    assert failed.json() == {
        "detail": "'it' failed in run_api: ValueError: no such file: …/test_routes.py.",
        "hint": f"The server's log has the traceback under run {failed.headers['x-request-id']}.",
        "code": "wrapper_failed",
        "run_id": failed.headers["x-request-id"],
    }


def test_the_traceback_is_shown_where_the_operator_wants_it() -> None:
    def run_api() -> str:
        raise ValueError("no such city")

    with serve(it=wrapping(run_api), settings={"show_tracebacks": True}) as client:
        failed = post(client, json={})
    assert failed.json()["detail"] == "'it' failed in run_api: ValueError: no such city."
    assert "Traceback (most recent call last)" in failed.json()["hint"]


def test_a_component_that_fails_is_named() -> None:
    @component
    class Weather:
        @component.output_types(text=str)
        def run(self, city: str) -> dict[str, str]:
            raise ValueError("no such city")

    pipeline = Pipeline()
    pipeline.add_component("weather", Weather())

    def run_api(city: str) -> Any:
        return pipeline.run({"weather": {"city": city}})

    with serve(it=wrapping(run_api)) as client:
        failed = post(client, json={"city": "x"})
    assert failed.json()["detail"] == (
        "'it' failed in run_api: ValueError: no such city (in component 'weather')."
    )


def test_a_result_that_is_not_what_was_declared_is_told_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def run_api() -> int:
        return "many"  # type: ignore[return-value]

    with serve(it=wrapping(run_api)) as client:
        failed = post(client, json={})
    assert failed.status_code == 500
    assert "returned 'many' (str), which is not the int" in failed.json()["detail"]
    [record] = [record for record in caplog.records if record.message == "result_unusable"]
    assert record.exc_info


def test_an_http_exception_keeps_its_status_detail_and_headers() -> None:
    def run_api() -> str:
        raise HTTPException(418, {"pot": "tea"}, {"x-pot": "tea"})  # pyright: ignore[reportArgumentType]

    with serve(it=wrapping(run_api)) as client:
        refused = post(client, json={})
    assert refused.status_code == 418
    assert refused.headers["x-pot"] == "tea"
    assert refused.json()["detail"] == {"pot": "tea"}


def test_responses_go_out_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("on disk")

    def run_api(kind: str) -> Any:
        match kind:
            case "file":
                return FileResponse(tmp_path / "a.txt", headers={"x-kind": "file"})
            case "json":
                return JSONResponse({"mine": True}, 202)
            case _:
                return StreamingResponse(iter(["a", "b"]), media_type="text/csv")

    with serve(it=wrapping(run_api)) as client:
        file = post(client, json={"kind": "file"})
        assert (file.text, file.headers["x-kind"]) == ("on disk", "file")
        answer = post(client, json={"kind": "json"})
        assert (answer.status_code, answer.json()) == (202, {"mine": True})
        streamed = post(client, json={"kind": "stream"})
        assert (streamed.text, streamed.headers["content-type"]) == (
            "ab",
            "text/csv; charset=utf-8",
        )


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b'{"text": "a"}', b"no JSON"])
async def test_a_deployment_is_held_from_the_first_byte_to_the_last(body: bytes) -> None:
    def run_api(text: str) -> Any:
        return StreamingResponse(iter([text]))

    deployment = deployed(wrapping(run_api))
    counts: list[int] = []

    async def receive() -> Message:
        counts.append(deployment.uses.count)
        if len(counts) > 1:
            await anyio.sleep_forever()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        counts.append(deployment.uses.count)

    scope = {**scope_of("/it/run"), "path_params": {"name": "it"}, "state": {"run_id": "r1"}}
    registry, executor = Registry(), Executor()
    registry.put(deployment)
    async with executor.running():
        with suppress(InvalidRequest):
            await Rest(registry, executor).run(Call(scope, receive, send, reading=Reading()))
        assert deployment.uses.count == 0
    assert all(counts)


def deployed(wrapper: BasePipelineWrapper) -> Deployment:
    return Deployment("it", wrapper, capabilities_of(wrapper, name="it"))


ITEMS = ["line1\nline2", b"\xff", {"k": 1}, None, "", "end\r\nof\rit"]


def test_a_generator_is_plain_text_as_it_comes() -> None:
    def run_api() -> Generator[Any]:
        yield from ITEMS

    with serve(it=wrapping(run_api)) as client:
        answer = post(client, json={})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.content == b'line1\nline2\xff{"k": 1}end\r\nof\rit'


def test_an_sse_stream_is_one_event_for_each_item() -> None:
    def run_api() -> Any:
        return SSEStream(item for item in ITEMS)

    with serve(it=wrapping(run_api)) as client:
        answer = post(client, json={})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.content == (
        b'data: line1\ndata: line2\n\ndata: \xff\n\ndata: {"k": 1}\n\n'
        b"data:\n\ndata:\n\ndata: end\ndata: of\ndata: it\n\n"
    )


def test_a_client_that_asks_for_events_gets_any_stream_as_events() -> None:
    def run_api() -> Generator[Any]:
        yield "one"
        raise ValueError("lost")

    with serve(it=wrapping(run_api)) as client:
        answer = client.http.post("/it/run", json={}, headers={"accept": "text/event-stream"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.startswith("data: one\n\nevent: error\ndata: {")


def test_an_async_generator_streams_too() -> None:
    async def run_api() -> Any:
        yield "a"
        await anyio.lowlevel.checkpoint()
        yield "b\ud800"

    with serve(it=wrapping(run_api)) as client:
        assert post(client, json={}).text == "ab?"


def test_a_stream_that_fails_later_ends_with_a_mark() -> None:
    def run_api(*, sse: bool) -> Any:
        def items() -> Generator[str]:
            yield "begun"
            raise ValueError("no more")

        return SSEStream(items()) if sse else items()

    detail = "'it' failed in run_api: ValueError: no more."
    hint = "The server's log has the traceback under run"
    with serve(it=wrapping(run_api)) as client:
        plain = post(client, json={"sse": False})
        told = f"begun\n[error] {detail} {hint} {plain.headers['x-request-id']}."
        assert (plain.status_code, plain.text) == (200, told)
        events = post(client, json={"sse": True})
        begun, failed, end = events.text.split("\n\n")
        assert (begun, end) == ("data: begun", "")
        assert failed.startswith("event: error\ndata: {")
        assert json.loads(failed.removeprefix("event: error\ndata: ")) == {
            "detail": detail,
            "hint": f"{hint} {events.headers['x-request-id']}.",
            "code": "wrapper_failed",
            "run_id": events.headers["x-request-id"],
        }


def test_a_stream_that_fails_before_it_says_anything_is_a_500() -> None:
    def run_api() -> Generator[str]:
        raise ValueError("at once")
        yield ""

    with serve(it=wrapping(run_api)) as client:
        failed = post(client, json={})
    assert failed.status_code == 500
    assert failed.json()["detail"].endswith("ValueError: at once.")


def test_what_is_uploaded_arrives_under_any_name() -> None:
    def run_api(document: UploadFile, note: str = "", pages: list[int] | None = None) -> Any:
        return [document.filename, document.file.read().decode(), note, pages]

    with serve(it=wrapping(run_api)) as client:
        answer = post(
            client,
            files={"document": ("a.txt", b"text")},
            data={"note": "n", "pages": ["1", "2"]},
        )
        assert answer.json() == {"result": ["a.txt", "text", "n", [1, 2]]}


def test_several_files_are_a_list() -> None:
    def run_api(files: list[UploadFile] | None = None) -> list[str | None]:
        return [file.filename for file in files or []]

    with serve(it=wrapping(run_api)) as client:
        sent = [("files", ("a.txt", b"")), ("files", ("b.txt", b""))]
        assert post(client, files=sent).json() == {"result": ["a.txt", "b.txt"]}
        assert post(client).json() == {"result": []}
        assert post(client, data={"x": "y"}).json() == {"result": []}


def test_an_upload_can_be_read_until_the_stream_has_ended_and_is_closed_then() -> None:
    kept: list[UploadFile] = []

    def run_api(document: UploadFile) -> Generator[bytes]:
        kept.append(document)
        yield document.file.read(2)
        yield document.file.read()

    with serve(it=wrapping(run_api)) as client:
        assert post(client, files={"document": ("a.txt", b"text")}).text == "text"
        assert kept[0].file.closed


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"note": "n"}},
        {"content": b"{}", "headers": {"content-type": "text/plain"}},
        {"content": b"{}"},
    ],
)
def test_an_endpoint_that_takes_files_asks_for_a_form(request_: dict[str, Any]) -> None:
    def run_api(document: UploadFile | None = None, note: str = "") -> str:
        return note

    with serve(it=wrapping(run_api)) as client:
        refused = post(client, **request_)
    assert refused.status_code == 422
    assert "this deployment takes files" in refused.json()["detail"]
    assert "a file in 'document'" in refused.json()["hint"]


def test_a_form_that_is_broken_is_refused() -> None:
    def run_api(document: UploadFile | None = None) -> str:
        return "read"

    with serve(it=wrapping(run_api)) as client:
        refused = post(
            client, content=b"x", headers={"content-type": "multipart/form-data; boundary=y"}
        )
        unnamed = post(client, content=b"x", headers={"content-type": "multipart/form-data"})
    assert (refused.status_code, unnamed.status_code) == (422, 422)
    assert refused.json()["detail"].startswith("The form cannot be read: ")
    assert unnamed.json()["detail"] == "The form cannot be read: Missing boundary in multipart."


@pytest.mark.parametrize(
    "request_",
    [
        {"data": {"text": "a"}},
        {"files": {"text": b"a"}},
        {"content": b"{}", "headers": {"content-type": "text/plain"}},
    ],
)
def test_an_endpoint_that_takes_json_says_so(request_: dict[str, Any]) -> None:
    with serve(it=wrapping(lambda: "")) as client:
        refused = post(client, **request_)
    assert refused.status_code == 422
    assert "JSON is expected here" in refused.json()["detail"]


def test_numbers_that_json_does_not_have_are_null() -> None:
    def run_api(*, stream: bool) -> Any:
        values = {"a": float("nan"), "b": [1.5, float("-inf")]}
        return iter([values]) if stream else values

    with serve(it=wrapping(run_api)) as client:
        assert post(client, json={"stream": True}).text == '{"a": null, "b": [1.5, null]}'
        assert post(client, json={"stream": False}).text == '{"result":{"a":null,"b":[1.5,null]}}'


def test_half_of_a_surrogate_pair_is_returned_as_it_is() -> None:
    def run_api() -> Any:
        return ["\ud83d", "é", float("nan")]

    with serve(it=wrapping(run_api)) as client:
        answer = post(client)
    assert (answer.status_code, answer.json()) == (200, {"result": ["\ud83d", "é", None]})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "The body is not a JSON object: Invalid JSON"),
        (b"[]", "The body is not a JSON object: "),
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes, said: str) -> None:
    with serve(it=wrapping(lambda: "")) as client:
        refused = post(client, content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith(said)


def test_the_requests_headers_can_be_had() -> None:
    def run_api(name: str, headers: Headers | None = None) -> str:
        assert headers is not None
        return f"{headers['X-Tenant']} {name}"

    with serve(it=wrapping(run_api)) as client:
        answer = post(client, json={"name": "a"}, headers={"x-tenant": "t"})
        assert answer.json() == {"result": "t a"}


def test_a_wrapper_without_run_api_says_what_it_can(tmp_path: Path) -> None:
    class Chat(Wrapper):
        def run_chat_completion(self, model: str, messages: Any, body: Any) -> str:
            return "hi"

    with serve(it=Chat()) as client:
        refused = post(client, json={})
    assert refused.status_code == 400
    assert refused.json()["detail"] == "'it' defines no `run_api`, so it has no /it/run."
    assert refused.json()["hint"] == "It can: chat_completion."


def test_an_unknown_name_is_a_404_with_what_there_is() -> None:
    with serve(it=wrapping(lambda: "")) as client:
        missing = post(client, "nobody", json={})
    assert missing.status_code == 404
    assert missing.json()["detail"] == "No deployment is named 'nobody'."
    assert missing.json()["hint"] == "Deployed: it."


# ---- clients that leave


class Caller:
    """A client at the other end of the ASGI interface, who leaves when told to."""

    def __init__(self, body: bytes = b"{}") -> None:
        self.sent: list[Message] = []
        self.is_gone = anyio.Event()
        self.heard = anyio.Event()
        self._requests = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.heard.set()


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")],
        "scheme": "http",
        "server": ("localhost", 80),
    }


class Running:
    """The lifespan of an application that serves one wrapper."""

    def __init__(self, folder: Path, run_api: Callable[..., Any]) -> None:
        self._loaded = anyio.Event()
        self.app = create_app(
            settings_in(folder),
            targets=[Target("it", "thing", Path(), thing=wrapping(run_api))],
            when_loaded=lambda _: self._loaded.set(),
        )

    async def __aenter__(self) -> Self:
        self._lifespan = self.app.router.lifespan_context(self.app)
        await self._lifespan.__aenter__()
        await self._loaded.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._lifespan.__aexit__(None, None, None)

    async def leave(
        self, *headers: tuple[bytes, bytes], after: Callable[[Caller], Awaitable[Any]]
    ) -> Caller:
        caller, scope = Caller(), scope_of("/it/run")
        scope["headers"] += headers
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.app, scope, caller.receive, caller.send)
                await after(caller)
                caller.is_gone.set()
        return caller


@pytest.mark.anyio
async def test_a_caller_that_leaves_a_stream_stops_its_run(tmp_path: Path) -> None:
    ended = anyio.Event()

    async def run_api() -> Any:
        try:
            while True:
                yield "more "
                await anyio.sleep(0.001)
        finally:
            ended.set()

    async with Running(tmp_path, run_api) as server:
        caller = await server.leave(after=lambda caller: caller.heard.wait())
        with anyio.fail_after(10):
            await ended.wait()
    assert caller.sent[0]["status"] == 200
    assert b"The run was stopped: the client left." in caller.sent[-1]["body"]


@pytest.mark.anyio
async def test_a_caller_that_leaves_before_the_answer_stops_its_run(tmp_path: Path) -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def run_api() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with Running(tmp_path, run_api) as server:
        await server.leave(after=lambda _: begun.wait())
        with anyio.fail_after(10):
            await ended.wait()


@pytest.mark.anyio
@pytest.mark.parametrize("streams", [False, True])
async def test_a_run_that_is_to_go_on_does_so_when_its_caller_leaves(
    tmp_path: Path, streams: bool
) -> None:
    begun, ended = anyio.Event(), list[str]()

    async def words() -> Any:
        yield "word"
        await works()

    async def works() -> None:
        begun.set()
        await anyio.sleep(0.3)  # until its caller's leaving would have been noticed
        ended.append("it")

    async def run_api() -> Any:
        return words() if streams else await works()

    async with Running(tmp_path, run_api) as server:
        go_on = (b"x-run-on-disconnect", b"continue")
        await server.leave(go_on, after=lambda _: begun.wait())
    assert ended == ["it"]


@pytest.mark.anyio
async def test_a_run_under_way_when_the_server_stops_is_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun = anyio.Event()

    async def run_api() -> None:
        begun.set()
        await anyio.sleep_forever()

    caller = Caller()
    async with Running(tmp_path, run_api) as server:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.app, scope_of("/it/run"), caller.receive, caller.send)
                await begun.wait()
                tasks.cancel_scope.cancel()
    assert caller.sent[0]["status"] == 503
    assert (b"retry-after", b"1") in caller.sent[0]["headers"]
    assert b"The server is stopping." in caller.sent[1]["body"]


class Unready(HTTPException):
    def __init__(self) -> None:
        """Leaves out what its base class needs."""


class Mute(Exception):
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


def its_own_cause() -> Exception:
    error = ValueError("round and round")
    error.__cause__ = error
    setattr(error, "component_name", "c")  # noqa: B010 - what Haystack's errors have
    return error


def with_headers(headers: Any) -> HTTPException:
    return HTTPException(400, "x", headers=headers)


@pytest.mark.parametrize(
    "make",
    [
        Unready,
        Mute,
        Unprintable,
        its_own_cause,
        partial(with_headers, "abc"),
        partial(with_headers, {"x": "a\r\nb: c"}),
        partial(HTTPException, 999),
        KeyboardInterrupt,
        GeneratorExit,
        asyncio.CancelledError,
        BaseException,
        lambda: BaseExceptionGroup("two", [KeyboardInterrupt(), ValueError()]),
    ],
)
def test_whatever_a_wrapper_raises_is_one_answer_and_the_others_go_on(
    make: Callable[[], BaseException],
) -> None:
    def run_api() -> str:
        raise make()

    async def run_api_async() -> str:
        raise make()

    def streamed() -> Generator[str]:
        yield "one"
        raise make()

    with serve(
        it=wrapping(run_api), later=wrapping(run_api_async), stream=wrapping(streamed)
    ) as client:
        for name in ("it", "later"):
            answer = client.http.post(f"/{name}/run", json={})
            assert answer.status_code == 500
            assert answer.json()["code"] == "wrapper_failed"
        assert client.http.post("/stream/run", json={}).text.startswith("one\n[error] ")
        assert client.http.get("/readyz").status_code == 200


def test_a_response_of_a_deployment_with_its_own_loop_is_sent_from_there() -> None:
    class Apart(Wrapper):
        own_loop = True

        async def run_api_async(self) -> StreamingResponse:
            async def names() -> AsyncGenerator[str]:
                yield threading.current_thread().name

            return StreamingResponse(names())

    with serve(it=Apart()) as client:
        assert post(client, json={}).text == "hayserve loop of it"
