"""A response that goes on without its client is made once for its key."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from hayserve.server.app import create_app
from protocols.openai_responses.paced import BEFORE, Paced
from protocols.openai_responses.serving import frames_in, streaming
from server.serving import settings_in

pytestmark = pytest.mark.anyio

PATH = "/v1/responses"
BACKGROUND = {"model": "paced", "input": "a", "background": True}
STREAMED = {**BACKGROUND, "stream": True}
FOREGROUND = {**BACKGROUND, "background": False}
CONTINUE = (b"x-run-on-disconnect", b"continue")


@dataclass
class Serving:
    """A whole application, each of whose requests comes with one key, and what it runs."""

    app: ASGIApp
    paced: Paced
    http: httpx2.AsyncClient

    @property
    def runs(self) -> int:
        return len(self.paced.given)

    async def post(self, body: dict[str, Any]) -> httpx2.Response:
        with anyio.fail_after(10):
            kind = {"content-type": "application/json"}
            return await self.http.post(PATH, content=json.dumps(body), headers=kind)

    async def ended(self, id_: str) -> Any:
        with anyio.fail_after(10):
            found = (await self.http.get(f"{PATH}/{id_}")).json()
            while found["status"] == "in_progress":
                await anyio.sleep(0.02)
                found = (await self.http.get(f"{PATH}/{id_}")).json()
        return found


@asynccontextmanager
async def serving(folder: Path, *headers: tuple[bytes, bytes]) -> AsyncGenerator[Serving]:
    loaded, paced = anyio.Event(), Paced()
    settings = settings_in(folder)
    app = create_app(settings, when_loaded=lambda _: loaded.set(), prove=False)
    app.deploy("paced", paced)

    async def keyed(scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [*scope["headers"], (b"idempotency-key", b"abc"), *headers]
        await app(scope, receive, send)

    transport = httpx2.ASGITransport(keyed)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        with anyio.fail_after(10):
            await loaded.wait()
        yield Serving(keyed, paced, http)


async def test_a_response_in_the_background_is_begun_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        first, *again = [await server.post(BACKGROUND) for _ in range(3)]
        server.paced.let(3)
        made = await server.ended(first.json()["id"])
        again.append(await server.post(BACKGROUND))

        assert (first.json()["status"], made["status"]) == ("in_progress", "completed")
        assert "idempotent-replayed" not in first.headers
        for answer in again:
            assert answer.content == first.content
            assert answer.headers["idempotent-replayed"] == "true"
        assert server.runs == 1


async def test_who_left_before_the_answer_from_the_background_gets_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with streaming(server.app, PATH, body=BACKGROUND):
            pass
        answer = await server.post(BACKGROUND)

        assert answer.json()["status"] == "in_progress"
        assert answer.headers["idempotent-replayed"] == "true"
        assert server.runs == 1


async def test_who_left_a_run_that_goes_on_gets_its_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, CONTINUE) as server:
        async with streaming(server.app, PATH, body=FOREGROUND) as left:
            await server.paced.has_begun.wait()
            left.leave()
            server.paced.let(3)
        answer = await server.post(FOREGROUND)

        assert answer.json()["status"] == "completed"
        assert answer.headers["idempotent-replayed"] == "true"
        assert server.runs == 1


async def test_another_request_for_the_background_with_the_key_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        await server.post(BACKGROUND)
        refused = await server.post({**BACKGROUND, "input": "b"})
        assert refused.status_code == 422


async def test_a_stream_from_the_background_is_replayed_when_it_was_whole(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        server.paced.let(3)
        first, again = [await server.post(STREAMED) for _ in range(2)]

        assert frames_in(first.text)[-1][0] == "response.completed"
        assert again.content == first.content
        assert again.headers["idempotent-replayed"] == "true"
        assert server.runs == 1


@pytest.mark.parametrize("body", [STREAMED, {**FOREGROUND, "stream": True, "store": True}])
async def test_a_stream_whose_client_left_before_its_end_is_made_anew(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    async with serving(tmp_path) as server:
        async with streaming(server.app, PATH, body=body) as stream:
            server.paced.let(1)
            await stream.has(BEFORE + 1)
        server.paced.let(5)
        again = await server.post(body)

        assert frames_in(again.text)[-1][0] == "response.completed"
        assert "idempotent-replayed" not in again.headers
        assert server.runs == 2
