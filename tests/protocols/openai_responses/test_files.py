"""Uploads: who takes them, and what clients are told."""

import json
from types import MappingProxyType
from typing import Any

import pytest
from httpx2 import AsyncClient
from openai.types import FileObject
from pydantic import BaseModel
from sqlalchemy import func, select
from starlette.exceptions import HTTPException
from starlette.types import Message

from hayserve.deployments.deployment import Deployment
from hayserve.protocols.openai_responses.files import Upload, upload_method
from hayserve.storage.tables import files
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from protocols.openai_responses.serving import serving, serving_worker

FILES = {"file": ("a.txt", b"abc", "text/plain")}
PURPOSE = {"purpose": "user_data"}
STORED = {**PURPOSE, "model": "stores"}

pytestmark = pytest.mark.anyio


class Computes(BasePipelineWrapper):
    def setup(self) -> None:
        return

    def run_api(self, number: int) -> int:
        return number


class Stores(Computes):
    """Keeps the files that it is given."""

    def __init__(self, result: object = None) -> None:
        super().__init__()
        self.files: list[tuple[str | None, str | None, bytes, str]] = []
        self._result = result

    def run_file_upload(  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: PLR0917 - the contract
        self, name: str | None, media_type: str | None, data: bytes, why: str
    ) -> Any:
        """The parameters are called as Hayhooks' wrappers may call them."""
        self.files.append((name, media_type, data, why))
        return self._result or described(data)


class StoresLater(Stores):
    async def run_file_upload_async(  # noqa: PLR0917 - the contract
        self, filename: str, content_type: str, content: bytes, purpose: str
    ) -> Any:
        return Described.model_validate(described(content))


class StoresLittle(Stores):
    limits = MappingProxyType({"max_upload_mb": 0.001})


class StoresMuch(Stores):
    limits = MappingProxyType({"max_upload_mb": 1000})


class Refuses(Computes):
    def run_file_upload(self, *upload: Any, **named: Any) -> Any:
        raise HTTPException(415, "Only PDF files.")


class Described(BaseModel):
    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str


def described(data: bytes) -> dict[str, Any]:
    return {
        "id": "file-1",
        "bytes": len(data),
        "created_at": 1,
        "filename": "a.txt",
        "purpose": "user_data",
    }


@pytest.mark.parametrize("path", ["/v1/files", "/files"])
async def test_a_file_that_names_a_model_goes_to_its_wrapper_and_is_not_kept(path: str) -> None:
    stores = Stores()
    async with serving(computes=Computes(), stores=stores) as client:
        answer = await client.post(path, files=FILES, data=STORED)
        kept = await client.get(path)

    assert kept.json()["data"] == []
    assert stores.files == [("a.txt", "text/plain", b"abc", "user_data")]
    assert answer.status_code == 200
    assert answer.json() == {**described(b"abc"), "object": "file", "status": "processed"}
    FileObject.model_validate(answer.json(), strict=True)


@pytest.mark.parametrize("path", ["/v1/files", "/files"])
async def test_a_file_that_names_no_model_is_kept_here(path: str) -> None:
    stores = Stores()
    async with serving(stores=stores) as client:
        answer = await client.post(path, files=FILES, data=PURPOSE)
        file = FileObject.model_validate(answer.json(), strict=True)
        content = await client.get(f"{path}/{file.id}/content")

    assert stores.files == []
    assert (file.bytes, file.filename, file.purpose) == (3, "a.txt", "user_data")
    assert content.content == b"abc"
    assert content.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("anchor", [{}, {"expires_after[anchor]": "created_at"}])
async def test_a_file_is_kept_for_as_long_as_its_client_says(anchor: dict[str, str]) -> None:
    data = {**PURPOSE, **anchor, "expires_after[seconds]": "7200"}
    async with serving(stores=Stores()) as client:
        answer = await client.post("/v1/files", files=FILES, data=data)

    file = FileObject.model_validate(answer.json(), strict=True)
    assert file.expires_at == file.created_at + 7200


