"""What of a server's files and database others on the machine, or on the way, can read."""

import os
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from hayserve.cli.finding import Finding
from hayserve.server.sockets import is_loopback
from hayserve.storage.address import Address

# Other systems than POSIX say nothing of others in a file's mode.
_OTHERS: Final = 0o077 if os.name == "posix" else 0
_MAY_WRITE: Final = 0o022
_VERIFIES: Final = frozenset({"verify-ca", "verify-full"})


def of_key_file(path: Path, *, has_server: bool) -> Iterator[Finding]:
    """Who can read the local key, with which everything may be done.

    Args:
        path: Where it is.
        has_server: Whether the server that wrote it may be the one that runs.
    """
    others = _others(path)
    if others is None:
        return
    if others:
        yield Finding(
            "danger",
            f"Others on this machine can read the local key in {str(path)!r}, and with it do "
            "everything, also deploy, and so run code as the server's user.",
            fix=f"chmod 600 {quote(str(path))}, and start the server anew, which makes a new key",
        )
    else:
        yield Finding("ok", f"Only its user can read the local key in {str(path)!r}.")
    if not has_server:
        yield Finding(
            "note",
            f"The local key in {str(path)!r} was left by a server that does not run any more.",
            fix=f"rm {quote(str(path))}",
        )


def of_data_folder(path: Path) -> Iterator[Finding]:
    """Who can read and change the code that was deployed."""
    others = _others(path)
    if others is None:
        return
    if others & _MAY_WRITE:
        yield Finding(
            "danger",
            f"Others on this machine can write to the data folder {str(path)!r}, and so run code "
            "as the server's user.",
            fix=f"chmod 700 {quote(str(path))}",
        )
    elif others:
        yield Finding(
            "note",
            f"Others on this machine can read the code that was deployed, in {str(path)!r}.",
            fix=f"chmod 700 {quote(str(path))}",
        )
    else:
        yield Finding("ok", f"Only its user can read the data folder {str(path)!r}.")


def of_environment_file(path: Path, *, has_secrets: bool) -> Iterator[Finding]:
    """Who can read the secrets among the settings.

    Args:
        path: The `.env` file.
        has_secrets: Whether a key or the URL of a database is set, which may be there.
    """
    if has_secrets and _others(path):
        yield Finding(
            "warning",
            f"Others on this machine can read {str(path)!r}, where a key or a database's password "
            "may be.",
            fix=f"chmod 600 {quote(str(path))}",
        )


def of_database(address: Address) -> Iterator[Finding]:
    """Who can read the database, and what goes to and fro."""
    if address.is_in_memory:
        return
    if address.is_sqlite:
        yield from _of_file(Path(address.url.database or "").absolute())
    else:
        yield _of_way(address)


def _of_file(path: Path) -> Iterator[Finding]:
    others = _others(path)
    if others is None:
        return
    if others & _MAY_WRITE:
        yield Finding(
            "danger",
            f"Others on this machine can write to the database {str(path)!r}: they can make keys, "
            "and change the code that is served.",
            fix=f"chmod 600 {quote(str(path))}*",
        )
    elif others:
        yield Finding(
            "warning",
            f"Others on this machine can read the database {str(path)!r}: conversations, files "
            "and what was deployed.",
            fix=f"chmod 600 {quote(str(path))}*",
        )
    else:
        yield Finding("ok", f"Only its user can read the database {str(path)!r}.")


def _of_way(address: Address) -> Finding:
    mode = address.url.query.get("sslmode", "prefer")
    if not (hosts := [host for host in _hosts(address) if not _is_here(host)]):
        return Finding("ok", f"The database {address.shown} is on this machine.")
    if mode in _VERIFIES:
        return Finding("ok", f"The way to the database {address.shown} is encrypted and verified.")
    if mode == "require":
        return Finding(
            "note",
            f"The way to the database {address.shown} is encrypted, and nobody looks whether it "
            f"is {hosts[0]} that answers.",
            fix="`sslmode=verify-full` in place of `sslmode=require` in the URL.",
        )
    return Finding(
        "warning",
        f"The URL of the database {address.shown} does not ask for TLS: whoever is on the way may "
        "read and change what is kept, code and keys among it.",
        fix="Add `?sslmode=verify-full` to HAYSERVE_DATABASE_URL.",
    )


def _hosts(address: Address) -> list[str]:
    """Where it may be; PostgreSQL's driver takes several hosts, also as a part of the query."""
    said = address.url.query.get("host", address.url.host or "")
    listed = said.split(",") if isinstance(said, str) else said
    return [host.strip() for one in listed for host in one.split(",")]


def _is_here(host: str) -> bool:
    # A path, or what begins with @, is a socket of this machine; so is saying nothing.
    name = host.rpartition(":")[0] if host.count(":") == 1 else host
    return host == "" or host.startswith(("/", "@")) or is_loopback(name)


def _others(path: Path) -> int | None:
    """What the mode of a file allows to others than its user; None if it cannot be seen."""
    try:
        return path.stat().st_mode & _OTHERS
    except OSError:
        return None
