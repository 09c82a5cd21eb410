"""Holds an answer to the form that its client asked for.

Source: https://platform.openai.com/docs/guides/structured-outputs
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from hayserve.errors import HayserveError, InvalidRequest, RunFailed
from hayserve.protocols.openai_responses.client_schema import ClientSchema, Unfit, client_schema

_KINDS = ("text", "json_object", "json_schema")


class TextFormat:
    """What the text of an answer has to be.

    Args:
        asked: The `text` of a request for a response.

    Raises:
        InvalidRequest: It asks for something that cannot be.
    """

    def __init__(self, asked: Mapping[str, Any] | None) -> None:
        form: object = (asked or {}).get("format")
        if form is None:
            form = {"type": "text"}
        named = cast(Mapping[str, Any], form if isinstance(form, dict) else {})
        if named.get("type") not in _KINDS:
            raise _unfit("format.type", f"has to be one of {', '.join(_KINDS)}")
        self._kind = named["type"]
        self._schema: ClientSchema | None = None
        if self._kind == "json_schema":
            self._schema = _schema_in(named)

    def fault(self, text: str) -> HayserveError | None:
        """What is wrong with an answer; None if it is as it should be."""
        if self._kind == "text":
            return None
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            return _misfit(f"it is not JSON: {error}")
        if self._kind == "json_object" and not isinstance(cast(object, value), dict):
            return _misfit("it is no JSON object")
        if self._schema is not None and (fault := self._schema.fault(value)) is not None:
            return _misfit(f"it {fault}")
        return None


def _schema_in(form: Mapping[str, Any]) -> ClientSchema:
    schema: object = form.get("schema")
    if not isinstance(form.get("name"), str) or not isinstance(schema, dict):
        raise _unfit("format", "has to have a `name` and a `schema`")
    try:
        return client_schema(cast(dict[str, Any], schema))
    except Unfit as error:
        raise _unfit("format.schema", str(error)) from error


def _unfit(where: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"'text.{where}' {why}.", param=f"text.{where}")


def _misfit(why: str) -> RunFailed:
    return RunFailed(
        f"The answer is not in the form that was asked for: {why}.",
        hint="The deployment gets the form as `text.format`; it has to hand it to its model.",
    )
