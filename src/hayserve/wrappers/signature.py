"""The signature of `run_api`, as the typed input and output of an endpoint."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from docstring_parser import Docstring, parse
from pydantic.fields import FieldInfo
from starlette.datastructures import Headers, UploadFile

from hayserve.errors import DeployRefused
from hayserve.wrappers.arguments import Accepted, Arguments
from hayserve.wrappers.results import Result


@dataclass(frozen=True, slots=True)
class Signature:
    """How requests become arguments of a method, and what it returns an answer.

    `uploads` names the parameters that take files; True for those that take a list of them. If
    there are none, the endpoint takes JSON, else a form.
    """

    description: str
    wants_headers: bool
    uploads: Mapping[str, bool]
    _arguments: Arguments
    _result: Result

    def arguments(self, body: bytes) -> dict[str, Any]:
        """Read the arguments from JSON; an empty body counts as `{}`.

        Fields that the method does not declare are ignored. Values are coerced where nothing is
        lost ("3" is an int), and a field whose annotation names objects gets them.

        Raises:
            InvalidInput: Some fields are missing or do not fit.
            InvalidRequest: The body is not JSON, or not an object.
        """
        return self._arguments.from_json(body)

    def arguments_from_form(self, fields: Sequence[tuple[str, str | UploadFile]]) -> dict[str, Any]:
        """Read the arguments from a form's fields, in the order in which they were sent.

        A field that was sent several times is a list. Lists and objects may be sent as JSON text.

        Raises:
            InvalidInput: Some fields are missing or do not fit.
        """
        return self._arguments.from_form(fields)

    def arguments_from(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Read the arguments from values that were parsed already; objects are taken as they are.

        Raises:
            InvalidInput: Some fields are missing or do not fit.
        """
        return self._arguments.from_values(values)

    def encode(self, result: Any) -> bytes:
        """Give the JSON body `{"result": ...}`, coerced to the return annotation if there is one.

        Raises:
            WrapperFailed: The result does not fit the annotation or cannot become JSON.
        """
        return self._result.encode(result)

    def request_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of the input; its references are to its own `$defs`."""
        return self._arguments.schema()

    def response_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of the answer; `{}` if that is a stream or a Response."""
        return self._result.schema()


def signature_of(method: Callable[..., Any], *, name: str) -> Signature:
    """Read the signature of a bound `run_api` or `run_api_async`.

    A parameter without an annotation takes anything; one called `files` takes a list of uploads
    then. Descriptions come from the docstring, in Google's, numpy's or reST's style.

    Args:
        method: The method that answers.
        name: The deployment's name, for the titles of the schemas.

    Raises:
        DeployRefused: An annotation cannot be read, JSON cannot fill a parameter, or a result
            cannot become JSON.

    Example:
        ```python
        from hayserve.wrappers.signature import signature_of


        def run_api(question: str, top_k: int = 3) -> str:
            return question * top_k


        signature = signature_of(run_api, name="qa")
        print(signature.arguments(b'{"question": "Why?", "top_k": "2"}'))
        #> {'question': 'Why?', 'top_k': 2}
        print(signature.encode("Because."))
        #> b'{"result":"Because."}'
        ```
    """
    signature = _read(method)
    headers = _takes_headers(signature, label=_label(method))
    docstring = _docstring(method)
    accepted = [
        _accepted(parameter, docstring=docstring, label=_label(method))
        for parameter in signature.parameters.values()
        if not (headers and parameter.name == "headers")
    ]
    with warnings.catch_warnings():
        # What pydantic warns of is in the wrapper's types, and was said where they were made.
        warnings.simplefilter("ignore")
        arguments = Arguments(accepted, method=_label(method), title=f"{name}RunRequest")
        result = Result(
            Any if signature.return_annotation is Parameter.empty else signature.return_annotation,
            method=_label(method),
            title=f"{name}RunResponse",
            description=(docstring.returns and docstring.returns.description) or "",
        )
    return Signature(
        description=docstring.short_description or "",
        wants_headers=headers,
        uploads=arguments.uploads(),
        _arguments=arguments,
        _result=result,
    )


def wants_headers(method: Callable[..., Any]) -> bool:
    """Say whether `method` declares `headers: Headers | None = None`.

    Raises:
        DeployRefused: It declares request headers in another form, or an annotation cannot be read.
    """
    return _takes_headers(_read(method), label=_label(method))


def _read(method: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(method, eval_str=True)
    except Exception as error:  # reading an annotation runs the wrapper's own code
        raise DeployRefused(
            f"{_unread(method, error)} of {_label(method)!r} cannot be read: "
            f"{type(error).__name__}: {error}.",
            hint="Import what annotations name at the top of the module, "
            "outside of `if TYPE_CHECKING:`.",
        ) from error


def _unread(method: Callable[..., Any], error: Exception) -> str:
    missing = getattr(error, "name", None)
    annotations = getattr(method, "__annotations__", {})
    for name, annotation in annotations.items():
        if missing and isinstance(annotation, str) and missing in annotation:
            return f"The annotation {annotation!r} of {name!r}"
    return "An annotation"


def _takes_headers(signature: inspect.Signature, *, label: str) -> bool:
    parameter = signature.parameters.get("headers")
    if parameter is None or not _mentions_headers(parameter.annotation):
        return False
    if (
        get_origin(parameter.annotation) in {Union, UnionType}
        and set(get_args(parameter.annotation)) == {Headers, NoneType}
        and parameter.default is None
        and parameter.kind is not Parameter.POSITIONAL_ONLY
    ):
        return True
    raise DeployRefused(
        f"The parameter 'headers' of {label!r} is declared in a way that cannot be served.",
        hint="To receive the request's headers declare exactly `headers: Headers | None = None`, "
        "with `Headers` from starlette.datastructures.",
        param="headers",
    )


def _mentions_headers(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Headers):
        return True
    return any(_mentions_headers(arg) for arg in get_args(annotation))


def _accepted(parameter: Parameter, *, docstring: Docstring, label: str) -> Accepted:
    if parameter.kind not in {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}:
        raise DeployRefused(
            f"The parameter {str(parameter).partition(':')[0]!r} of {label!r} has no place in a "
            f"request: it is {parameter.kind.description}.",
            hint="Name each parameter: the names are the fields of the request.",
            param=parameter.name,
        )
    annotation = parameter.annotation
    if annotation is Parameter.empty:
        annotation = list[UploadFile] if parameter.name == "files" else Any
    descriptions = {entry.arg_name: entry.description for entry in docstring.params}
    return Accepted(
        name=parameter.name,
        annotation=annotation,
        default=parameter.default,
        description=descriptions.get(parameter.name)
        or _annotated_description(annotation)
        or f"Parameter '{parameter.name}'",
    )


def _annotated_description(annotation: Any) -> str | None:
    extras = getattr(annotation, "__metadata__", ())
    return next((extra.description for extra in extras if isinstance(extra, FieldInfo)), None)


def _docstring(method: Callable[..., Any]) -> Docstring:
    # `inspect.getdoc` would find the base class's docstring where the wrapper has none.
    return parse(inspect.cleandoc(method.__doc__ or ""))


def _label(method: Callable[..., Any]) -> str:
    return getattr(method, "__name__", type(method).__name__)
