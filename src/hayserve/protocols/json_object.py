"""Reads a small JSON object that is the body of a request for no run."""

from typing import Any, cast

import orjson
from starlette.requests import Request

from hayserve.errors import InvalidRequest
from hayserve.protocols.body import read_body
from hayserve.protocols.call import Reading
from hayserve.protocols.json_body import check_json

MOST_LEVELS = 200


async def json_object(request: Request, reading: Reading) -> dict[str, Any]:
    """The body of a request; one that is empty is an empty object.

    Raises:
        InvalidRequest: It is something else, or said to be.
        TooLarge: It is larger than is read.
        RequestTimeout: It did not come in time.
    """
    body = await read_body(request.scope, request.receive, limit=reading.body, pause=reading.pause)
    check_json(request.headers, body)
    try:
        value: object = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not JSON: {error}.", hint="Send an object.") from error
    if not isinstance(value, dict):
        raise InvalidRequest("The body is JSON, but no object.", hint="Send an object.")
    if is_deeper(cast(object, value)):
        raise InvalidRequest(f"The body goes deeper than {MOST_LEVELS} levels.")
    return cast(dict[str, Any], value)


def is_deeper(value: object, levels: int = MOST_LEVELS) -> bool:
    """Whether lists and objects lie in each other in more levels."""
    level: list[object] = [value]
    while level and levels:
        lists = [cast(list[object], one) for one in level if isinstance(one, list)]
        objects = [cast(dict[str, object], one) for one in level if isinstance(one, dict)]
        level = [below for one in lists for below in one]
        level += [below for one in objects for below in one.values()]
        levels -= 1
    return any(isinstance(one, list | dict) for one in level)
