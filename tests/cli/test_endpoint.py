"""The OpenAPI document says what an endpoint takes."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, JsonValue
from starlette.datastructures import UploadFile

from hayserve.cli.endpoint import Endpoint, endpoint_in
from hayserve.wrappers.signature import signature_of

FORM = "multipart/form-data"
JSON = "application/json"


def document(schema: dict[str, Any], *, media_type: str = JSON, **schemas: Any) -> dict[str, Any]:
    content = {media_type: {"schema": schema}}
    return {
        "paths": {"/x/run": {"post": {"requestBody": {"content": content}}}},
        "components": {"schemas": schemas},
    }


def described(schema: dict[str, Any], *, media_type: str = JSON, **schemas: Any) -> Endpoint:
    endpoint = endpoint_in(document(schema, media_type=media_type, **schemas), "x")
    assert endpoint is not None
    return endpoint


class Place(BaseModel):
    town: str


def run_api(  # noqa: PLR0913, PLR0917 (one parameter of each make)
    text: str,
    maybe: str | None,
    word: Literal["a", "b"],
    both: str | int,
    words: list[str],
    place: Place,
    recursive: JsonValue,
    scan: UploadFile,
    scans: Annotated[list[UploadFile] | None, "kept"] = None,
    anything: Any = None,
) -> None: ...


def test_each_parameter_of_a_wrapper_has_a_kind() -> None:
    schema = signature_of(run_api, name="x").request_schema()
    endpoint = described(
        {"$ref": "#/components/schemas/Request"},
        media_type=FORM,
        Request=schema,
        **schema.get("$defs", {}),
    )
    assert endpoint == Endpoint(
        "x",
        {
            "text": "text",
            "maybe": "text",
            "word": "text",
            "both": "json",
            "words": "json",
            "place": "json",
            "recursive": "json",
            "scan": "file",
            "scans": "file",
            "anything": "json",
        },
        is_form=True,
    )
    assert endpoint.uploads == ["scan", "scans"]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": ["string", "null"]}, "text"),
        ({"type": "null"}, "json"),
        ({"allOf": [{"$ref": "#/components/schemas/Word"}]}, "text"),
        ({"type": "string", "contentMediaType": "application/octet-stream"}, "file"),
        ({"$ref": "#/components/schemas/Itself"}, "json"),
        ({"$ref": "#/components/schemas/Nowhere"}, "json"),
    ],
)
def test_a_schema_of_another_make_is_understood(schema: dict[str, Any], kind: str) -> None:
    schemas: dict[str, Any] = {
        "Word": {"type": "string"},
        "Itself": {"anyOf": [{"$ref": "#/components/schemas/Itself"}, {"type": "integer"}]},
    }
    endpoint = described({"properties": {"field": schema, "odd": True}}, **schemas)
    assert endpoint.fields == {"field": kind}
    assert not endpoint.is_form


@pytest.mark.parametrize(
    ("schema", "is_open"),
    [
        ({}, True),
        ({"type": "object"}, True),
        ({"type": "object", "properties": {}}, False),
        ({"properties": {}, "additionalProperties": True}, True),
        ({"properties": {}, "additionalProperties": False}, False),
    ],
)
def test_an_endpoint_is_open_if_it_does_not_name_what_it_takes(
    schema: dict[str, Any], is_open: bool
) -> None:
    assert described(schema).is_open is is_open


@pytest.mark.parametrize(
    "document", [{}, {"paths": []}, document({}, media_type="application/octet-stream")]
)
def test_what_is_not_described_is_not_known(document: dict[str, Any]) -> None:
    assert endpoint_in(document, "x") is None
