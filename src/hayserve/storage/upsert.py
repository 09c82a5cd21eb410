"""A row that is inserted, or takes the place of the one with the same key."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(
    connection: Connection, table: Table, row: Mapping[str, Any], *, keys: Collection[str]
) -> None:
    """Insert `row`; if there is one with the same `keys`, give that one its other values.

    `keys` are the columns of the primary key or of a unique constraint. Columns that are not
    in `row` keep what they have.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(**row)
    others = {name: statement.excluded[name] for name in row if name not in keys}
    if others:
        statement = statement.on_conflict_do_update(index_elements=list(keys), set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(keys))
    connection.execute(statement)
