"""What every test of a server is given."""

import logging
import sys
from collections.abc import Iterator

import pytest
from loguru import logger as wrappers_log


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A server that starts takes the log of its process, which is that of all tests."""
    root = logging.getLogger()
    others = [
        logging.getLogger(name) for name in ("httpx", "httpx2", "watchfiles", "uvicorn.error")
    ]
    handlers, levels = list(root.handlers), [one.level for one in (root, *others)]
    yield
    root.handlers = handlers
    for one, level in zip((root, *others), levels, strict=True):
        one.setLevel(level)
    wrappers_log.remove()
    wrappers_log.add(sys.stderr)
