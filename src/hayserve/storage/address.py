"""Which database a URL names, told without its password."""

from dataclasses import dataclass, field

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hayserve.errors import Misconfigured

FORMS = "Use sqlite:///path/to/file.db, sqlite:// (in memory) or postgresql://user:password@host/database."
SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
POSTGRESQL = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


@dataclass(frozen=True, slots=True)
class Address:
    """A database. `shown` may be printed; `url` holds the password."""

    url: URL = field(repr=False)
    shown: str

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def is_in_memory(self) -> bool:
        return self.is_sqlite and self.url.database in {None, "", ":memory:"}


def address(url: str) -> Address:
    """The database that `url` names.

    Raises:
        Misconfigured: No database of a kind that is known.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise Misconfigured("The URL of the database cannot be read", hint=FORMS) from None
    if parsed.drivername in SQLITE:
        return _sqlite(parsed)
    if parsed.drivername in POSTGRESQL:
        plain = parsed.set(drivername="postgresql", query={})
        named = parsed.set(drivername="postgresql+psycopg")
        return Address(named, shown=plain.render_as_string())
    raise Misconfigured(f"A database of the kind {parsed.drivername!r} is not known", hint=FORMS)


def _sqlite(parsed: URL) -> Address:
    if parsed.host or parsed.username or parsed.port or parsed.query:
        raise Misconfigured(
            "The URL of an SQLite database has a path and nothing else",
            hint="An absolute path begins with a fourth slash: sqlite:////var/lib/hayserve.db.",
        )
    return Address(parsed.set(drivername="sqlite"), shown=parsed.render_as_string())
