"""What `run_api` returns, as JSON."""

import json
import reprlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from starlette.responses import Response

from hayserve.errors import DeployRefused, WrapperFailed, sentence
from hayserve.wrappers.base import SSEStream
from hayserve.wrappers.json_schema import describe


class Result:
    """How what a method returns becomes `{"result": ...}`.

    Args:
        annotation: The return annotation; Any if there is none.
        method: The method's name, for messages.
        title: The title of the JSON Schema.
        description: What the docstring says about the result.

    Raises:
        DeployRefused: The annotation names something that cannot become JSON.
    """

    def __init__(self, annotation: Any, *, method: str, title: str, description: str = "") -> None:
        self._annotation = annotation
        self._method = method
        self._title = title
        self._description = description
        self._is_json = not _is_passed_on(annotation)
        adapter = _adapter_of(annotation if self._is_json else Any, method=method)
        self._adapter = adapter
        self._validate: Callable[[Any], Any] = adapter.validator.validate_python
        self._to_json: Callable[..., bytes] = adapter.serializer.to_json

    def encode(self, result: Any) -> bytes:
        """Give the body of the answer.

        Raises:
            WrapperFailed: The result does not fit the annotation or cannot become JSON.
        """
        try:
            value = self._validate(result)
            return b'{"result":' + self._json_of(value) + b"}"
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = "".join(f"[{part!r}]" for part in first["loc"])
            said = f"at {where}: {first['msg']}" if where else first["msg"]
            raise WrapperFailed(
                f"{self._method!r} returned {_shown(result)}, which is not the "
                f"{_name_of(self._annotation)} that it declares: {said}.",
                hint="Return what the annotation says, or change the annotation.",
            ) from error
        except Exception as error:  # serialisers of the wrapper's own classes may run
            raise WrapperFailed(
                sentence(
                    f"{self._method!r} returned {_shown(result)}, which cannot become JSON: {error}"
                ),
                hint="Return text, numbers, lists, dicts, dataclasses or pydantic models; "
                "bytes that are not UTF-8 go into a Response, or into base64.",
            ) from error

    def _json_of(self, value: Any) -> bytes:
        try:
            return self._to_json(value, by_alias=True, warnings=False)
        except PydanticSerializationError as error:
            if "surrogates not allowed" not in str(error):
                raise
        # Half of a surrogate pair: only ASCII can say it.
        plain = self._adapter.dump_python(value, mode="json", by_alias=True, warnings=False)
        return json.dumps(plain).encode()

    def schema(self) -> dict[str, Any]:
        """Give the JSON Schema of the body; an empty one if it is a stream or a Response."""
        if not self._is_json:
            return {}
        result = describe(self._adapter, mode="serialization")
        definitions = result.pop("$defs", None)
        if self._description:
            result["description"] = self._description
        schema = {
            "title": self._title,
            "type": "object",
            "properties": {"result": result},
            "required": ["result"],
        }
        return schema if definitions is None else {"$defs": definitions, **schema}


def _is_passed_on(annotation: Any) -> bool:
    """Say whether values of this type leave the server as they are: streams and Responses."""
    origin = get_origin(annotation) or annotation
    if origin in {Union, UnionType}:
        return all(_is_passed_on(member) for member in get_args(annotation))
    if origin in {Generator, AsyncGenerator, Iterator, AsyncIterator}:
        return True
    return isinstance(origin, type) and issubclass(origin, (Response, SSEStream))


def _adapter_of(annotation: Any, *, method: str) -> TypeAdapter[Any]:
    if get_origin(annotation) in {Union, UnionType}:
        members = tuple(arg for arg in get_args(annotation) if not _is_passed_on(arg))
        annotation = Union[members]  # noqa: UP007 (built at run time)
    try:
        adapter = TypeAdapter(annotation)
        adapter.rebuild()  # raises where a model in it names a class that does not exist
    except Exception as error:  # a type may bring its own code for its schema
        raise DeployRefused(
            f"The return annotation {_name_of(annotation)} of {method!r} cannot become JSON.",
            hint="Annotate what JSON can say, a Generator, a Response, or Any; "
            "or leave the annotation out.",
        ) from error
    return adapter


def _name_of(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _shown(value: Any) -> str:
    return f"{reprlib.repr(value)} ({type(value).__name__})"