@pytest.mark.parametrize(
    "about",
    [
        {"expires_after[anchor]": "last_used_at", "expires_after[seconds]": "7200"},
        {"expires_after[seconds]": "soon"},
        {"expires_after[seconds]": "-1"},
        {"expires_after[seconds]": "²"},
        {"expires_after[seconds]": "0"},
        {"expires_after[seconds]": "2592001"},
        {"expires_after[seconds]": "9" * 5000},
        {"expires_after[seconds]": "7200", "model": "stores"},
    ],
)
async def test_a_time_for_which_a_file_cannot_be_kept_is_refused(about: dict[str, str]) -> None:
    stores = Stores()
    async with serving(stores=stores) as client:
        answer = await client.post("/v1/files", files=FILES, data={**PURPOSE, **about})
        kept = await client.get("/v1/files")

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "expires_after"
    assert (kept.json()["data"], stores.files) == ([], [])


async def test_of_a_client_that_leaves_half_way_nothing_is_kept() -> None:
    async with serving_worker(stores=Stores()) as worker:
        form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
        messages: list[Message] = [
            {"type": "http.disconnect"},
            {"type": "http.request", "body": form, "more_body": True},
        ]

        async def receive() -> Message:
            return messages.pop()

        async def send(message: Message) -> None: ...

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/files",
            "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
            "query_string": b"",
        }
        await worker.app(scope, receive, send)
        assert messages == []
        assert (await worker.http.get("/v1/files")).json()["data"] == []
        with worker.database.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(files)) == 0


class Reads(Computes):
    """Says what it was given."""

    def run_response(
        self, model: str, input_items: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return json.dumps([item["content"] for item in input_items if "content" in item][-1])


class ReadsChat(Computes):
    def run_chat_completion(
        self, model: str, messages: list[dict[str, Any]], body: dict[str, Any]
    ) -> str:
        return json.dumps(messages[-1]["content"])


async def read(client: AsyncClient, model: str, *parts: dict[str, Any], **fields: Any) -> Any:
    items = [{"role": "user", "content": list(parts)}]
    body = {"model": model, "input": items, **fields}
    answer = await client.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.json()["output"][0]["content"][0]["text"])


async def test_files_that_are_named_reach_the_wrapper_with_their_contents() -> None:
    url = "data:text/plain;base64,YWJj"
    async with serving(reads=Reads(), chats=ReadsChat()) as client:
        stored = await client.post("/v1/files", files=FILES, data=PURPOSE)
        id_ = stored.json()["id"]
        parts = [
            {"type": "input_file", "file_id": id_},
            {"type": "input_image", "file_id": id_},
            {"type": "input_audio", "input_audio": {"data": "YWJj", "format": "wav"}},
        ]
        given = await read(client, "reads", *parts)
        chatted = await read(client, "chats", *parts)

    file, image = {"filename": "a.txt", "file_data": url}, {"detail": "auto"}
    assert given == [
        {"type": "input_file", **file},
        {"type": "input_image", "image_url": url, **image},
        parts[2],
    ]
    assert chatted == [
        {"type": "file", "file": file},
        {"type": "image_url", "image_url": {"url": url, **image}},
        parts[2],
    ]


async def test_a_file_that_only_the_wrapper_knows_stays_named() -> None:
    part = {"type": "input_file", "file_id": "file-1"}
    async with serving(reads=Reads()) as client:
        assert await read(client, "reads", part) == [part]


async def test_a_file_of_another_key_cannot_be_named() -> None:
    async with serving(reads=Reads()) as client:
        mine = {"authorization": "Bearer mine"}
        stored = await client.post("/v1/files", files=FILES, data=PURPOSE, headers=mine)
        part = {"type": "input_file", "file_id": stored.json()["id"]}
        body = {"model": "reads", "input": [{"role": "user", "content": [part]}]}
        answer = await client.post("/v1/responses", json=body)

    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "file_id"


async def test_a_schema_that_cannot_be_is_refused_before_anything_runs() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "no such"}}
    body = {"model": "reads", "input": "Hi", "text": {"format": schema}}
    async with serving(reads=Reads()) as client:
        for stream in (False, True):
            answer = await client.post("/v1/responses", json={**body, "stream": stream})
            assert answer.status_code == 400
            assert answer.json()["error"]["param"] == "text.format.schema"


async def test_an_async_wrapper_may_describe_the_file_with_a_model() -> None:
    async with serving(stores=StoresLater()) as client:
        answer = await client.post("/v1/files", files=FILES, data=STORED)

    assert answer.json()["id"] == "file-1"


async def test_an_upload_is_given_to_the_method_by_position() -> None:
    stores = Stores()
    deployment = Deployment("stores", stores, capabilities_of(stores, name="stores"))
    method = upload_method(Upload("a.txt", None, b"abc", "user_data"), deployment)

    assert method.name == "run_file_upload"
    assert method.function() == described(b"abc")
    assert stores.files == [("a.txt", None, b"abc", "user_data")]


