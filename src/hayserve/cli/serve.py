"""The command `hayserve run`."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from hayserve.cli.flags import Run
from hayserve.settings import Settings, load


class Start(Protocol):
    """Starts a server and returns when it has stopped."""

    def __call__(
        self,
        settings: Settings,
        paths: Sequence[str],
        *,
        name: str | None,
        aliases: Sequence[str],
        reload: bool,
    ) -> None: ...


def run(given: Run, *, start: Start | None = None) -> None:
    """Serve until stopped."""
    settings = load(
        host=given.host,
        port=given.port,
        pipelines_dir=given.pipelines_dir,
        root_path=given.root_path,
        additional_python_path=given.additional_python_path,
        insecure=given.insecure or None,
    )
    start = start or starter(given.workers)
    start(settings, given.paths, name=given.name, aliases=given.aliases, reload=given.reload)


def starter(workers: int | None) -> Start:
    """What serves with so many workers; a parent of workers stays small without Haystack."""
    if workers is None:
        from hayserve.server.serve import serve  # noqa: PLC0415  loaded only when used

        return serve
    from hayserve.server.supervise import supervise  # noqa: PLC0415  as above

    return partial(supervise, workers=workers)
