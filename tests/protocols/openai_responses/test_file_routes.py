"""Clients get the files again that they have uploaded."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx2
import pytest
from openai.types import FileDeleted, FileObject
from starlette.types import Message, Scope

from hayserve.kept.files import PIECE_BYTES
from hayserve.wrappers.base import BasePipelineWrapper
from protocols.openai_responses.serving import serving, serving_worker

pytestmark = pytest.mark.anyio

DATA = bytes(range(256)) * 3000
MINE, YOURS = {"authorization": "Bearer mine"}, {"authorization": "Bearer yours"}


class Responds(BasePipelineWrapper):
    def setup(self) -> None:
        return

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return "Hi"


@pytest.fixture
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    async with serving(it=Responds()) as client:
        yield client


async def uploaded(
    client: httpx2.AsyncClient,
    name: str = "a.bin",
    data: bytes = DATA,
    *,
    purpose: str = "user_data",
    media_type: str = "application/octet-stream",
    key: dict[str, str] | None = None,
) -> FileObject:
    answer = await client.post(
        "/v1/files",
        files={"file": (name, data, media_type)},
        data={"purpose": purpose},
        headers=key or {},
    )
    assert answer.status_code == 200, answer.text
    return FileObject.model_validate(answer.json(), strict=True)


async def listed(client: httpx2.AsyncClient, query: str = "") -> tuple[list[str], bool]:
    answer = await client.get(f"/v1/files?{query}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    found = [FileObject.model_validate(each, strict=True).id for each in page["data"]]
    assert page["object"] == "list"
    assert [page["first_id"], page["last_id"]] == ([found[0], found[-1]] if found else [None] * 2)
    return found, page["has_more"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_file_can_be_looked_up(client: httpx2.AsyncClient, prefix: str) -> None:
    file = await uploaded(client)
    answer = await client.get(f"{prefix}/files/{file.id}")
    assert answer.json() == {
        "id": file.id,
        "object": "file",
        "bytes": len(DATA),
        "created_at": file.created_at,
        "expires_at": file.created_at + 3600,
        "filename": "a.bin",
        "purpose": "user_data",
        "status": "processed",
    }


async def test_files_are_listed_in_pages(client: httpx2.AsyncClient) -> None:
    ids = [(await uploaded(client, f"{number}.txt", b"a")).id for number in range(3)]
    assert await listed(client) == (ids[::-1], False)
    assert await listed(client, "order=asc") == (ids, False)
    assert await listed(client, "order=asc&limit=2") == (ids[:2], True)
    assert await listed(client, f"order=asc&limit=2&after={ids[1]}") == (ids[2:], False)


async def test_files_are_listed_by_what_they_are_for(client: httpx2.AsyncClient) -> None:
    one = (await uploaded(client, purpose="vision")).id
    two = (await uploaded(client)).id
    assert await listed(client, "purpose=vision") == ([one], False)
    assert await listed(client, "purpose=user_data") == ([two], False)
    assert await listed(client, "purpose=batch") == ([], False)


@pytest.mark.parametrize(
    ("query", "param"), [("limit=10001", "limit"), ("order=up", "order"), ("after=x", "after")]
)
async def test_a_page_that_has_no_meaning_is_refused(
    client: httpx2.AsyncClient, query: str, param: str
) -> None:
    answer = await client.get(f"/v1/files?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_a_files_content_is_what_was_sent(client: httpx2.AsyncClient) -> None:
    file = await uploaded(client, "Größe.html", media_type="text/html")
    answer = await client.get(f"/v1/files/{file.id}/content")
    assert answer.content == DATA
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    disposition = "attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe.html"
    assert answer.headers["content-disposition"] == disposition
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_files_content_is_sent_in_pieces() -> None:
    sent: list[bytes] = []

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async with serving_worker(it=Responds()) as worker:
        file = await uploaded(worker.http)
        scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": f"/v1/files/{file.id}/content",
            "query_string": b"",
            "headers": [],
        }
        await worker.app(scope, receive, send)
    assert b"".join(sent) == DATA
    assert max(map(len, sent)) == PIECE_BYTES


async def test_a_file_is_deleted(client: httpx2.AsyncClient) -> None:
    file = await uploaded(client)
    answer = await client.delete(f"/v1/files/{file.id}")
    deleted = FileDeleted.model_validate(answer.json(), strict=True)
    assert (deleted.id, deleted.deleted) == (file.id, True)
    for path in (f"/v1/files/{file.id}", f"/v1/files/{file.id}/content"):
        assert (await client.get(path)).status_code == 404
    assert (await client.delete(f"/v1/files/{file.id}")).status_code == 404
    assert await listed(client) == ([], False)


async def test_a_file_is_its_owners(client: httpx2.AsyncClient) -> None:
    one = f"/v1/files/{(await uploaded(client, key=MINE)).id}"
    for answer in (
        await client.get(one),
        await client.get(one, headers=YOURS),
        await client.get(f"{one}/content", headers=YOURS),
        await client.delete(one, headers=YOURS),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]["param"] == "file_id"
    assert (await client.get("/v1/files", headers=YOURS)).json()["data"] == []
    assert (await client.get(one, headers=MINE)).status_code == 200
