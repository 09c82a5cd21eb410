"""Writes the log: one line per event, its name first and then its fields."""

import logging
import sys
from typing import TYPE_CHECKING, Any

from loguru import logger as wrappers_log

from hayserve.settings import Settings

if TYPE_CHECKING:
    from loguru import Message

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
# Haystack says this of every async stream, and it is nothing that a wrapper's author could change.
_SYNC_CALLBACK = "A sync streaming callback was provided at runtime"
# loguru has two levels that the standard library has not.
_LEVELS = {"TRACE": 5, "SUCCESS": 25}


class LineFormatter(logging.Formatter):
    """`2026-01-31 12:00:00 INFO hayserve.server deployed deployment=hello`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        fields = "".join(
            f" {name}={value}" if _is_one_word(str(value)) else f" {name}={str(value)!r}"
            for name, value in vars(record).items()
            if name not in _STANDARD
        )
        return super().formatMessage(record) + fields

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the base class's name
        # No line of a traceback, whose texts callers may choose, can be taken for a log line.
        return "\n".join(f"    {line}" for line in super().formatException(ei).splitlines())


def _is_one_word(text: str) -> bool:
    return text.isprintable() and " " not in text


def configure_logs(settings: Settings) -> None:
    """Send everything that is logged, by the server and by wrappers, to standard error."""
    for name, number in _LEVELS.items():
        logging.addLevelName(number, name)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS.get(settings.log_level) or settings.log_level)
    logging.getLogger("haystack.dataclasses.streaming_chunk").addFilter(_is_of_use)
    connections = logging.getLogger("uvicorn.error")
    connections.setLevel(max(root.level, logging.INFO))  # below, it has keys and messages
    connections.addFilter(_without_query)
    for noisy in ("httpx", "httpx2", "watchfiles"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each broken form
    wrappers_log.remove()
    wrappers_log.add(_forward, level=0, format="{message}", backtrace=False, diagnose=False)


def _is_of_use(record: logging.LogRecord) -> bool:
    return _SYNC_CALLBACK not in record.getMessage()


def _without_query(record: logging.LogRecord) -> bool:
    """Leave a handshake's query out: it is a payload, and some put their key there."""
    if '"WebSocket %s"' in record.msg and isinstance(record.args, tuple):
        client, target, *rest = record.args
        record.args = (client, str(target).partition("?")[0], *rest)
    return True


def _forward(message: "Message") -> None:
    record: dict[str, Any] = dict(message.record)
    logging.getLogger(record["name"] or "wrapper").log(
        record["level"].no,
        "%s",
        str(message).rstrip("\n"),
        extra={key: value for key, value in record["extra"].items() if key not in _STANDARD},
    )
