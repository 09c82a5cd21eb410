"""Keeps two servers from sharing one data folder, by a lock that ends with the process."""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from hayserve.errors import Misconfigured
from hayserve.settings import Settings

NAME = "lock"


def own_folder(settings: Settings) -> AbstractContextManager[None]:
    """Have the data folder for this server alone, if the database is a file in it.

    Raises:
        Misconfigured: Another server has the folder, or nothing can be written there.
    """
    if settings.database_url is not None:
        return nullcontext()
    return locked(settings.data_dir, port=settings.port)


@contextmanager
def locked(folder: Path, *, port: int) -> Generator[None]:
    """Have `folder` for this process alone for as long as the block lasts.

    Args:
        folder: The data folder; it is made if there is none.
        port: Where this server listens, for whoever comes second.

    Raises:
        Misconfigured: Another server has the folder, or nothing can be written there.
    """
    handle = _opened(folder)
    try:
        _lock(handle, folder, port=port)
        os.truncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}, port {port}".encode(), 0)
        yield
    finally:
        os.close(handle)


def _opened(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Misconfigured(
            f"Nothing can be written to the data folder {str(folder)!r}: {error.strerror}.",
            hint="Name another folder with HAYSERVE_DATA_DIR.",
            param="data_dir",
        ) from error


def _lock(handle: int, folder: Path, *, port: int) -> None:
    with suppress(ImportError):  # Windows has no such locks
        import fcntl  # noqa: PLC0415  where it exists

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(handle, 100, 0).decode() or "it is just starting"
            raise Misconfigured(
                f"Another server ({who}) keeps its deployments in {str(folder)!r}.",
                hint=f"Stop it, or give this one another folder: HAYSERVE_DATA_DIR={folder}-{port}",
                param="data_dir",
            ) from None
