"""`/openapi.json` and `/docs` describe what is served, whatever it is."""

import json
import re
from base64 import b64encode
from collections.abc import Generator, Iterator, Mapping
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import pytest
from jsonschema.validators import Draft202012Validator
from pydantic import BaseModel, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema
from starlette.datastructures import UploadFile

from hayserve import BasePipelineWrapper
from hayserve.protocols.described import DescribedRoute
from hayserve.protocols.rest.components import schema_of
from hayserve.server.app import create_app
from hayserve.settings import load
from hayserve.testing import serve


class Wrapper(BasePipelineWrapper):
    def setup(self) -> None: ...


class Address(BaseModel):
    city: str
    parent: "Address | None" = None


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Typed(Wrapper):
    def run_api(
        self,
        address: Address,
        pet: Annotated[Cat | Dog, Field(discriminator="kind")],
        count: int = 1,
    ) -> list[Address]:
        """Find <b>someone</b> & greet.

        Args:
            count: How many.
        """
        return [address] * count


class Takes(Wrapper):
    def run_api(self, files: list[UploadFile] | None = None) -> Generator[str]:
        yield ""


class Explodes(BaseModel):
    x: int

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        raise RuntimeError("no schema today")


class Lost(BaseModel):
    x: int

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"properties": {"x": {"$ref": "#/definitions/nowhere"}, "y": {1, 2}}}


class Odd(Wrapper):
    def run_api(
        self, limit: float = float("inf"), many: int = 2**80, text: str = "\ud800"
    ) -> Explodes:
        "A summary with \ud800 in it."
        return Explodes(x=1)


class Odder(Wrapper):
    def run_api(self, thing: Explodes | None = None) -> Lost:
        return Lost(x=1)


class Oddest(Wrapper):
    def run_api(
        self,
        elsewhere: Annotated[str, WithJsonSchema({"$ref": "#/definitions/nowhere"})] = "",
    ) -> Annotated[str, WithJsonSchema({"enum": cast(Any, {1, 2})})]:
        return ""


class Chat(Wrapper):
    def run_chat_completion(self, model: str, messages: object, body: object) -> str:
        return ""


