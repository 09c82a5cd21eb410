"""Annotations that name objects: a JSON object becomes a Haystack object where one is wanted."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import (
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from starlette.datastructures import UploadFile


def with_objects(annotation: Any) -> Any:
    """Give the annotation that reads JSON into what `annotation` names.

    Classes that have a `from_dict` (Haystack's dataclasses, the wrapper's own classes) are made
    with it, `ChatMessage` also from OpenAI's message form; an `UploadFile` of any make is taken as
    it is. This holds inside lists, dicts, unions and the fields of pydantic models too.
    """
    return _Walk().through(annotation)


def is_made_from_dict(cls: type[Any]) -> bool:
    """Say whether objects of `cls` are read with its `from_dict`.

    Haystack's machinery is not: `Tool.from_dict` imports a function that the data names and
    `Secret.from_dict` reads the environment, which is no business of whoever calls.
    """
    if issubclass(cls, BaseModel) or any(_is_machinery(base) for base in cls.__mro__):
        return False
    return callable(getattr(cls, "from_dict", None))


def _is_machinery(cls: type[Any]) -> bool:
    return cls.__module__.startswith("haystack") and ".dataclasses" not in cls.__module__


class _Walk:
    def __init__(self) -> None:
        self._models: dict[type[BaseModel], Any] = {}

    def through(self, annotation: Any) -> Any:
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is None:
            return self._through_class(annotation) if isinstance(annotation, type) else annotation
        if origin is Annotated:
            return Annotated[self.through(args[0]), *args[1:]]
        read = tuple(self.through(arg) for arg in args)
        if all(new is old for new, old in zip(read, args, strict=True)):
            return annotation
        return Union[read] if origin in {Union, UnionType} else origin[read]  # noqa: UP007 (built at run time)

    def _through_class(self, cls: type[Any]) -> Any:
        if issubclass(cls, UploadFile):
            return Annotated[cls, _Upload()]
        if issubclass(cls, BaseModel):
            return self._through_model(cls)
        return Annotated[cls, _MadeFromDict(cls)] if is_made_from_dict(cls) else cls

    def _through_model(self, model: type[BaseModel]) -> Any:
        if model not in self._models:
            self._models[model] = model  # where it mentions itself, it stays as it is
            self._models[model] = self._with_objects_in(model)
        return self._models[model]

    def _with_objects_in(self, model: type[BaseModel]) -> Any:
        fields = {
            name: (read, copy(field))
            for name, field in model.model_fields.items()
            if (read := self.through(field.annotation)) is not field.annotation
        }
        if not fields:
            return model
        definitions = cast("dict[str, Any]", fields)
        reader = create_model(
            model.__name__,
            __base__=model,
            __module__=model.__module__,
            __doc__=model.__doc__,
            **definitions,
        )
        return Annotated[reader, WrapValidator(_as_instance_of(model))]


def _as_instance_of(model: type[BaseModel]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    def read(value: Any, reader: Callable[[Any], Any]) -> Any:
        if isinstance(value, model):
            return value
        made = reader(value)
        # The wrapper's code knows `model` only: `type(x) is model` and `==` must hold there.
        object.__setattr__(made, "__class__", model)
        return made

    return read


class _Upload:
    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(_read_upload)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "binary"}


def _read_upload(value: Any) -> UploadFile:
    if isinstance(value, UploadFile):
        return value
    if isinstance(value, list):
        raise PydanticCustomError(
            "too_many_files", "Input should be one uploaded file, not several"
        )
    raise PydanticCustomError("file_type", "Input should be an uploaded file")


@dataclass(frozen=True, slots=True)
class _MadeFromDict:
    cls: Any

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        inner = handler(source) if self._pydantic_knows() else core_schema.any_schema()
        return core_schema.no_info_wrap_validator_function(self._read, inner)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        if _is_chat_message(self.cls):
            return _chat_message_schema()
        return handler(schema) if self._pydantic_knows() else {"type": "object"}

    def _pydantic_knows(self) -> bool:
        return is_dataclass(self.cls) and not _is_chat_message(self.cls)

    def _read(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        if isinstance(value, self.cls):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("object_type", "Input should be an object")
        try:
            return self._made_from(dict(cast("Mapping[str, Any]", value)))
        except Exception as error:  # noqa: BLE001 (`from_dict` is foreign code; what it raises is about the data)
            return self._made_by_pydantic(value, handler, error)

    def _made_from(self, value: dict[str, Any]) -> Any:
        if _is_chat_message(self.cls) and _is_openai_form(value):
            return self.cls.from_openai_dict_format(value)
        return self.cls.from_dict(value)

    def _made_by_pydantic(self, value: Any, handler: Callable[[Any], Any], error: Exception) -> Any:
        # Pydantic reads forms that some `from_dict`s do not, and names the fields that are wrong.
        if self._pydantic_knows():
            return handler(value)
        raise PydanticCustomError(
            "object_parsing",
            "Input makes no {cls}: {error}",
            {"cls": self.cls.__name__, "error": f"{type(error).__name__}: {error}"},
        ) from error


def _is_chat_message(cls: Any) -> bool:
    return hasattr(cls, "from_openai_dict_format")


def _is_openai_form(message: Mapping[str, Any]) -> bool:
    """Tell OpenAI's form from that of `ChatMessage.to_dict`, now and in older versions."""
    if "_role" in message or "meta" in message:
        return False
    content = message.get("content")
    if isinstance(content, str):
        # Haystack refuses an empty text in OpenAI's form only.
        return message.get("role") not in {"user", "system"}
    return content is None or all("type" in part for part in content)


def _chat_message_schema() -> dict[str, Any]:
    return {
        "title": "ChatMessage",
        "description": "A message in OpenAI's form or in Haystack's own.",
        "type": "object",
        "properties": {
            "role": {
                "type": "string",
                "enum": ["user", "system", "developer", "assistant", "tool"],
            },
            "content": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "object"}},
                    {"type": "null"},
                ]
            },
            "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["role"],
    }
