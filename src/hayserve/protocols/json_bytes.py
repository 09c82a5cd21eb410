"""Writes JSON, whatever a wrapper or a client put into it."""

from collections.abc import Callable

import orjson

from hayserve.wrappers.items import json_text


def to_json(value: object, *, default: Callable[[object], object] = str) -> bytes:
    """`value` as JSON; what JSON has no form for becomes what `default` makes of it."""
    try:
        return orjson.dumps(value, default=default)
    except TypeError:  # a key that is no string: to allow for them takes twice as long
        return _to_json(value, default=default)


def _to_json(value: object, *, default: Callable[[object], object]) -> bytes:
    try:
        return orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half of a surrogate pair, which only ASCII can say, or a huge integer
        return json_text(value, default=default).encode()
