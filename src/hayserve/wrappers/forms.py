"""What a form sends, as the values that a wrapper's parameters take."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import from_json
from starlette.datastructures import UploadFile

from hayserve.errors import InvalidInput, Problem
from hayserve.wrappers.objects import is_made_from_dict

Sent = str | UploadFile


def values_of(
    items: Sequence[tuple[str, Sent]], fields: Mapping[str, "FormField"]
) -> dict[str, Any]:
    """Turn the items of a form into values, for the parameters that `fields` knows.

    A field that was sent several times becomes a list, and so does one that takes a list. Where a
    parameter takes a list or an object, text is read as JSON. An empty text, or an empty file
    without a name, counts as not sent where text is not what is wanted: that is what browsers send
    for an empty input.

    Raises:
        InvalidInput: A text that has to be JSON is not.
    """
    sent: dict[str, list[Sent]] = {}
    for name, value in items:
        if name in fields:
            sent.setdefault(name, []).append(value)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, parts in sent.items():
        if _is_blank(parts) and not fields[name].takes_text:
            continue
        try:
            values[name] = fields[name].read(parts)
        except ValueError as error:
            problems.append(
                Problem(("body", name), f"Input should be JSON: {error}", "json_invalid")
            )
    if problems:
        names = ", ".join(repr(problem.loc[1]) for problem in problems)
        raise InvalidInput(
            f"These form fields are not JSON: {names}.",
            problems=problems,
            hint="Send the JSON as the text of the field.",
        )
    return values


@dataclass(frozen=True, slots=True)
class FormField:
    """How one parameter is read from a form.

    `takes_text`: any text is a value; `takes_object`: text is JSON; `takes_list`: it is a list,
    whose items are JSON if `items_are_objects`; `takes_upload`: files go in.
    """

    takes_text: bool = False
    takes_object: bool = False
    takes_list: bool = False
    items_are_objects: bool = False
    takes_upload: bool = False
    takes_scalar: bool = False

    @classmethod
    def of(cls, annotation: Any) -> "FormField":
        kinds = {kind: member for member in _members(annotation) if (kind := _kind(member))}
        items = FormField.of(_item_of(kinds["list"])) if "list" in kinds else cls()
        return cls(
            takes_text="text" in kinds,
            takes_scalar="scalar" in kinds,
            takes_object="object" in kinds,
            takes_list="list" in kinds,
            items_are_objects=items.takes_object and not items.takes_text,
            takes_upload="upload" in kinds or items.takes_upload,
        )

    def read(self, sent: list[Sent]) -> Any:
        """Give the value of one field.

        Raises:
            ValueError: A text has to be JSON and is not.
        """
        if len(sent) == 1 and not (self.takes_list and self.takes_upload):
            return self._read_one(sent[0])
        return [self._read_item(value) for value in sent]

    def _read_one(self, value: Sent) -> Any:
        if isinstance(value, UploadFile):
            return [value] if self.takes_list else value
        if self.takes_text:
            return value
        if self.takes_list:
            return self._read_list(value)
        return self._read_object(value) if self.takes_object else value

    def _read_list(self, value: str) -> Any:
        try:
            read: object = from_json(value)
        except ValueError:
            read = value
        return read if type(read) in {list, NoneType} else [self._read_item(value)]

    def _read_object(self, value: str) -> Any:
        try:
            return from_json(value)
        except ValueError:
            if self.takes_scalar:
                return value
            raise

    def _read_item(self, value: Sent) -> Any:
        return from_json(value) if self.items_are_objects and isinstance(value, str) else value


def _is_blank(parts: list[Sent]) -> bool:
    match parts:
        case [UploadFile(filename=filename, size=size)]:
            return not (filename or size)
        case _:
            return parts == [""]


def _members(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return [member for arg in get_args(annotation) for member in _members(arg)]
    return [annotation]


def _kind(annotation: Any) -> Literal["text", "scalar", "upload", "list", "object"] | None:
    origin: Any = get_origin(annotation) or annotation
    if origin in {None, NoneType}:
        return None
    if not isinstance(origin, type) or origin is object or issubclass(origin, str | bytes):
        return "text"
    if issubclass(origin, UploadFile):
        return "upload"
    return _kind_of_container(cast("type[Any]", origin))


def _kind_of_container(cls: type[Any]) -> Literal["object", "list", "scalar"]:
    if issubclass(cls, Mapping | BaseModel) or is_dataclass(cls) or is_made_from_dict(cls):
        return "object"
    return "list" if issubclass(cls, Collection) else "scalar"


def _item_of(annotation: Any) -> Any:
    return next(iter(get_args(annotation)), Any)
