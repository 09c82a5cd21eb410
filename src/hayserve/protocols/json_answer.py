"""Answers a request that starts no run."""

from starlette.responses import Response

from hayserve.protocols.json_bytes import to_json


def json_answer(value: object) -> Response:
    """An answer that is `value` as JSON."""
    return Response(to_json(value), media_type="application/json")
