"""What is typed becomes the input that an endpoint takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hayserve.cli.client import Upload
from hayserve.cli.endpoint import Endpoint, Kind
from hayserve.cli.flags import Call
from hayserve.cli.inputs import Typed, typed_in, value_of
from hayserve.errors import Misconfigured


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", [1, 2]),
        ("true", True),
        ("null", None),
        ("7", 7),
        ("0.5", 0.5),
        ("-7", "-7"),
        ("007", "007"),
        ("{not json}", "{not json}"),
        ("True", "True"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_value_is_json_where_it_looks_like_it(text: str, value: Any) -> None:
    assert value_of(text) == value


def form(fields: Mapping[str, Kind]) -> Endpoint:
    return Endpoint("x", fields, is_form=True)


def a_file(field: str = "") -> Typed:
    return Typed(files=[Upload(field, "a.txt", Path("a.txt"))])


def test_without_a_word_from_the_server_parameters_are_json_and_files_are_files() -> None:
    sent = Typed([("q", "7")]).for_endpoint(None)
    assert (sent.params, sent.as_form) == ({"q": 7}, False)
    sent = a_file().for_endpoint(None)
    assert ([file.field for file in sent.files], sent.as_form) == (["files"], True)


def test_without_a_word_from_the_server_no_parameter_is_warned_of() -> None:
    assert list(Typed([("q", "7")]).unknown_to(None)) == []


def test_an_endpoint_that_takes_anything_ignores_nothing() -> None:
    endpoint = Endpoint("x", {}, is_form=True, is_open=True)
    assert list(Typed([("q", "7")]).unknown_to(endpoint)) == []
    assert [file.field for file in a_file("any").for_endpoint(endpoint).files] == ["any"]


def test_an_endpoint_without_parameters_says_so() -> None:
    endpoint = Endpoint("x", {}, is_form=False)
    assert list(Typed([("q", "7")]).unknown_to(endpoint)) == [
        "'q' is no parameter of 'x' and is ignored; it takes no parameters."
    ]


@pytest.mark.parametrize(
    ("fields", "said", "field"),
    [
        ({"photo": "file", "q": "text"}, "", "photo"),
        ({"photo": "file", "scan": "file"}, "scan", "scan"),
        ({"photo": "file", "files": "file"}, "", "files"),
        ({"files": "json"}, "", "files"),
    ],
)
def test_a_file_goes_into_the_field_that_takes_it(
    fields: Mapping[str, Kind], said: str, field: str
) -> None:
    sent = a_file(said).for_endpoint(form(fields))
    assert [file.field for file in sent.files] == [field]


@pytest.mark.parametrize(
    ("endpoint", "said", "complaint"),
    [
        (
            Endpoint("zip", {"q": "text"}, is_form=False),
            "",
            "'zip' takes no files. Leave out -f and -d; it takes 'q'.",
        ),
        (
            form({"photo": "file", "scan": "file"}),
            "",
            "'x' takes files in 'photo', 'scan'. Say which it is: -f photo=a.txt",
        ),
        (
            form({"photo": "file"}),
            "foto",
            "'x' has no parameter 'foto' for 'a.txt'. It takes files in 'photo'.",
        ),
        (
            form({"q": "text"}),
            "",
            "'x' has no parameter 'files' for 'a.txt'. It takes no files.",
        ),
    ],
)
def test_a_file_that_has_no_place_is_refused_before_it_is_sent(
    endpoint: Endpoint, said: str, complaint: str
) -> None:
    with pytest.raises(Misconfigured) as refused:
        a_file(said).for_endpoint(endpoint)
    assert str(refused.value) == complaint


def test_a_parameter_that_is_typed_twice_is_sent_as_the_last() -> None:
    typed = typed_in(Call(name="x", params=["q=a", "q=b"]))
    assert typed.for_endpoint(None).params == {"q": "b"}
