"""Why a connection answers a request in place of the application."""

import logging

import httptools

from hayserve.errors import HayserveError, InvalidRequest, TooLarge

logger = logging.getLogger("hayserve.server")


class Refusal(Exception):
    """What is answered, and with which status."""

    def __init__(self, status: int, error: HayserveError) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error


def refusal_of(error: httptools.HttpParserError) -> Refusal:
    """For what the parser could not read, or was told to read no further."""
    why: object = error
    if isinstance(error, httptools.HttpParserCallbackError):
        if isinstance(error.__context__, Refusal):
            return error.__context__
        if not isinstance(error.__context__, httptools.HttpParserInvalidURLError):
            logger.info("request_not_understood", exc_info=error)
        why = "its target is none of a server's"
    malformed = InvalidRequest(
        f"The request is not HTTP/1.1: {why}.", hint="Use an HTTP client to write it."
    )
    return Refusal(400, malformed)


def head_too_large(limit: int, number: int) -> Refusal:
    """For more than `limit` bytes, or more than `number` headers."""
    large = TooLarge(
        f"The headers are larger than {limit / 1024:g} KB, or more than {number}.",
        hint="Send less of them.",
    )
    return Refusal(431, large)
