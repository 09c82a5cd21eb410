"""Finds out who calls: by a key, a token, or by where a request came."""

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Protocol

from hayserve.access.identity import ANYBODY, GUEST, STRANGER, Identity
from hayserve.access.key import MARK, Shown, digest_of, shown_in
from hayserve.access.scopes import ALL
from hayserve.errors import Forbidden, HayserveError, Unauthorized
from hayserve.server.sockets import is_loopback
from hayserve.wrappers.caller import Caller

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d+)?", re.ASCII)
_MOST_KNOWN = 256
_LOCAL = Identity(Caller("local", "local"), owner="local", scopes=ALL)

FindKey = Callable[[Shown], Identity]


class KnowsTokens(Protocol):
    """Knows who shows the tokens of an identity provider."""

    def known(self, token: str) -> Identity | None:
        """Who shows a token, if that was found out before."""
        ...

    async def find(self, token: str) -> Identity | None:
        """Who shows a token; None if it is none of the provider's."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How those are treated who show no key.

    Args:
        is_open: Whether those on this machine may run without a key.
        lets_all: Whether everybody may do everything.
        open_hosts: Names under which those without a key may run, beside those of this machine.
        local_key: The key of the command line on this machine; None if there is none.
    """

    is_open: bool = True
    lets_all: bool = False
    open_hosts: Sequence[str] = ()
    local_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Arrived:
    """How a request came.

    Args:
        host: What its `Host` says.
        server: The address and the port that it came to; None or no port where that is no network.
        client: Those that it came from: who has sent it to the proxy, if one that is believed has
            handed it on.
    """

    host: str
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None = None


class Callers:
    """Knows who calls.

    Args:
        find_key: Who shows a key.
        door: How those are treated who show none.
        tokens: Knows who shows a token; None where tokens are not taken.
    """

    def __init__(self, find_key: FindKey, *, door: Door, tokens: KnowsTokens | None = None) -> None:
        self._find_key = find_key
        self._door = door
        self._local_key = door.local_key.encode() if door.local_key else None
        self._tokens = tokens
        self._open_hosts = frozenset(host.lower() for host in door.open_hosts)
        # An attacker may send any host: only so many are remembered.
        self._is_own_host = lru_cache(_MOST_KNOWN)(self._look_at_host)
        self._is_own_address = lru_cache(_MOST_KNOWN)(self._look_at_address)

    def find(self, shown: str, arrived: Arrived) -> Identity | None:
        """Who shows that; None if it may be a new token, for which `ask` has to be asked."""
        if not shown:
            return self._nobody("", arrived)
        if (key := shown_in(shown)) is not None:
            return self._let_in(self._find_key(key), shown, arrived)
        if self._is_local_key(shown):
            return _LOCAL if self._is_here(arrived) else _elsewhere(arrived)
        if self._tokens is not None and shown.count(".") == 2:  # noqa: PLR2004 - of a JWT
            return self._tokens.known(shown)
        return self._nobody(shown, arrived)

    async def ask(self, shown: str, arrived: Arrived) -> Identity:
        """Who shows what may be a new token."""
        assert self._tokens is not None
        return self._let_in(await self._tokens.find(shown), shown, arrived)

    async def find_again(self, shown: str, arrived: Arrived) -> Identity:
        """Who shows that now: a key may have been revoked since, a token may have expired."""
        return self.find(shown, arrived) or await self.ask(shown, arrived)

    def _let_in(self, found: Identity | None, shown: str, arrived: Arrived) -> Identity:
        """Who that is, also for a server that asks for nothing and so refuses nobody."""
        if found is None or (found.refusal is not None and self._door.lets_all):
            return self._nobody(shown, arrived)
        return found

    def _is_local_key(self, shown: str) -> bool:
        own = self._local_key
        return own is not None and hmac.compare_digest(shown.encode(), own)

    def _nobody(self, shown: str, arrived: Arrived) -> Identity:
        """Who shows nothing that is known; clients of OpenAI always show something."""
        if self._door.lets_all:
            return _showing(shown, ANYBODY)
        if shown.startswith(MARK) or (shown and not self._door.is_open):
            return _WRONG
        if not self._door.is_open:
            return STRANGER
        return _showing(shown, GUEST) if self._is_here(arrived) else _elsewhere(arrived)

    def _is_here(self, arrived: Arrived) -> bool:
        """Whether a request came to this machine by a name of its own, and from nowhere else."""
        if not self._is_own_host(arrived.host):
            return False
        server = arrived.server
        if server is not None and server[1] is not None and not self._is_own_address(server[0]):
            return False
        return not self._is_from_afar(arrived)

    def _is_from_afar(self, arrived: Arrived) -> bool:
        """Whether a proxy on this machine has handed it on for somebody on another one.

        Many proxies call the server localhost, whatever they are called themselves.
        """
        if arrived.client is None or not _is_foreign_address(arrived.client[0]):
            return False
        return name_in(arrived.host).lower() not in self._open_hosts

    def _look_at_host(self, host: str) -> bool:
        return self._look_at_address(name_in(host))

    def _look_at_address(self, address: str) -> bool:
        return is_loopback(address) or address.lower() in self._open_hosts


def name_in(host: str) -> str:
    """The name in a `Host`, without the port: `localhost` or `[::1]`; empty if it is none."""
    found = _HOST.fullmatch(host)
    return found[1] if found else ""


@lru_cache(_MOST_KNOWN)
def _is_foreign_address(text: str) -> bool:
    try:
        return not ip_address(text).is_loopback
    except ValueError:
        return False


@lru_cache(_MOST_KNOWN)
def _showing(text: str, identity: Identity) -> Identity:
    """Whoever shows something of another server owns what others who show that leave here."""
    return replace(identity, owner=digest_of(text)) if text else identity


def _elsewhere(arrived: Arrived) -> Identity:
    def refused() -> HayserveError:
        return Forbidden(
            f"This was sent to {arrived.host!r}, or from another machine, and who has no key is "
            "served under localhost only.",
            hint="Call localhost, show a key that `hayserve keys create` makes, or name the host "
            "in HAYSERVE_OPEN_HOSTS.",
        )

    return Identity(refusal=refused)


def _refused() -> HayserveError:
    return Unauthorized(
        "This key is not known.", hint="`hayserve keys list` shows which keys are in use."
    )


_WRONG = Identity(refusal=_refused)
