"""The key for deploying, in a file that only the user who runs the server can read."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from hayserve.errors import Misconfigured


class LocalKey:
    """The key for one run of a server.

    Args:
        value: The key; by default a new one. Workers are given the one that their parent made.
    """

    def __init__(self, value: str | None = None) -> None:
        self.value = value or f"hs_local_{secrets.token_urlsafe(32)}"

    @contextmanager
    def kept_at(self, path: Path) -> Generator[None]:
        """Have it in the file at `path` for as long as the block lasts.

        Raises:
            Misconfigured: The file cannot be written.
        """
        self.write(path)
        try:
            yield
        finally:
            self.remove(path)

    def write(self, path: Path) -> None:
        """Put it into the file at `path`, in place of what is there.

        Raises:
            Misconfigured: The file cannot be written.
        """
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(self.value)
            draft.replace(path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise Misconfigured(
                f"The local key cannot be written to {str(path)!r}: {error.strerror}.",
                hint="Name another file with HAYSERVE_KEY_FILE.",
                param="key_file",
            ) from error

    def remove(self, path: Path) -> None:
        """Take the file at `path` away, unless another server has put its own key there."""
        with suppress(OSError):
            if path.read_text(encoding="utf-8") == self.value:
                path.unlink()
