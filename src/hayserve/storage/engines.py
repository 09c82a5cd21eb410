"""The ways into one database: to read, to write, and to write what nobody follows."""

from dataclasses import dataclass

from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Engines:
    """They share their connections.

    A transaction of `writer` is the only one anywhere, and whoever watches the database is told of
    it. Of one of `aside` nobody is told.
    """

    reader: Engine
    writer: Engine
    aside: Engine

    def close(self) -> None:
        self.reader.dispose()
