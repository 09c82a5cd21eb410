"""What a form's fields become."""

import io
from typing import Any

import pytest
from haystack.dataclasses import Document
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from typing_extensions import TypedDict

from hayserve.errors import InvalidInput, Problem
from hayserve.wrappers.signature import signature_of


class Note(BaseModel):
    text: str


class Options(TypedDict):
    depth: int


def file(name: str = "a.txt") -> UploadFile:
    return UploadFile(io.BytesIO(b"content"), filename=name, size=7)


def read(annotation: Any, *sent: str | UploadFile) -> Any:
    def run_api(x: Any = "default") -> None: ...

    run_api.__annotations__ = {"x": annotation}
    signature = signature_of(run_api, name="x")
    return signature.arguments_from_form([("x", value) for value in sent])["x"]


def test_fields_fill_parameters_by_name_and_the_others_are_ignored() -> None:
    def run_api(text: str, number: int, *, scan: UploadFile, flag: bool = False) -> None: ...

    scan = file()
    fields = [("text", "a"), ("number", "3"), ("scan", scan), ("unknown", "b"), ("unknown", scan)]

    assert signature_of(run_api, name="x").arguments_from_form(fields) == {
        "text": "a",
        "number": 3,
        "scan": scan,
        "flag": False,
    }


def test_files_keep_their_order() -> None:
    one, two = file("1"), file("2")

    assert read(list[UploadFile], one, two) == [one, two]
    assert read(list[UploadFile] | None, one) == [one]
    assert read(list[Any], one) == [one]
    assert read(UploadFile | list[UploadFile], one) == [one]


def test_a_field_that_was_sent_several_times_is_a_list() -> None:
    assert read(list[str], "a", "", "b") == ["a", "", "b"]
    assert read(list[str], "a") == ["a"]
    assert read(set[int] | None, "1", "2") == {1, 2}
    assert read(str | list[str], "a") == "a"
    assert read(str | list[str], "a", "b") == ["a", "b"]
    assert read(Any, "a", "b") == ["a", "b"]
    assert read(list, "a") == ["a"]


def test_lists_and_objects_may_be_json_text() -> None:
    assert read(list[int], "[1, 2]") == [1, 2]
    assert read(list[str] | None, "null") is None
    assert read(list[str], "[draft]") == ["[draft]"]
    assert read(dict[str, Any], '{"a": 1}') == {"a": 1}
    assert read(Options | None, '{"depth": "1"}') == {"depth": 1}
    assert read(Note | None, "null") is None
    assert read(list[Note], '{"text": "a"}') == [Note(text="a")]
    assert read(list[Note], '{"text": "a"}', '{"text": "b"}') == [Note(text="a"), Note(text="b")]
    assert read(list[Document], '[{"content": "a"}]') == [Document(content="a")]


def test_where_text_is_wanted_json_text_stays_text() -> None:
    assert read(str, '{"a": 1}') == '{"a": 1}'
    assert read(bytes, "a") == b"a"
    assert read(dict[str, int] | int, "3") == 3
    assert read(dict[str, int] | bool, "yes") is True
    assert read(dict[str, int] | str, '{"a": 1}') == '{"a": 1}'


def test_an_empty_field_counts_as_not_sent_unless_text_is_wanted() -> None:
    assert read(int | None, "") == "default"
    assert read(list[str], "") == "default"
    assert read(list[UploadFile], "") == "default"
    assert read(UploadFile, UploadFile(io.BytesIO(), filename="", size=0)) == "default"
    assert not read(str, "")


@pytest.mark.parametrize(
    ("annotation", "sent", "problem"),
    [
        (
            UploadFile,
            [file(), file()],
            Problem(
                ("body", "x"), "Input should be one uploaded file, not several", "too_many_files"
            ),
        ),
        (
            UploadFile,
            ["text"],
            Problem(("body", "x"), "Input should be an uploaded file", "file_type"),
        ),
        (
            list[UploadFile],
            ["text"],
            Problem(("body", "x", 0), "Input should be an uploaded file", "file_type"),
        ),
        (
            str,
            [file()],
            Problem(("body", "x"), "Input should be a valid string", "string_type"),
        ),
        (
            dict[str, Any],
            ["{"],
            Problem(
                ("body", "x"),
                "Input should be JSON: EOF while parsing an object at line 1 column 1",
                "json_invalid",
            ),
        ),
    ],
)
def test_what_does_not_fit_is_named(
    annotation: Any, sent: list[str | UploadFile], problem: Problem
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(annotation, *sent)
    assert caught.value.problems == (problem,)


def test_a_schema_says_that_files_are_binary() -> None:
    def run_api(scan: UploadFile) -> None: ...

    assert signature_of(run_api, name="x").request_schema()["properties"]["scan"] == {
        "title": "Scan",
        "type": "string",
        "format": "binary",
        "description": "Parameter 'scan'",
    }


def test_files_from_fastapi_wrappers_are_taken() -> None:
    fastapi = pytest.importorskip("fastapi")
    upload = file()

    assert read(fastapi.UploadFile, upload) is upload
