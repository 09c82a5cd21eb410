"""Refuses a body that is not said to be JSON, which is what foreign web pages can send."""

from collections.abc import Mapping

import orjson

from hayserve.errors import InvalidRequest


def check_json(headers: Mapping[str, str], body: bytes) -> None:
    """Look at the content-type; nothing needs to be said about an empty body.

    A browser asks a server before it sends JSON for a page of another origin. It does not ask
    before it sends a form, a text, or something of no stated type: such a page could start runs.
    Source: https://fetch.spec.whatwg.org/#cors-safelisted-request-header

    Args:
        headers: The request's, with lower-case or case-insensitive names.
        body: What was sent.

    Raises:
        InvalidRequest: The content-type is another, or missing.
    """
    media_type = media_type_of(headers)
    if _is_json(media_type) or not (media_type or body):
        return
    stated = repr(media_type) if media_type else "of no stated type"
    raise InvalidRequest(
        f"The body is {stated}, and JSON is expected here.",
        hint="Send a JSON object with the header `content-type: application/json`.",
    )


def check_numbers(body: bytes) -> None:
    """Refuse the numbers that JSON does not have, and that some who read it take all the same.

    Source: https://www.rfc-editor.org/rfc/rfc8259#section-6

    Raises:
        InvalidRequest: There is one.
    """
    if b"NaN" not in body and b"Infinity" not in body:
        return
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not JSON: {error}.",
            hint="JSON has neither NaN nor Infinity: send null.",
        ) from error


def media_type_of(headers: Mapping[str, str]) -> str:
    """The content-type without its parameters, in lower case; empty if there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")
