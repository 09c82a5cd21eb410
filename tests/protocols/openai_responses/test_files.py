"""Uploads: who takes them, and what clients are told."""

from types import MappingProxyType
from typing import Any

import pytest
from openai.types import FileObject
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from hayserve.deployments.deployment import Deployment
from hayserve.protocols.openai_responses.files import Upload, upload_method
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.capabilities import capabilities_of
from protocols.openai_responses.serving import serving

FILES = {"file": ("a.txt", b"abc", "text/plain")}
PURPOSE = {"purpose": "user_data"}

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
async def test_a_file_goes_to_the_wrapper_that_takes_files(path: str) -> None:
    stores = Stores()
    async with serving(computes=Computes(), stores=stores) as client:
        answer = await client.post(path, files=FILES, data=PURPOSE)

    assert stores.files == [("a.txt", "text/plain", b"abc", "user_data")]
    assert answer.status_code == 200
    assert answer.json() == {**described(b"abc"), "object": "file", "status": "processed"}
    FileObject.model_validate(answer.json(), strict=True)


async def test_an_async_wrapper_may_describe_the_file_with_a_model() -> None:
    async with serving(stores=StoresLater()) as client:
        answer = await client.post("/v1/files", files=FILES, data=PURPOSE)

    assert answer.json()["id"] == "file-1"


async def test_an_upload_is_given_to_the_method_by_position() -> None:
    stores = Stores()
    deployment = Deployment("stores", stores, capabilities_of(stores, name="stores"))
    method = upload_method(Upload("a.txt", None, b"abc", "user_data"), deployment)

    assert method.name == "run_file_upload"
    assert method.function() == described(b"abc")
    assert stores.files == [("a.txt", None, b"abc", "user_data")]


async def test_of_several_that_take_files_the_first_gets_it() -> None:
    first, second = Stores(), Stores()
    async with serving(first=first, second=second) as client:
        await client.post("/v1/files", files=FILES, data=PURPOSE)

    assert (len(first.files), len(second.files)) == (1, 0)


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


async def test_a_file_that_nobody_takes_is_refused_and_not_lost_silently() -> None:
    async with serving(computes=Computes()) as client:
        answer = await client.post("/v1/files", files=FILES, data=PURPOSE)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "not_capable"


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


@pytest.mark.parametrize("result", ["done", {"id": "file-1"}, iter(["a"])])
async def test_a_result_that_is_no_file_object_is_the_wrappers_failure(result: object) -> None:
    async with serving(stores=Stores(result)) as client:
        answer = await client.post("/v1/files", files=FILES, data=PURPOSE)

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
        answer = await client.post("/v1/files", files=FILES, data=PURPOSE)

    assert answer.status_code == 415
    assert "Only PDF files." in answer.json()["error"]["message"]
