"""Says who types a command and where, for the history that a server keeps."""

import getpass
import socket
from pathlib import Path


def sender(path: Path) -> str:
    """`user@host:/path`, with `?` for what cannot stand in a header."""
    said = f"{_user()}@{socket.gethostname()}:{path.absolute()}"
    return "".join(sign if _fits(sign) else "?" for sign in said).strip()


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # a number that has no name, as in a container
        return "unknown"


def _fits(sign: str) -> bool:
    return sign.isprintable() and ord(sign) < 256  # noqa: PLR2004  latin-1