class Page(HTMLParser):
    """The tags of a page that load something, or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in {"script", "link", "img", "iframe", "b"} or "src" in named:
            self.loads.append(tag)


def refs_in(node: object) -> Iterator[str]:
    match node:
        case dict():
            for key, value in cast(dict[str, object], node).items():
                if key in {"$ref", "mapping"}:
                    yield from [value] if isinstance(value, str) else cast(Any, value).values()
                else:
                    yield from refs_in(value)
        case list():
            for item in cast(list[object], node):
                yield from refs_in(item)
        case _:
            return


def check(document: Mapping[str, Any]) -> None:
    """What OpenAPI 3.1 asks of a document like ours."""
    assert document["openapi"] == "3.1.0"
    assert set(document["info"]) == {"title", "version"}
    operations: list[Any] = [
        operation for methods in document["paths"].values() for operation in methods.values()
    ]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for path, methods in document["paths"].items():
        for operation in methods.values():
            parameters = operation.get("parameters", [])
            named = {f"{{{each['name']}}}" for each in parameters if each["in"] == "path"}
            assert named == {part for part in path.split("/") if part.startswith("{")}
            assert operation["summary"]
            assert all(answer["description"] for answer in operation["responses"].values())
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        assert name.replace("-", "").replace("_", "").isalnum()
        assert schema.get("title", name) == name
        assert name.isascii()
        Draft202012Validator.check_schema(schema)
    for ref in refs_in(document):
        assert ref.removeprefix("#/components/schemas/") in schemas, ref


def test_an_empty_server_is_described() -> None:
    with serve() as client:
        document = client.http.get("/openapi.json").json()
    check(document)
    assert document["paths"]["/status/{name}"]["get"]["operationId"] == "status_of"
    assert document["paths"]["/v1/models/{id}"]["get"]["operationId"] == "retrieve_model"
    assert document["paths"]["/models/{id}"]["get"]["operationId"] == "retrieve_model_alias"
    assert "servers" not in document


def test_what_is_always_there_says_what_it_takes_and_answers() -> None:
    with serve() as client:
        document = client.http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            answers = operation["responses"]
            assert answers["200"]["content"], path
            assert {"403", "500", "503"} < set(answers), path
            assert ("404" in answers) or "{" not in path, path
            assert ("requestBody" in operation) or verb in {"get", "delete"} or "{" in path, path


def test_an_operation_names_its_fields_its_answers_and_its_refusals() -> None:
    with serve() as client:
        document = client.http.get("/openapi.json").json()
    create = document["paths"]["/v1/responses"]["post"]
    body = create["requestBody"]
    assert body["required"]
    assert body["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ResponseRequest"
    }
    answers = create["responses"]
    assert set(answers["200"]["content"]) == {"application/json", "text/event-stream"}
    assert answers["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ResponseObject"
    }
    described = {"400", "404", "408", "409", "413", "422", "429", "504", "default"}
    assert described < set(answers)
    assert answers["504"]["description"] == "The deadline of a run passed before it ended."
    refusal = answers["429"]["content"]["application/json"]["schema"]
    assert refusal == {"$ref": "#/components/schemas/OpenAIRefusal"}


def test_what_is_not_openais_is_refused_in_the_servers_own_form() -> None:
    with serve(typed=Typed) as client:
        document = client.http.get("/openapi.json").json()
    for path, verb in (("/status/{name}", "get"), ("/typed/run", "post")):
        refusal = document["paths"][path][verb]["responses"]["404"]
        content = refusal["content"]["application/json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Refusal"}


def test_the_parameters_of_a_query_are_described() -> None:
    with serve() as client:
        document = client.http.get("/openapi.json").json()
    files = {each["name"]: each for each in document["paths"]["/v1/files"]["get"]["parameters"]}
    assert set(files) == {"limit", "order", "after", "purpose"}
    assert files["limit"]["in"] == "query"
    assert not files["limit"]["required"]
    assert (files["limit"]["schema"]["minimum"], files["limit"]["schema"]["maximum"]) == (1, 10_000)
    diff = document["paths"]["/deployments/{name}/diff"]["get"]["parameters"]
    assert {each["name"]: each["required"] for each in diff} == {
        "name": True,
        "old": True,
        "new": True,
    }


def test_no_two_types_have_one_name(tmp_path: Path) -> None:
    routes = create_app(load(data_dir=tmp_path)).routes
    described = [route.described for route in routes if isinstance(route, DescribedRoute)]
    types = {each for one in described for each in (one.takes, one.answers) if each is not None}
    names = [schema_of(each, "validation")["title"] for each in types - {bytes}]
    assert len(names) == len(set(names))


def test_typed_deployments_are_described_under_each_of_their_names() -> None:
    with serve(typed=Typed, takes=Takes, chat=Chat) as client:
        document = client.http.get("/openapi.json").json()
    check(document)
    assert "/chat/run" not in document["paths"]
    operation = document["paths"]["/typed/run"]["post"]
    assert operation["operationId"] == "typed_run"
    assert operation["summary"] == "Find <b>someone</b> & greet."
    schemas = document["components"]["schemas"]
    body = schemas["typedRunRequest"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/typedRunRequest"
    }
    assert body["required"] == ["address", "pet"]
    assert body["properties"]["count"]["description"] == "How many."
    assert body["properties"]["address"]["$ref"] == "#/components/schemas/typedRunRequest_Address"
    assert body["properties"]["pet"]["discriminator"]["mapping"] == {
        "cat": "#/components/schemas/typedRunRequest_Cat",
        "dog": "#/components/schemas/typedRunRequest_Dog",
    }
    assert schemas["typedRunResponse"]["required"] == ["result"]
    upload = document["paths"]["/takes/run"]["post"]
    assert "multipart/form-data" in upload["requestBody"]["content"]
    assert "schema" not in upload["responses"]["200"]["content"]["application/json"]


def test_a_deployment_that_cannot_be_described_does_not_take_others_with_it() -> None:
    with serve(odd=Odd, odder=Odder, oddest=Oddest, typed=Typed) as client:
        answer = client.http.get("/openapi.json")
        page = client.http.get("/docs")
        status = client.http.get("/status")
    document = json.loads(answer.content, parse_constant=pytest.fail)
    check(document)
    assert document["paths"]["/odd/run"]["post"]["summary"] == "A summary with ? in it."
    assert "limit" in document["components"]["schemas"]["oddRunRequest"]["properties"]
    assert document["paths"]["/typed/run"]
    assert (page.status_code, status.status_code) == (200, 200)


def test_names_of_any_script_are_described() -> None:
    with serve(日本=Typed, modèle=Typed) as client:
        document = client.http.get("/openapi.json").json()
        page = client.http.get("/docs").text
    check(document)
    assert "/日本/run" in document["paths"]
    assert "xn--wgv71aRunRequest" in document["components"]["schemas"]
    assert "/日本/run" in page


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_browser_runs_nothing_of_the_page_and_shows_it_in_no_frame(path: str) -> None:
    with serve() as client:
        answer = client.http.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert b64encode(sha256(style.encode()).digest()).decode() in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_page_loads_nothing_and_escapes_everything(path: str) -> None:
    with serve(typed=Typed, takes=Takes) as client:
        answer = client.http.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert Page(answer.text).loads == []
    assert "http" not in answer.text
    assert "Find &lt;b&gt;someone&lt;/b&gt; &amp; greet." in answer.text
    assert "multipart/form-data to /takes/run" in answer.text


def test_a_root_path_is_part_of_the_description() -> None:
    with serve(typed=Typed, settings={"root_path": "/api/"}) as client:
        for prefix in ("", "/api"):
            document = client.http.get(f"{prefix}/openapi.json").json()
            check(document)
            assert document["servers"] == [{"url": "/api"}]
            assert "application/json to /api/typed/run" in client.http.get(f"{prefix}/docs").text
            answer = client.http.post(f"{prefix}/typed/run", json={})
            assert answer.status_code == 422
