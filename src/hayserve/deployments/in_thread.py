"""Calls what reads and writes the database and the disk, without holding up the event loop."""

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread

from hayserve.errors import Misconfigured

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call what reads or writes the database or the disk."""
    try:
        return await anyio.to_thread.run_sync(partial(function, *args, **kwargs))
    except OSError as error:
        raise Misconfigured(
            f"What is deployed cannot be stored: {error.strerror or error}.",
            hint="Look at the disk, or name another folder with HAYSERVE_DATA_DIR.",
            param="data_dir",
        ) from error
