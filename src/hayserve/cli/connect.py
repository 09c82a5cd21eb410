"""Finds the server that a command talks to, and the key that it takes."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from hayserve.cli.client import Client
from hayserve.cli.flags import Where
from hayserve.cli.sender import sender
from hayserve.errors import Misconfigured
from hayserve.settings import Settings, load, local_key_file


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is.

    Args:
        url: Its address, with its root path if it has one.
        port: Its port.
        is_here: Whether that is this machine's loopback.
        key: What the command line shows it; None for nothing.
    """

    url: str
    port: int
    is_here: bool
    key: str | None = field(repr=False)


def place_of(settings: Settings) -> Place:
    """The server that settings name, and the key for it.

    Raises:
        Misconfigured: Its URL is none.
    """
    address = _reached(_split(settings.server_url))
    local, port = _is_here(address.hostname or ""), _port(address)
    return Place(address.geturl(), port, local, key=_key(settings, port, local=local))


def key_file_of(settings: Settings, port: int) -> Path:
    """Where the server on `port` of this machine keeps its local key."""
    return settings.key_file or local_key_file(port)


def connect(given: Where, *, sending: Path | None = None) -> Client:
    """A client for the server that flags, environment or `.env` name.

    Args:
        given: `--url` and `--key`; what is not given comes from the settings, and the key of a
            server on this machine from the file where that server left it.
        sending: What is sent, for the server's history; by default the current folder is named.

    Raises:
        Misconfigured: A setting cannot be used, or the URL is none.
    """
    settings = load(url=given.url, key=given.key)
    place = place_of(settings)
    return Client(
        place.url,
        place.key,
        verify=not settings.disable_ssl,
        trust_env=not place.is_here,  # a proxy cannot reach this machine's own loopback
        elsewhere=_elsewhere(place.port) if place.is_here else "",
        sender=sender(sending or Path()),
    )


def _split(url: str) -> SplitResult:
    try:
        address = urlsplit(url)
        usable = address.scheme in {"http", "https"} and address.hostname and address.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Misconfigured(
            f"{url!r} is not the URL of a server.", hint="It looks like http://localhost:1416."
        )
    return urlsplit(url)


def _reached(address: SplitResult) -> SplitResult:
    """The same address by a name under which a server takes its local key.

    A server that listens at 0.0.0.0 is reached there, and is not called so.
    """
    host = address.hostname or ""
    if not _is_unspecified(host):
        return address
    port = f":{address.port}" if address.port else ""
    return address._replace(netloc=f"localhost{port}")


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(settings: Settings, port: int, *, local: bool) -> str | None:
    if settings.key is not None:
        return settings.key.get_secret_value()
    if not local:
        return None
    file = key_file_of(settings, port)
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def _port(address: SplitResult) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


def _elsewhere(port: int) -> str:
    """Where the keys that servers left say that they run, if not on `port`."""
    left = local_key_file(port).parent.glob("local-*.key")
    ports = {file.stem.removeprefix("local-") for file in left} - {str(port)}
    numbers = sorted(int(found) for found in ports if found.isdigit())
    on = " or ".join(map(str, numbers))
    return f"A server of yours may run on port {on}." if on else ""
