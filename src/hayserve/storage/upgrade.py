"""From one version of the tables to another, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection, folder: Path, *, to: str = "head") -> None:
    """Run the migrations in `folder`, in the transaction of `connection`."""
    command.upgrade(_config(connection, folder), to)


def downgrade(connection: Connection, folder: Path, *, to: str) -> None:
    """Undo migrations; `base` undoes all."""
    command.downgrade(_config(connection, folder), to)


def _config(connection: Connection, folder: Path) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config
