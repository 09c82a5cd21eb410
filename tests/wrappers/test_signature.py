"""Signatures of `run_api`: what they declare, and what is refused at deploy."""

import functools
from collections.abc import Callable
from typing import Annotated, Any, Optional, Union

import pytest
from pydantic import Field
from starlette.datastructures import Headers, MutableHeaders, UploadFile

from hayserve.errors import DeployRefused, InvalidInput
from hayserve.wrappers.base import BasePipelineWrapper
from hayserve.wrappers.signature import signature_of, wants_headers


class Greeter(BasePipelineWrapper):
    def setup(self) -> None: ...

    def run_api(self, name: str, times: int = 1) -> str:
        """Greet somebody.

        At length.

        Args:
            name: Who it is.

        Returns:
            The greeting.
        """
        return name * times


class Undocumented(BasePipelineWrapper):
    def setup(self) -> None: ...

    async def run_api_async(self, anything: Any, files: Any = None) -> Any:
        return anything

    run_api_async.__annotations__.clear()


def test_a_docstring_describes_the_endpoint_its_fields_and_its_result() -> None:
    signature = signature_of(Greeter().run_api, name="greeter")

    assert signature.description == "Greet somebody."
    assert signature.request_schema() == {
        "title": "greeterRunRequest",
        "type": "object",
        "properties": {
            "name": {"title": "Name", "type": "string", "description": "Who it is."},
            "times": {
                "title": "Times",
                "type": "integer",
                "default": 1,
                "description": "Parameter 'times'",
            },
        },
        "required": ["name"],
    }
    assert signature.response_schema() == {
        "title": "greeterRunResponse",
        "type": "object",
        "properties": {"result": {"type": "string", "description": "The greeting."}},
        "required": ["result"],
    }


def test_a_method_without_annotations_takes_and_returns_anything() -> None:
    signature = signature_of(Undocumented().run_api_async, name="open")

    assert not signature.description
    assert signature.arguments(b'{"anything": [1]}') == {"anything": [1], "files": None}
    assert signature.encode({"a": [1]}) == b'{"result":{"a":[1]}}'
    assert signature.response_schema()["properties"] == {"result": {}}


def test_a_parameter_called_files_takes_a_list_of_uploads_unless_it_says_otherwise() -> None:
    def one(files: UploadFile) -> None: ...
    def names(files: list[str]) -> None: ...

    assert signature_of(Undocumented().run_api_async, name="x").uploads == {"files": True}
    assert signature_of(one, name="x").uploads == {"files": False}
    assert signature_of(names, name="x").uploads == {"files": True}


def test_uploads_are_found_by_their_type() -> None:
    class Scan(UploadFile):
        pass

    def run_api(
        *,
        note: str,
        scan: Scan,
        pages: list[UploadFile],
        cover: Optional[UploadFile] = None,  # noqa: UP045 (people write it)
        extra: Annotated[list[UploadFile] | None, "the rest"] = None,
        either: UploadFile | list[UploadFile] | None = None,
    ) -> None: ...

    assert signature_of(run_api, name="x").uploads == {
        "scan": False,
        "pages": True,
        "cover": False,
        "extra": True,
        "either": True,
    }


def test_annotations_may_be_strings() -> None:
    def run_api(x: "int", y: "list[str] | None" = None) -> "dict[str, int]": ...

    signature = signature_of(run_api, name="x")

    assert signature.arguments(b'{"x": "3"}') == {"x": 3, "y": None}
    assert signature.encode({"a": "1"}) == b'{"result":{"a":1}}'


def test_names_that_pydantic_keeps_for_itself_are_fields_like_others() -> None:
    def run_api(
        _private: int, model_config: str, schema: str = "s", copy: bool = False
    ) -> None: ...

    signature = signature_of(run_api, name="x")

    assert signature.arguments(b'{"_private": 1, "model_config": "c"}') == {
        "_private": 1,
        "model_config": "c",
        "schema": "s",
        "copy": False,
    }
    assert list(signature.request_schema()["properties"]) == [
        "_private",
        "model_config",
        "schema",
        "copy",
    ]
    with pytest.raises(InvalidInput) as caught:
        signature.arguments(b'{"field_0": 1, "model_config": "c"}')
    assert [problem.loc for problem in caught.value.problems] == [("body", "_private")]