@pytest.mark.parametrize("model", ["second", "second-alias"])
async def test_the_query_or_the_form_may_say_which_model_gets_it(model: str) -> None:
    first, second = Stores(), Stores()
    async with serving(first=first, second=second) as client:
        await client.post(f"/v1/files?model={model}", files=FILES, data=PURPOSE)
        await client.post("/v1/files", files=FILES, data={**PURPOSE, "model": model})

    assert (len(first.files), len(second.files)) == (0, 2)


async def test_a_model_that_takes_no_files_says_so() -> None:
    async with serving(stores=Stores(), computes=Computes()) as client:
        answer = await client.post("/v1/files?model=computes", files=FILES, data=PURPOSE)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model"
    assert "'computes' does not take files" in answer.json()["error"]["message"]


async def test_a_model_that_does_not_exist_is_not_found() -> None:
    async with serving(stores=Stores()) as client:
        answer = await client.post("/v1/files?model=nobody", files=FILES, data=PURPOSE)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("form", "missing"),
    [
        ({"files": FILES}, "'purpose'"),
        ({"data": PURPOSE}, "'file'"),
        ({"data": {**PURPOSE, "file": "abc"}}, "'file'"),
        ({"json": {}}, "'file' and 'purpose'"),
    ],
)
async def test_a_form_that_lacks_something_is_told_what(form: Any, missing: str) -> None:
    async with serving(stores=Stores()) as client:
        answer = await client.post("/v1/files", **form)

    assert answer.status_code == 400
    assert f"lacks {missing}." in answer.json()["error"]["message"]


async def test_a_form_that_cannot_be_read_is_refused() -> None:
    headers = {"content-type": "multipart/form-data"}
    async with serving(stores=Stores()) as client:
        answer = await client.post("/v1/files", content=b"abc", headers=headers)

    assert answer.status_code == 400
    assert "Missing boundary" in answer.json()["error"]["message"]


FORM_OF_A_FILE = (
    b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="\\ud800"\r\n'
    b"Content-Type: text/plain%s\r\n\r\nabc\r\n--x--\r\n"
)


@pytest.mark.parametrize(
    ("charset", "more", "said"),
    [
        ("undefined", b"", "undefined encoding"),
        ("unicode_escape", b"", r"The name of the file holds a character that cannot be kept"),
        ("utf-8", b"\nX-Evil: 1", r"cannot be of the type 'text/plain\nX-Evil: 1'"),
        ("utf-8", b"\x01", r"cannot be of the type 'text/plain\x01'"),
    ],
)
async def test_a_file_that_could_not_be_given_back_is_refused(
    charset: str, more: bytes, said: str
) -> None:
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    async with serving(stores=Stores()) as client:
        form = FORM_OF_A_FILE % more
        answer = await client.post("/v1/files", content=form, headers=headers)
        kept = await client.get("/v1/files")

    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]
    assert kept.json()["data"] == []


@pytest.mark.parametrize("result", ["done", {"id": "file-1"}, iter(["a"])])
async def test_a_result_that_is_no_file_object_is_the_wrappers_failure(result: object) -> None:
    async with serving(stores=Stores(result)) as client:
        answer = await client.post("/v1/files", files=FILES, data=STORED)

    assert answer.status_code == 500
    assert "'stores' failed in run_file_upload" in answer.json()["error"]["message"]


async def test_a_file_is_no_larger_than_its_own_deployment_takes() -> None:
    file = {"file": ("a.txt", b"x" * 1001, "text/plain")}
    little, much = StoresLittle(), StoresMuch()
    async with serving(little=little, much=much) as client:
        taken = await client.post("/v1/files?model=much", files=file, data=PURPOSE)
        refused = await client.post("/v1/files?model=little", files=file, data=PURPOSE)

    assert (taken.status_code, refused.status_code) == (200, 413)
    assert "larger than the 0.001 MB that 'little' takes" in refused.json()["error"]["message"]
    assert (len(little.files), len(much.files)) == (0, 1)


async def test_a_wrapper_may_refuse_a_file_with_a_status_of_its_own() -> None:
    async with serving(refuses=Refuses()) as client:
        answer = await client.post("/v1/files", files=FILES, data={**PURPOSE, "model": "refuses"})

    assert answer.status_code == 415
    assert "Only PDF files." in answer.json()["error"]["message"]
