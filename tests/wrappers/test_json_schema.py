"""Schemas of what has none, or only a broken one."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from hayserve.wrappers.json_schema import describe


def test_what_json_cannot_describe_is_left_open() -> None:
    class Model(BaseModel):
        hook: Callable[[], None]
        limit: Any = object()

    assert describe(Model, mode="validation") == {
        "title": "Model",
        "type": "object",
        "properties": {"hook": {"title": "Hook"}, "limit": {"title": "Limit"}},
        "required": ["hook"],
    }


def test_a_type_whose_own_schema_code_breaks_is_left_open() -> None:
    class Broken:
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return TypeAdapter(int).core_schema

        @classmethod
        def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
            raise RuntimeError

    assert describe(TypeAdapter(Broken), mode="serialization") == {}
