"""Says which database a server has."""

from hayserve.settings import Settings


def database_url(settings: Settings) -> str:
    """The database that is set, or else a file in the data folder."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return f"sqlite:///{settings.data_dir.absolute() / 'hayserve.db'}"
