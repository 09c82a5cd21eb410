"""Keeps a server that others can reach from starting before there is a key for it."""

from hayserve.errors import Misconfigured
from hayserve.server.database_url import database_url
from hayserve.server.sockets import is_loopback
from hayserve.settings import Settings


def check_address(host: str, *, insecure: bool, settings: Settings) -> None:
    """Refuse to listen where others can reach a server that nobody has a key of.

    Args:
        host: Where it is to listen.
        insecure: Whether it is to listen there whatever keys there are.
        settings: Whose database has the keys; it is looked at only where that matters.

    Raises:
        Misconfigured: `host` is not loopback, there is no key nor a provider of tokens, and
            `insecure` was not asked for; or the database cannot be opened.
    """
    if insecure or is_loopback(host) or settings.oidc_issuer or _has_key(settings):
        return
    raise Misconfigured(
        f"Listening on {host!r} would let others on the network reach this server, "
        "and nobody has a key yet.",
        hint="Make one with `hayserve keys create NAME --scope run`, or listen on localhost. "
        "`--insecure` (HAYSERVE_INSECURE=1) lets everybody in, for use behind a proxy that "
        "checks who calls.",
        param="host",
    )


def _has_key(settings: Settings) -> bool:
    # The parent of workers stays small where it does not need these.
    from hayserve.access.keys import Keys  # noqa: PLC0415
    from hayserve.storage.database import Database  # noqa: PLC0415

    database = Database(database_url(settings))
    if not database.is_shared:
        return False  # in memory, where no key was made before
    database.open()
    try:
        return Keys(database).any_in_use()
    finally:
        database.close()
