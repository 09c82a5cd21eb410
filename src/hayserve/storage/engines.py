"""The two ways into one database: to read, and to write."""

from dataclasses import dataclass

from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Engines:
    """They share their connections. A transaction of `writer` is the only one anywhere."""

    reader: Engine
    writer: Engine

    def close(self) -> None:
        self.reader.dispose()