def test_a_description_in_the_annotation_is_used_where_the_docstring_has_none() -> None:
    def run_api(x: Annotated[int, "plain", Field(ge=1, description="At least one.")]) -> None: ...

    schema = signature_of(run_api, name="x").request_schema()["properties"]["x"]

    assert schema == {"title": "X", "type": "integer", "minimum": 1, "description": "At least one."}


def test_a_broken_docstring_still_gives_its_first_line() -> None:
    def run_api() -> None: ...

    run_api.__doc__ = "Say it.\n\n:param: :\n:returns\n:x"

    assert signature_of(run_api, name="x").description == "Say it."


def test_a_callable_without_a_name_can_be_read() -> None:
    def run_api(x: int, y: int) -> int: ...

    assert signature_of(functools.partial(run_api, y=1), name="x").arguments(b'{"x": 1}') == {
        "x": 1,
        "y": 1,
    }


def test_headers_are_wanted_by_one_exact_declaration() -> None:
    def union(x: int, headers: Headers | None = None) -> None: ...
    def optional(*, headers: Optional[Headers] = None) -> None: ...  # noqa: UP045 (people write it)
    def body_field(headers: dict[str, str]) -> None: ...
    def none() -> None: ...

    assert wants_headers(union)
    assert wants_headers(optional)
    assert not wants_headers(body_field)
    assert not wants_headers(none)
    assert signature_of(union, name="x").wants_headers
    assert list(signature_of(union, name="x").request_schema()["properties"]) == ["x"]
    assert list(signature_of(body_field, name="x").request_schema()["properties"]) == ["headers"]


def required(headers: Headers) -> None: ...
def without_default(headers: Headers | None) -> None: ...
def other_default(headers: Headers | None = Headers({})) -> None: ...  # noqa: B008 (that is the point)
def subclass(headers: MutableHeaders | None = None) -> None: ...
def wider(headers: Union[Headers, dict[str, str], None] = None) -> None: ...  # noqa: UP007
def positional(headers: Headers | None = None, /) -> None: ...


@pytest.mark.parametrize(
    "method", [required, without_default, other_default, subclass, wider, positional]
)
def test_other_declarations_of_headers_are_refused(method: Callable[..., Any]) -> None:
    with pytest.raises(DeployRefused, match=f"'headers' of '{method.__name__}'") as caught:
        wants_headers(method)
    assert "`headers: Headers | None = None`" in caught.value.hint
    assert caught.value.param == "headers"
    with pytest.raises(DeployRefused):
        signature_of(method, name="x")


def variadic(*names: str) -> None: ...
def keywords(**options: int) -> None: ...
def positional_only(x: int, /) -> None: ...


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (variadic, "'*names' of 'variadic' has no place in a request: it is variadic positional"),
        (keywords, "'**options' of 'keywords' has no place in a request: it is variadic keyword"),
        (positional_only, "'x' of 'positional_only' has no place in a request: it is positional"),
    ],
)
def test_parameters_that_a_request_cannot_name_are_refused(
    method: Callable[..., Any], message: str
) -> None:
    with pytest.raises(DeployRefused) as caught:
        signature_of(method, name="x")
    assert message in caught.value.message
    assert caught.value.hint.startswith("Name each parameter")


def test_an_annotation_that_cannot_be_read_is_named() -> None:
    def run_api(x: int, y: int) -> None: ...

    run_api.__annotations__ = {"x": int, "y": "list[Missing]"}

    with pytest.raises(DeployRefused) as caught:
        signature_of(run_api, name="x")
    assert caught.value.message == (
        "The annotation 'list[Missing]' of 'y' of 'run_api' cannot be read: "
        "NameError: name 'Missing' is not defined."
    )


def test_an_annotation_that_is_no_python_is_refused() -> None:
    def run_api(x: int) -> None: ...

    run_api.__annotations__ = {"x": "]"}

    with pytest.raises(DeployRefused, match="An annotation of 'run_api' cannot be read: SyntaxErr"):
        wants_headers(run_api)
